import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.index.documents import Documents
from scisearch.index.errors import FilterError
from scisearch.retrieval.filters import Filter, Operator, allowed_documents, parse_filter

_WORD = st.text("abAB é.(", max_size=3)
_ROW = st.tuples(
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.sampled_from([-1.5, 0.0, 0.1, 2.0, float("nan")])),
    st.one_of(st.none(), _WORD),
    st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(-3, 3)), max_size=3)),
    st.one_of(st.none(), st.lists(st.one_of(st.none(), _WORD), max_size=3)),
)
_TYPES = [pa.int64(), pa.float64(), pa.string(), pa.list_(pa.int64()), pa.list_(pa.string())]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _holds(value: object, op: Operator, wanted: list[object]) -> bool:
    """The rule in plain Python."""
    if op == "!=":
        return not _holds(value, "=", wanted)
    if op == "?":
        return value is not None and value not in ("", []) and value == value
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if op == "in" and item in wanted:
            return True
        if op == "~" and str(wanted[0]).lower() in str(item).lower():
            return True
        if op in _ORDER and _ORDER[op](item, wanted[0]):
            return True
    return False


@st.composite
def _conditions(draw: st.DrawFn) -> tuple[int, Operator, list[object]]:
    column = draw(st.integers(0, 4))
    operators: list[Operator] = ["=", "!=", "<", "<=", ">", ">=", "in", "?"]
    if column in {2, 4}:
        operators.append("~")
    value: st.SearchStrategy[object] = st.integers(-3, 3)
    if column == 1:
        value = st.sampled_from([-1.5, 0.0, 0.1, 2.0])
    if column in {2, 4}:
        value = _WORD
    op = draw(st.sampled_from(operators))
    return column, op, draw(st.lists(value, min_size=1, max_size=3 if op == "in" else 1))


@given(
    rows=st.lists(_ROW, max_size=25),
    conditions=st.lists(_conditions(), max_size=3),
    chunk=st.integers(1, 9),
)
@settings(deadline=None, max_examples=150)
def test_the_mask_is_what_plain_python_says(
    rows: list[tuple[object, ...]],
    conditions: list[tuple[int, Operator, list[object]]],
    chunk: int,
) -> None:
    count = len(rows)
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(_TYPES)]
    ids = pa.array([str(i) for i in range(count)], pa.string())
    names = ["doc_id", "title", "text", "c0", "c1", "c2", "c3", "c4"]
    table = pa.Table.from_arrays([ids, ids, ids, *columns], names)
    filters = [
        Filter(f"c{i}", op, () if op == "?" else tuple(str(v) for v in wanted))
        for i, op, wanted in conditions
    ]
    documents = Documents(
        table.to_batches(max_chunksize=chunk), table.schema, np.arange(count, dtype=np.int64)
    )
    mask = allowed_documents(documents, filters)
    expected = [all(_holds(row[i], op, wanted) for i, op, wanted in conditions) for row in rows]
    assert mask.tolist() == expected


@given(st.text(st.sampled_from("ab \"',<>=!~?in"), max_size=12))
def test_any_text_is_a_filter_or_a_filter_error(expression: str) -> None:
    try:
        found = parse_filter(expression)
    except FilterError:
        return
    assert found.column
    assert (found.op == "?") == (not found.values)
