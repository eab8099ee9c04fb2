"""Which peers there are, and what each is compared with. Imports none of them."""

from dataclasses import dataclass

from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import Mode

ALL = "all"
_HERE = "scisearch.benchmarks.peers"


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """A peer: the module that has its `open_peer`, and what it is made of.

    The module is named otherwise than the library it uses: by a type checker that does not find the
    library, it would be taken for it.
    """

    name: str
    module: str
    kind: Mode  # the system of ours that does the same work
    distributions: tuple[str, ...]  # what has to be installed; their versions go into the card
    how: str  # one clause for the report

    @property
    def encodes(self) -> bool:
        """Whether it needs a bi-encoder."""
        return self.kind != "bm25"

    @property
    def reranks(self) -> bool:
        """Whether it needs a cross-encoder."""
        return self.kind == "rerank"


_SBERT = ("sentence-transformers", "transformers", "torch")
_LANCE = ("lancedb", "sentence-transformers", "torch")

PEERS = (
    PeerSpec(
        "rank-bm25", f"{_HERE}.use_rank_bm25", "bm25", ("rank-bm25",), "BM25Okapi, lower-case words"
    ),
    PeerSpec(
        "bm25s",
        f"{_HERE}.use_bm25s",
        "bm25",
        ("bm25s", "PyStemmer"),
        "its tokeniser, stop words, Snowball stems",
    ),
    PeerSpec(
        "tantivy",
        f"{_HERE}.use_tantivy",
        "bm25",
        ("tantivy",),
        "title and body, en_stem, lenient query parser",
    ),
    PeerSpec(
        "sentence-transformers",
        f"{_HERE}.use_sentence_transformers",
        "dense",
        _SBERT,
        "encode, semantic_search",
    ),
    PeerSpec(
        "txtai", f"{_HERE}.use_txtai", "hybrid", ("txtai", "torch"), "Embeddings(hybrid=True)"
    ),
    PeerSpec("lancedb", f"{_HERE}.use_lancedb", "hybrid", _LANCE, "hybrid query, RRFReranker"),
    PeerSpec(
        "sentence-transformers-rerank",
        f"{_HERE}.use_sentence_transformers",
        "rerank",
        _SBERT,
        "encode, semantic_search, CrossEncoder.rank",
    ),
    PeerSpec(
        "lancedb-rerank",
        f"{_HERE}.use_lancedb",
        "rerank",
        _LANCE,
        "hybrid query, CrossEncoderReranker",
    ),
)

# Known, asked for, and not to be had beside the others.
LEFT_OUT = {
    "retriv": "retriv 0.2.3 asks for pystemmer 2.0.1 and, through autofaiss, for numpy below 2;"
    " scisearch needs PyStemmer 3 and numpy 2, so that the two cannot be installed together",
}


def parse_peers(names: str) -> tuple[str, ...]:
    """The peers named in "bm25s,txtai" or by `all`, in the order of the catalogue.

    Raises:
        ConfigError: an unknown name, one that cannot be installed, or none at all.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted == [ALL]:
        return tuple(peer.name for peer in PEERS)
    known = {peer.name: peer for peer in PEERS}
    for name in wanted:
        if name in LEFT_OUT:
            raise ConfigError(f"peers: {LEFT_OUT[name]}; leave {name} out")
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        found = ", ".join(unknown) or "none"
        raise ConfigError(
            f"peers: found {found}, expected {ALL} or some of {','.join(known)};"
            " the collection goes before --peers"
        )
    return tuple(name for name in known if name in wanted)


def peer_specs(names: tuple[str, ...]) -> tuple[PeerSpec, ...]:
    """The peers of these names.

    Raises:
        ConfigError: there is none of a name, as in a card of another version.
    """
    known = {peer.name: peer for peer in PEERS}
    for name in names:
        if name not in known:
            raise ConfigError(f"peers: found {name}, expected some of {','.join(known)}")
    return tuple(known[name] for name in names)
