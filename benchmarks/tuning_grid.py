"""Which settings `search tune` tries, in which order of preference, and how a config names them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import log
from pathlib import Path
from typing import Any, NamedTuple

from scisearch.benchmarks.reweighing import INTERPOLATIONS
from scisearch.index.errors import ConfigError
from scisearch.index.models import DEFAULT_BI_ENCODER
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.encoder_fusion import NUMBERS
from scisearch.retrieval.fusion import Fusion

DEPTHS = (20, 50, 100, 200, 500, 1000)
RERANK_DEPTHS = (20, 50, 100)
_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_SPAN = NUMBERS[DEFAULT_BI_ENCODER].span  # tried beside none where the bi-encoder's is not known
_RRF_KS = (10.0, 30.0, 60.0, 100.0)
_LEAST_DEPTH = 10  # nDCG@10 looks at so many
_PHRASE_WEIGHTS = (0.0, 1.0)
_DEFAULT = SearchConfig()

FusionSetting = tuple[Fusion, int]  # and the depth of its lists


class RerankSetting(NamedTuple):
    """How many fused documents are reranked, and how phrases and the cross-encoder are weighed."""

    depth: int
    phrase_weight: float
    interpolation: Interpolation


@dataclass(frozen=True, slots=True)
class Grid:
    """Every setting that is tried; of equally good ones the earlier is taken.

    Fusions near the default come first, because depth costs little there; reranking depths rise,
    because each pair costs the same. The settings of a search without a config are always among
    them: `default_fusion` and `default_rerank` are their places.
    """

    fusions: tuple[FusionSetting, ...]
    reranks: tuple[RerankSetting, ...]
    default_fusion: int
    default_rerank: int

    @property
    def deepest(self) -> int:
        """How many documents of a first stage the settings look at, at most."""
        return max(depth for _, depth in self.fusions)

    @property
    def deepest_rerank(self) -> int:
        """How many fused documents are reranked, at most."""
        return max(one.depth for one in self.reranks)


def tuning_grid(
    depths: Sequence[int],
    rerank_depths: Sequence[int],
    *,
    kept: Interpolation | None,
    fusion: Fusion | None,
) -> Grid:
    """The settings for these depths.

    Args:
        depths: of the first stages.
        rerank_depths: how many fused documents are reranked.
        kept: how the cross-encoder weighs by itself; None: there is none.
        fusion: that of a search without a config; None: there is one first stage.
    """
    reranks: list[RerankSetting] = []
    default = RerankSetting(_DEFAULT.rerank_depth, _DEFAULT.phrase_weight, kept or Interpolation())
    if kept is not None:
        weighed = [one for one in INTERPOLATIONS if one.weight]
        known = {
            *product(rerank_depths, _PHRASE_WEIGHTS, weighed),
            *product([default.depth], _PHRASE_WEIGHTS, [kept]),
        }
        reranks = sorted(
            map(RerankSetting._make, known),
            key=lambda one: (one.depth, one.phrase_weight, _distance(one.interpolation, kept)),
        )
    if fusion is None:  # one list, as deep as anything needs it
        alone = (Fusion(), max(_DEFAULT.depth, *rerank_depths))
        return Grid((alone,), tuple(reranks), 0, reranks.index(default) if reranks else 0)
    standard = (fusion, _DEFAULT.depth)
    fusions = {(kind, depth) for depth in depths for kind in _kinds(fusion)} | {standard}
    ordered = sorted(fusions, key=lambda one: _from_default(one, fusion))
    return Grid(
        tuple(ordered),
        tuple(reranks),
        ordered.index(standard),
        reranks.index(default) if reranks else 0,
    )


def fitting_depths(
    asked: Sequence[int] | None, usual: Sequence[int], n_documents: int, name: str
) -> tuple[int, ...]:
    """The depths asked for, else those of the usual ones that the corpus has documents for.

    Raises:
        ConfigError: one asked for is below 10 or beyond the corpus.
    """
    if asked is None:
        return tuple(depth for depth in usual if depth <= n_documents) or (n_documents,)
    wrong = [depth for depth in asked if not _LEAST_DEPTH <= depth <= n_documents]
    if wrong or not asked:
        raise ConfigError(
            f"{name}: found {', '.join(map(str, wrong)) or 'none'}, expected numbers from"
            f" {_LEAST_DEPTH} (nDCG@10 looks at so many) to {n_documents} (the documents of the"
            " corpus)"
        )
    return tuple(sorted(set(asked)))


def settings_of_system(
    system: str, grid: Grid, places: tuple[int, int], models: SearchConfig
) -> dict[str, Any]:
    """A system with its setting by the names that a config file has for them."""
    settings: dict[str, Any] = {"mode": system}
    if system != "bm25" and models.encoder is not None:
        settings["encoder"] = _found_from_anywhere(models.encoder)
    if system in ("hybrid", "rerank"):
        place = places[0] if system == "rerank" else places[1]
        fusion, settings["depth"] = grid.fusions[place]
        settings["fusion"] = fusion.kind
        if fusion.kind == "convex":
            settings["dense_weight"] = fusion.dense_weight
            settings["dense_span"] = fusion.dense_span
        else:
            settings["rrf_k"] = fusion.rrf_k
        settings["neighbour_weight"] = fusion.neighbour_weight
    if system == "rerank":
        settings["rerank_depth"], settings["phrase_weight"], interpolation = grid.reranks[places[1]]
        if not interpolation.depends:  # else it is the model's own, which no config can say
            settings["rerank_weight"] = interpolation.weight
            settings["rerank_normalisation"] = interpolation.normalisation
        if models.reranker is not None:
            settings["reranker"] = _found_from_anywhere(models.reranker)
    return settings


def _kinds(standard: Fusion) -> list[Fusion]:
    """The fusions that are tried at each depth."""
    spans = (0.0, standard.dense_span or _SPAN)
    kinds: list[Fusion] = []
    for near in (0.0, standard.neighbour_weight):
        kinds += (Fusion("rrf", rrf_k=k, neighbour_weight=near) for k in _RRF_KS)
        kinds += (
            Fusion("convex", weight, neighbour_weight=near, dense_span=span)
            for span in spans
            for weight in _WEIGHTS
        )
    return kinds


def _from_default(setting: FusionSetting, standard: Fusion) -> tuple[object, ...]:
    fusion, depth = setting
    return (
        abs(log(depth / _DEFAULT.depth)),
        depth,
        fusion.kind != standard.kind,
        fusion.dense_span != standard.dense_span,
        abs(fusion.neighbour_weight - standard.neighbour_weight),
        abs(fusion.dense_share - standard.dense_share) + abs(fusion.rrf_k - standard.rrf_k),
        fusion.dense_share,
    )


def _distance(one: Interpolation, kept: Interpolation) -> tuple[object, ...]:
    same = one.normalisation == kept.normalisation
    other = one.depends != kept.depends
    return (not same, abs(one.weight - kept.weight), other, one.weight, one.normalisation)


def _found_from_anywhere(model: str) -> str:
    """The model's name; a folder with its whole path, so that a config works in every folder."""
    path = Path(model).expanduser()
    return str(path.resolve()) if path.is_dir() else model
