"""Why the ids of a run and of its judgements never meet: a guess that saves an afternoon."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

_COMPARED_IDS = 200
_TELLING_LENGTH = 4  # shorter beginnings meet by chance


def likely_cause(found: Iterable[str], expected: Iterable[str]) -> str:
    """The first simple change that makes two sets of ids meet, which have nothing in common.

    Args:
        found: ids of the run.
        expected: ids of the judgements.
    """
    found_ids = list(islice(found, _COMPARED_IDS))
    expected_ids = dict.fromkeys(expected)
    for change, cause in _CHANGES:
        if {change(i) for i in found_ids} & {change(i) for i in expected_ids}:
            return f"the ids differ only by {cause}"
    few = list(islice(expected_ids, _COMPARED_IDS))
    length = max(map(len, found_ids), default=0)
    if length >= _TELLING_LENGTH and {e[:length] for e in expected_ids} & set(found_ids):
        return f"the ids of the run look cropped at {length} characters"
    if prefix := _shared_prefix(found_ids, expected_ids):
        return f"the ids of the run have the prefix {prefix!r} that the judgements lack"
    if prefix := _shared_prefix(few, set(found_ids)):
        return f"the ids of the judgements have the prefix {prefix!r} that the run lacks"
    if mark := _shared_mark(found_ids, expected_ids):
        return f"the ids of the run have an ending from {mark!r} on; are these passages?"
    return "they seem to be of different collections or splits"


def _shared_prefix(ids: Sequence[str], bare: Collection[str]) -> str | None:
    """What most ids have before the rest that is in `bare`; a number's own digits do not count."""
    prefixes = Counter(
        i[:end]
        for i in ids
        for end in range(1, len(i))
        if i[end:] in bare and not i[end - 1].isdigit()
    )
    return _majority(prefixes, len(ids))


def _shared_mark(ids: Sequence[str], bare: Collection[str]) -> str | None:
    """The sign, such as #, at which most ids go on after a beginning that is in `bare`."""
    marks = Counter(
        i[end] for i in ids for end in range(1, len(i)) if i[:end] in bare and not i[end].isalnum()
    )
    return _majority(marks, len(ids))


def _majority(counts: Counter[str], total: int) -> str | None:
    (text, count), *_ = [*counts.most_common(1), ("", 0)]
    return text if 2 * count > total else None


def _without_float_end(identifier: str) -> str:
    return identifier.removesuffix(".0")


def _without_zeros(identifier: str) -> str:
    return identifier.lstrip("0")


_CHANGES: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.casefold, "upper and lower case"),
    (_without_float_end, "a '.0': a column of numbers was read as floats"),
    (_without_zeros, "leading zeros: a column of strings was read as numbers"),
)
