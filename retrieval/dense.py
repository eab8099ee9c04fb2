"""Which documents mean something near? Vectors from the encoder, the nearest by FAISS."""

from collections.abc import Sequence

from scisearch.index.encoder import Encoder, Vectors
from scisearch.index.errors import ModelError
from scisearch.index.models import STATIC_ENCODER, resolve_model
from scisearch.index.opened import OpenIndex
from scisearch.index.runtimes import Runtime, open_encoder
from scisearch.index.stopwatch import Stopwatch
from scisearch.index.vectors import VectorIndex
from scisearch.retrieval.ranking import IdRank, Mask, Scored, rank


class DenseRetriever:
    """A bi-encoder over a vector index; satisfies `Retriever`. Scores are cosines, -1 to 1."""

    def __init__(self, encoder: Encoder, vectors: VectorIndex, id_rank: IdRank) -> None:
        """Put the model and the index of its vectors together.

        Raises:
            ModelError: the model's vectors are not as long as the index's.
        """
        if encoder.dimension != vectors.dimension:
            raise ModelError(
                f"{encoder.name} gives vectors of length {encoder.dimension}, the index holds"
                f" {vectors.dimension}; use the model that built it, or rebuild"
            )
        self._encoder = encoder
        self.runtime_name = encoder.runtime_name
        self._vectors = vectors
        self._id_rank = id_rank

    def retrieve(
        self,
        queries: Sequence[str],
        *,
        depth: int,
        allowed: Mask | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Scored]:
        """One list per query, in the order of the queries, of at most `depth` documents."""
        watch = Stopwatch() if watch is None else watch
        with watch.stage("encode query"):
            vectors = self._encoder.encode_queries(queries)
        return self.retrieve_vectors(vectors, depth=depth, allowed=allowed, watch=watch)

    def retrieve_vectors(
        self,
        vectors: Vectors,
        *,
        depth: int,
        allowed: Mask | None = None,
        watch: Stopwatch | None = None,
    ) -> list[Scored]:
        """As `retrieve`, for query vectors of shape (n_queries, dimension) that are ready."""
        watch = Stopwatch() if watch is None else watch
        with watch.stage("faiss"):
            found = self._vectors.search(vectors, depth, allowed)
            return [rank(ids, scores, self._id_rank).cut(depth) for ids, scores in found]


def open_dense(
    index: OpenIndex,
    *,
    encoder: str | None = None,
    device: str | None = None,
    offline: bool = False,
    runtime: Runtime = "auto",
) -> DenseRetriever:
    """The dense retriever of an open index, with the model that built its vectors.

    Args:
        index: an index with vectors.
        encoder: where the model is now; None: where it was when the index was built. A static
            encoder is in the index.
        device: None is CUDA, MPS or CPU, the first there is.
        offline: never ask a hub.
        runtime: auto is ONNX Runtime on a CPU, where its drift is small, else PyTorch.

    Raises:
        ModelError: the model cannot be found, or has other weights than the one that built it.
        ConfigError: the index has no vectors.
    """
    vectors = index.vectors
    built_with = index.manifest.encoder or {}
    if STATIC_ENCODER in (encoder, built_with["name"]):
        return DenseRetriever(_static(index, encoder), vectors, index.documents.id_rank)
    name = encoder or str(built_with["name"])
    model = resolve_model(name, offline=offline, kind="bi-encoder")
    if model.sha256 != built_with["sha256"]:
        raise ModelError(
            f"{model.folder}: its weights have sha256 {model.sha256[:12]}…, but the index was built"
            f" with {built_with['name']} of sha256 {str(built_with['sha256'])[:12]}…;"
            " name that model's folder with --encoder, or build the index again"
        )
    return DenseRetriever(
        open_encoder(model, device=device, runtime=runtime), vectors, index.documents.id_rank
    )


def _static(index: OpenIndex, wanted: str | None) -> Encoder:
    """The static encoder that the index holds, if that is what is wanted."""
    name = str((index.manifest.encoder or {})["name"])
    if name != STATIC_ENCODER or wanted not in (None, STATIC_ENCODER):
        raise ModelError(
            f"{index.path}: was built with --encoder {name}, found --encoder {wanted}; leave it"
            " out, or build the index again with it"
        )
    return index.static_encoder
