"""Names of measures, as ir_measures spells them, checked before anything is computed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scisearch.index.errors import ConfigError
from scisearch.retrieval.textfile import shown

if TYPE_CHECKING:
    from ir_measures import Measure

DEFAULT_MEASURES = ("nDCG@10", "P@10", "RR@10", "AP", "R@100")
_EXAMPLES = "nDCG@10, P@10, RR@10, AP, R@100, P(rel=2)@5, Judged@10"
# trec_eval, in C below, ends the process on a cutoff of 0; none above can mean anything either.
_LARGEST_CUTOFF = 1_000_000


def parse_measures(names: Sequence[str]) -> "tuple[Measure, ...]":
    """The measures of these names, each once, in their order.

    Raises:
        ConfigError: a name that is no measure, one that no installed provider computes, or a count
            such as NumQ, which has no mean over queries.
    """
    measures = {parse_measure(name): None for name in names}
    if not measures:
        raise ConfigError(f"found no measure, expected at least one such as {_EXAMPLES}")
    return tuple(measures)


def parse_measure(name: str) -> "Measure":
    """The measure of this name.

    Raises:
        ConfigError: as for `parse_measures`.
    """
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name.strip())
        _check_parameters(measure.params)
        pipeline: Any = ir_measures.DefaultPipeline
        supported = pipeline.supports(measure)
    except (NameError, ValueError, TypeError, AssertionError, MemoryError, RecursionError) as error:
        raise ConfigError(
            f"measure {shown(name)}: not a measure that can be computed, expected one such as"
            f" {_EXAMPLES}"
        ) from error
    if not supported:
        raise ConfigError(
            f"measure {measure}: no installed provider of ir_measures computes it; install one"
            f" (pip install pyndeval cwl-eval) or choose one such as {_EXAMPLES}"
        )
    if not isinstance(measure.aggregator(), ir_measures.measures.MeanAgg):
        raise ConfigError(
            f"measure {measure}: a count over all queries, expected a mean over queries such as"
            f" {_EXAMPLES}"
        )
    return measure


def cutoff_of(measure: "Measure") -> int | None:
    """How many hits the measure looks at, None for all of them."""
    cutoff = measure.params.get("cutoff")
    return cutoff if isinstance(cutoff, int) else None


def _check_parameters(parameters: "dict[str, object]") -> None:
    for name in ("cutoff", "rel"):
        value = parameters.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{name} is {value!r}")
        if not 1 <= value <= _LARGEST_CUTOFF:
            raise ValueError(f"{name} is {value}")
