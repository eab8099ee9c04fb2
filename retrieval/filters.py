"""Metadata filters: an expression such as `year >= 2015`, and which documents it allows.

    column = value     also == and !=; exact, upper and lower case differ
    column >= value    also <= > <
    column ~ text      contains the text, case ignored
    column in a, b, c  equals one of them
    column?            is present: not null, not "", not an empty list, not NaN

Values are read by the column's Arrow type; quote a column or value that holds operators, commas or
outer space: `"p < 0.05" in "yes, twice", no`. A date may be cut short and then means the whole
year, month or day: `published <= 2019` includes December, `published = 2019-05` any day of May.
A list matches when one of its elements does. A null matches nothing, with one exception:
`!=` allows exactly the documents that `=` does not, so also those without a value.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pyarrow as pa

from scisearch.index.columns import is_list
from scisearch.index.errors import FilterError
from scisearch.retrieval.filter_values import Span, ValueProblemError, span_of

if TYPE_CHECKING:
    from scisearch.index.documents import Documents
    from scisearch.retrieval.ranking import Mask

Operator = Literal["=", "!=", ">=", "<=", ">", "<", "~", "in", "?"]

_QUOTED_COLUMN = re.compile(r'\s*"([^"]+)"')
_OPERATOR = re.compile(r"\s*(>=|<=|!=|==|=|>|<|~|\bin\b(?=\s))\s*", re.IGNORECASE)
_FORMS = "'column = value', != >= <= > <, 'column ~ text', 'column in a, b', or 'column?'"
_SHOWN_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `values` is one text, several for `in`, none for `?`."""

    column: str
    op: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The condition as one may type it."""
        if self.op == "?":
            return f"{self.column}?"
        return f"{self.column} {self.op} {', '.join(self.values)}"


def parse_filter(expression: str) -> Filter:
    """The condition that `expression` states; the leftmost operator divides it.

    Raises:
        FilterError: it has none of the forms above.
    """
    quoted = _QUOTED_COLUMN.match(expression)
    begin = quoted.end() if quoted else 0
    found = _divider(expression, begin)
    if found is None and not expression.rstrip().endswith("?"):
        raise FilterError(f"filter {expression!r}: no operator, expected {_FORMS}")
    end = found.start() if found else len(expression.rstrip()) - 1
    column = expression[:end].strip()
    if quoted:
        column = quoted[1] if not expression[begin:end].strip() else ""
    if not column:
        raise FilterError(f"filter {expression!r}: no column, expected {_FORMS}")
    if found is None:
        return Filter(column, "?")
    sign = found[1].lower()
    op = cast("Operator", "=" if sign == "==" else sign)
    return Filter(column, op, _values(expression[found.end() :].strip(), op, expression))


def _divider(expression: str, begin: int) -> re.Match[str] | None:
    for found in _OPERATOR.finditer(expression, begin):
        word = found[1].lower() == "in"
        # `in` is a word of its own: after white space or a quoted column
        if not word or found.start() < found.start(1) or found.start() == begin > 0:
            return found
    return None


def _values(text: str, op: Operator, expression: str) -> tuple[str, ...]:
    if op == "in":
        values = next(csv.reader([text], skipinitialspace=True), [])
        values = [value.strip() for value in values]
        if not values or ("" in values and '""' not in text):
            raise FilterError(f"filter {expression!r}: an empty value, expected 'column in a, b'")
        return tuple(values)
    if not text:
        raise FilterError(f'filter {expression!r}: no value, expected {_FORMS}; "" is no text')
    if text[0] in "<>=":
        raise FilterError(
            f"filter {expression!r}: two operators in a row, expected {_FORMS}; quote a value"
            " that begins with one"
        )
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return (text,)


def allowed_documents(documents: "Documents", filters: Sequence[Filter]) -> "Mask":
    """(n_docs,) bool: where all the filters hold; all true without any.

    Goes through the record batches of the columns named, one at a time.

    Raises:
        FilterError: an unknown column, a value that does not fit its type, an operator that its
            type does not have.
    """
    allowed = np.ones(len(documents), np.bool_)
    for condition in filters:
        path, column_type = _resolve(documents.schema, condition)
        try:
            test = _Test(condition, column_type)
            masks = [test.mask(_field(chunk, path)) for chunk in documents.column(path[0]).chunks]
        except (ValueProblemError, pa.ArrowInvalid) as error:
            raise FilterError(
                f"filter {str(condition)!r}: {error}; columns: {_columns(documents.schema)}"
            ) from error
        if masks:
            allowed &= np.concatenate(masks)
    return allowed


class FilterMasks:
    """The masks of filter expressions over the documents of an index, each computed once."""

    def __init__(self, documents: "Documents") -> None:
        """Nothing is read yet."""
        self._documents = documents
        self._known: dict[tuple[str, ...], Mask] = {}

    def of(self, expressions: Sequence[str]) -> "Mask | None":
        """(n_docs,) bool: where all of the expressions hold; None without any.

        Raises:
            FilterError: one is malformed or does not fit the index.
        """
        key = tuple(expressions)
        if not key:
            return None
        if key not in self._known:
            parsed = [parse_filter(expression) for expression in key]
            self._known[key] = allowed_documents(self._documents, parsed)
        return self._known[key]


def _resolve(schema: pa.Schema, condition: Filter) -> tuple[list[str], pa.DataType]:
    """The path to a column, or with dots to a field inside a struct column, and its type."""
    name = condition.column
    for wanted in ([name], name.split(".")):
        path: list[str] = []
        fields = list(schema)
        column_type = pa.null()
        for part in wanted:
            exact = [field for field in fields if field.name == part]
            found = exact or [field for field in fields if field.name.lower() == part.lower()]
            if len(found) != 1:
                break
            path.append(found[0].name)
            column_type = found[0].type
            fields = list(column_type) if pa.types.is_struct(column_type) else []
        else:
            return path, column_type
    raise FilterError(
        f"filter {str(condition)!r}: no column '{name}'; expected one of {_columns(schema)}"
    )


def _columns(schema: pa.Schema) -> str:
    names = [f"{field.name} ({field.type})" for field in list(schema)[:_SHOWN_COLUMNS]]
    more = len(schema) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _field(chunk: pa.Array, path: Sequence[str]) -> pa.Array:
    for name in path[1:]:
        # flatten() carries the nulls of the struct over to its fields
        chunk = chunk.flatten()[chunk.type.get_field_index(name)]
    return chunk


class _Test:
    """One condition made ready for the type of its column."""

    def __init__(self, condition: Filter, column_type: pa.DataType) -> None:
        self._op: Operator = condition.op
        self._in_list = is_list(column_type)
        self._type = column_type.value_type if self._in_list else column_type
        self._spans: list[Span] = []
        self._text = ""
        if self._op == "~":
            if not pa.types.is_string(self._type):
                raise ValueProblemError(f"{condition.column} is {column_type}, ~ needs text")
            self._text = condition.values[0]
        elif self._op != "?":
            ordered = self._op not in {"=", "!=", "in"}
            self._spans = [
                span_of(value, self._type, ordered=ordered) for value in condition.values
            ]

    def mask(self, chunk: pa.Array) -> "Mask":
        """(len(chunk),) bool."""
        if self._op == "?":
            return self._present(chunk)
        if not self._in_list:
            matches = self._matches(chunk)
        else:
            parents = _call("list_parent_indices", chunk).to_numpy()
            matches = np.zeros(len(chunk), np.bool_)
            matches[parents[self._matches(chunk.flatten())]] = True
        return ~matches if self._op == "!=" else matches

    def _present(self, chunk: pa.Array) -> "Mask":
        valid = _numpy(chunk.is_valid())
        if pa.types.is_string(chunk.type):
            return valid & ~_numpy(_call("equal", chunk, pa.scalar("")))
        if pa.types.is_floating(chunk.type):
            return valid & ~_numpy(_call("is_nan", chunk))
        if self._in_list:
            return valid & (_numpy(_call("list_value_length", chunk).fill_null(0)) > 0)
        return valid

    def _matches(self, values: pa.Array) -> "Mask":
        if self._op == "~":
            from pyarrow.compute import MatchSubstringOptions

            options = MatchSubstringOptions(self._text, ignore_case=True)
            return _numpy(_call("match_substring", values, options=options))
        if pa.types.is_float16(values.type):
            values = values.cast(pa.float32())
        found = np.zeros(len(values), np.bool_)
        for span in self._spans:
            found |= _within(values, span, self._op)
        return found


def _within(values: pa.Array, span: Span, op: Operator) -> "Mask":
    low, high = span.low, span.high
    if op == "<":
        return _numpy(_call("less", values, low))
    if op == ">=":
        return _numpy(_call("greater_equal", values, low))
    if op == "<=":
        return _numpy(_call("less" if span.open_end else "less_equal", values, high))
    if op == ">":
        return _numpy(_call("greater_equal" if span.open_end else "greater", values, high))
    if not span.open_end:
        return _numpy(_call("equal", values, low))
    return _numpy(_call("greater_equal", values, low)) & _numpy(_call("less", values, high))


def _call(function: str, *values: pa.Array | pa.Scalar, options: Any = None) -> pa.Array:
    from pyarrow.compute import call_function  # 0.06 s that a search without filters need not pay

    return call_function(function, list(values), options)


def _numpy(flags: pa.Array) -> "Mask":
    """Arrow answers null for null; a null matches nothing."""
    filled = flags.fill_null(False) if pa.types.is_boolean(flags.type) else flags
    return np.asarray(filled.to_numpy(zero_copy_only=False))
