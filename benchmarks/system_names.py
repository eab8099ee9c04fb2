"""The names of the systems that a benchmark compares, and which of them do what."""

from typing import Literal, get_args

from scisearch.index.errors import ConfigError

# A mode of search each; `rerank` with the small built-in cross-encoder, and after it (`cascade`).
System = Literal["bm25", "dense", "hybrid", "fast", "cascade", "rerank"]
SYSTEMS: tuple[System, ...] = get_args(System)
FIRST_STAGES: tuple[System, ...] = ("bm25", "dense")
CANDIDATE_LISTS: tuple[System, ...] = (*FIRST_STAGES, "hybrid")
# The reordered lists, the whole model's last.
RERANKED: tuple[System, ...] = ("fast", "cascade", "rerank")


def parse_systems(names: str) -> tuple[System, ...]:
    """The systems named in "bm25,hybrid", in the order of the stages.

    Raises:
        ConfigError: a name that is no system, or none at all.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in SYSTEMS]
    if unknown or not wanted:
        found = ", ".join(unknown) or "none"
        raise ConfigError(f"systems: found {found}, expected some of {','.join(SYSTEMS)}")
    return tuple(name for name in SYSTEMS if name in wanted)
