"""Which mode a search has: the one asked for, or what is known to pay."""

from scisearch.index.errors import ConfigError
from scisearch.index.opened import OpenIndex
from scisearch.rerank.search_config import Mode, SearchConfig
from scisearch.retrieval.likeness import likeness_is_known

NOT_RERANKED = (
    "not reranked: the index gives back no vectors of the default bi-encoder, beside which the"
    " built-in cross-encoder was measured; --mode rerank has it reorder the candidates all the"
    " same, --reranker another (search tune tells)"
)
NO_VECTORS = (
    "BM25 only: the index was built with --no-dense; --mode rerank has the built-in cross-encoder"
    " reorder what it finds (better, slower)"
)
NO_NEIGHBOURS = (
    "fused scores are not drawn towards those of similar candidates: this type of vector index"
    " gives no vector back (build without --vectors, or --neighbour-weight 0)"
)


def search_notes(index: OpenIndex, config: SearchConfig, mode: Mode) -> tuple[str, ...]:
    """What every answer of a search leaves out, unless it was asked to."""
    notes: tuple[str, ...] = ()
    if config.mode is None and mode != "rerank":
        notes = (NOT_RERANKED if index.has_vectors else NO_VECTORS,)
    fuses = mode in ("hybrid", "rerank") and index.has_vectors
    if fuses and config.fusion.neighbour_weight and index.vectors_of is None:
        return (*notes, NO_NEIGHBOURS)
    return notes


def chosen_mode(index: OpenIndex, config: SearchConfig) -> Mode:
    """The mode asked for; else reranking where a cross-encoder is named or known to do no harm.

    The built-in one was measured beside the default bi-encoder and beside BM25 alone; with the
    vectors of another it is used when asked only. So it is without vectors, where it gains most:
    who builds such an index has asked for BM25, which needs no model and takes a millisecond.

    Raises:
        ConfigError: it needs a part that the index has not, or the
            configuration has an option that only mode rerank understands.
    """
    mode = _possible_mode(index, config)
    if mode != "rerank" and config.min_probability is not None:
        raise ConfigError(
            f"minimum probability {config.min_probability:g} in mode {mode}; expected mode"
            " rerank: only a cross-encoder gives probabilities (--reranker)"
        )
    return mode


def _possible_mode(index: OpenIndex, config: SearchConfig) -> Mode:
    if config.mode in ("dense", "hybrid"):
        _ = index.vectors  # raises the error that names the way out
    if config.mode is not None:
        return config.mode
    if config.reranker is not None or likeness_is_known(index):
        return "rerank"
    return "hybrid" if index.has_vectors else "bm25"
