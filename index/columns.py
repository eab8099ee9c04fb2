"""The types of columns: guessed for text formats, made plain for Parquet.

Knows how a column that holds an int in one row and a float in another ends. The guess does not
depend on the order of the rows. Knows nothing of files, ids or documents.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

Kind = Literal["bool", "int", "float", "string"]

_INT64 = range(-(2**63), 2**63)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")  # no leading zeros: "007" is a name, not a number
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 40


class JsonColumn:
    """Guesses the Arrow type of one JSON key from all its values, then builds its arrays.

    bool -> bool, int -> int64, int and float -> float64, lists of these -> list; a scalar beside
    lists counts as a list of one. Anything else mixed, objects, lists of lists and whole numbers
    outside int64 -> string (their JSON text). Only nulls -> string.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._kinds: set[Kind] = set()
        self._has_lists = False

    def see(self, value: object) -> None:
        """Widen the type so that it can hold `value`."""
        if isinstance(value, list):
            self._has_lists = True
            self._kinds.update(_kind(item) for item in value if item is not None)
        elif value is not None:
            self._kinds.add(_kind(value))

    @property
    def type(self) -> pa.DataType:
        """The narrowest type that holds everything seen."""
        return pa.list_(self._item_type) if self._has_lists else self._item_type

    @property
    def _item_type(self) -> pa.DataType:
        if self._kinds == {"bool"}:
            return pa.bool_()
        if self._kinds == {"int"}:
            return pa.int64()
        if self._kinds and self._kinds <= {"int", "float"}:
            return pa.float64()
        return pa.string()

    def array(self, values: Sequence[object]) -> pa.Array:
        """An array of `type`; every value must have been seen before."""
        item_type = self._item_type
        if self._has_lists:
            rows = [_listed(value, item_type) for value in values]
            return pa.array(rows, pa.list_(item_type))
        return pa.array([_converted(value, item_type) for value in values], item_type)


class CellColumn:
    """The same for one CSV column: its cells are text, an empty cell is a null."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._guess = JsonColumn()

    def see(self, value: object) -> None:
        """Widen the type so that it can hold this cell."""
        self._guess.see(cell_value(str(value)))

    @property
    def type(self) -> pa.DataType:
        """int64, float64, bool, or string when the cells do not agree on one of these."""
        return self._guess.type

    def array(self, values: Sequence[object]) -> pa.Array:
        """An array of `type`; a string column keeps its cells exactly as they are written."""
        if self.type == pa.string():
            return pa.array([value or None for value in values], pa.string())
        return self._guess.array([cell_value(str(value)) for value in values])


def cell_value(cell: str) -> bool | int | float | str | None:
    """What one CSV cell says: nothing, true or false, a number, or text.

    Numbers are plain decimal notation without leading zeros; "NA" and "nan" are text.
    """
    if not cell:
        return None
    if cell in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return cell.lower() == "true"
    if len(cell) > _LONGEST_NUMBER:
        return cell
    if _WHOLE.fullmatch(cell):
        return int(cell)
    if any(c.isdigit() for c in cell) and _DECIMAL.fullmatch(cell) and cell[0] not in "eE":
        number = float(cell)
        return number if math.isfinite(number) else cell
    return cell


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if value in _INT64 else "string"
    return "float" if isinstance(value, float) else "string"


def _converted(value: object, target: pa.DataType) -> object:
    if value is None:
        return None
    if target == pa.string():
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Python's float(), since Arrow refuses to round whole numbers over 2**53
    return float(value) if target == pa.float64() and isinstance(value, int) else value


def _listed(value: object, item_type: pa.DataType) -> list[object] | None:
    if value is None:
        return None
    return [_converted(item, item_type) for item in (value if isinstance(value, list) else [value])]


def plain_type(given: pa.DataType) -> pa.DataType:
    """The type a Parquet column is stored with: dictionaries decoded, 64-bit and view strings 32.

    An Arrow file cannot hold a dictionary that changes between batches, and the comparison
    kernels do not know views. A column of only nulls is stored as string.
    """
    types = pa.types
    if types.is_dictionary(given):
        return plain_type(given.value_type)
    if isinstance(given, pa.BaseExtensionType):
        return plain_type(given.storage_type)
    if is_text(given) or types.is_null(given):
        return pa.string()
    if types.is_large_binary(given) or types.is_binary_view(given):
        return pa.binary()
    return _plain_nested(given) if types.is_nested(given) else given


def _plain_nested(given: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(given):
        return pa.struct([field.with_type(plain_type(field.type)) for field in given])
    if pa.types.is_map(given):
        return pa.map_(plain_type(given.key_type), plain_type(given.item_type))
    if not is_list(given):
        return given
    item = given.value_field.with_type(plain_type(given.value_type))
    if pa.types.is_fixed_size_list(given):
        return pa.list_(item, given.list_size)
    return pa.list_(item)


def plain_array(array: pa.Array, target: pa.DataType) -> pa.Array:
    """`array` as `target`, the `plain_type` of its type."""
    if array.type == target:
        return array
    if isinstance(array.type, pa.BaseExtensionType):
        return plain_array(array.storage, target)
    try:
        return array.cast(target)
    except pa.ArrowNotImplementedError:
        return pa.array(array.to_pylist(), target)


def is_text(given: pa.DataType) -> bool:
    """Whether values of the type are strings, whatever the width of the offsets."""
    types = pa.types
    return bool(
        types.is_string(given) or types.is_large_string(given) or types.is_string_view(given)
    )


def is_list(given: pa.DataType) -> bool:
    """Whether values of the type are lists of any kind, maps not among them."""
    types = pa.types
    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    views = (types.is_list_view, types.is_large_list_view)
    return any(check(given) for check in (*checks, *views))
