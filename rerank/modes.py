"""Which mode a search has: the one asked for, or the fullest that index and models allow."""

from scisearch.index.errors import ConfigError
from scisearch.index.opened import OpenIndex
from scisearch.rerank.search_config import Mode, SearchConfig

NOT_RERANKED = (
    "not reranked: this version has no built-in cross-encoder; name one with --reranker"
    " (a hub id or a folder)"
)
NO_VECTORS = "BM25 only: the index was built with --no-dense"


def chosen_mode(index: OpenIndex, config: SearchConfig) -> Mode:
    """The mode of the configuration, or the fullest there is.

    Raises:
        ConfigError: it needs a part that the index or the configuration has not, or the
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
    from scisearch.rerank.stage import has_reranker

    wanted = config.mode
    if wanted in ("dense", "hybrid"):
        _ = index.vectors  # raises the error that names the way out
    reranked = has_reranker(config.reranker)
    if wanted == "rerank" and not reranked:
        raise ConfigError(NOT_RERANKED)
    if wanted is not None:
        return wanted
    if reranked:
        return "rerank"
    return "hybrid" if index.has_vectors else "bm25"
