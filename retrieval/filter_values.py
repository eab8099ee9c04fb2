"""What the text of a filter's value means for a column of a given Arrow type.

A value is a span: one point for most, a stretch of time for a date that is cut short.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation

import pyarrow as pa

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_YEAR = re.compile(r"\d{4}")
_MONTH = re.compile(r"(\d{4})-(\d{2})")


class ValueProblemError(Exception):
    """The value does not fit; the message says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high`, which is part of it unless `open_end`; both the same for a point."""

    low: pa.Scalar
    high: pa.Scalar
    open_end: bool = False


def span_of(value: str, column_type: pa.DataType, *, ordered: bool) -> Span:
    """What `value` means for the type; `ordered` when the operator asks for more than equality.

    Raises:
        ValueProblemError: it cannot be read as that type, or the type has no such operator.
    """
    types = pa.types
    readers: list[tuple[Callable[[pa.DataType], bool], Callable[[str, pa.DataType], Span]]] = [
        (types.is_string, lambda v, t: _point(v, t)),
        (types.is_integer, lambda v, t: _point(int(v), t)),
        (types.is_floating, _float_span),
        (types.is_boolean, lambda v, t: _point(_TRUTHS[v.lower()], t)),
        (types.is_decimal, _decimal_span),
        (types.is_date, _date_span),
        (types.is_timestamp, _timestamp_span),
        (types.is_time, lambda v, _: _point(time.fromisoformat(v), pa.time64("us"))),
    ]
    read = next((reader for fits, reader in readers if fits(column_type)), None)
    if read is None:
        raise ValueProblemError(f"a {column_type} can only be asked for with '?'")
    if ordered and types.is_boolean(column_type):
        raise ValueProblemError("a bool has no order, expected = != or in")
    try:
        return read(value, column_type)
    except (ValueError, KeyError, OverflowError, InvalidOperation, pa.ArrowException) as error:
        raise ValueProblemError(
            f"'{value}' is no {column_type}, expected {_expected(column_type)}"
        ) from error


def _expected(column_type: pa.DataType) -> str:
    types = pa.types
    expectations = (
        (types.is_integer, "a whole number within its range"),
        (types.is_boolean, "true or false"),
        (types.is_date, "a date like 2019, 2019-05 or 2019-05-03"),
        (types.is_timestamp, "a time like 2019, 2019-05-03 or 2019-05-03T12:30:00"),
        (types.is_time, "a time of day like 12:30:00"),
    )
    return next((text for fits, text in expectations if fits(column_type)), "a number")


def _point(value: object, column_type: pa.DataType) -> Span:
    scalar = pa.scalar(value, column_type)
    return Span(scalar, scalar)


def _float_span(value: str, column_type: pa.DataType) -> Span:
    number = float(value)
    if math.isnan(number):
        raise ValueError(value)
    # rounded to the precision of the column, so that 0.1 finds a float32 0.1
    rounded = pa.scalar(number, column_type)
    half = pa.types.is_float16(column_type)  # no comparison kernels
    scalar = pa.scalar(float(rounded.as_py()), pa.float32()) if half else rounded
    return Span(scalar, scalar)


def _decimal_span(value: str, _: pa.DataType) -> Span:
    scalar = pa.scalar(Decimal(value))
    return Span(scalar, scalar)


def _date_span(value: str, column_type: pa.DataType) -> Span:
    first, after = _days(value)
    return Span(pa.scalar(first, column_type), pa.scalar(after, column_type), open_end=True)


def _timestamp_span(value: str, column_type: pa.DataType) -> Span:
    zone = (
        pa.scalar(0, pa.timestamp("us", column_type.tz)).as_py().tzinfo if column_type.tz else None
    )
    kept = pa.timestamp("us", column_type.tz)
    try:
        first, after = _days(value)
    except ValueError:
        return _point(_moment(datetime.fromisoformat(value), zone), kept)
    low, high = (
        pa.scalar(_moment(datetime(day.year, day.month, day.day), zone), kept)
        for day in (first, after)
    )
    return Span(low, high, open_end=True)


def _moment(given: datetime, zone: tzinfo | None) -> datetime:
    """`given` in the zone of the column, which is assumed where the value names none."""
    if given.tzinfo is not None and zone is None:
        raise ValueError("the column has no time zone, expected none in the value")
    return given.replace(tzinfo=zone) if given.tzinfo is None else given


def _days(value: str) -> tuple[date, date]:
    """The first day that a year, a month or a day names, and the day after its last."""
    if _YEAR.fullmatch(value):
        return date(int(value), 1, 1), date(int(value) + 1, 1, 1)
    if month := _MONTH.fullmatch(value):
        first = date(int(month[1]), int(month[2]), 1)
        return first, (first + timedelta(days=31)).replace(day=1)
    day = date.fromisoformat(value)
    return day, day + timedelta(days=1)
