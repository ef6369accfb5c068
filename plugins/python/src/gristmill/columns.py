"""Columns to Python values and back, faster than value by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: Of types whose values stand one beside the other: how Python reads them.
_FORMATS = {
    pa.int8(): "b",
    pa.int16(): "h",
    pa.int32(): "i",
    pa.int64(): "q",
    pa.uint8(): "B",
    pa.uint16(): "H",
    pa.uint32(): "I",
    pa.uint64(): "Q",
    pa.float32(): "f",
    pa.float64(): "d",
}


def values(column: pa.Array) -> list[Any]:
    """The values of a column, null as None."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return values(column.dictionary_decode())
    if pa.types.is_boolean(kind):
        return _with_nulls(column, list(map(bool, _numbers(column.cast(pa.uint8()), "B"))))
    if kind in _FORMATS:
        return _with_nulls(column, _numbers(column, _FORMATS[kind]))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _with_nulls(column, _texts(column, "i" if pa.types.is_string(kind) else "q"))
    return column.to_pylist()  # type: ignore[no-any-return]


def _numbers(column: pa.Array, form: str) -> list[Any]:
    data = column.buffers()[1]
    if len(column) == 0 or data is None:
        return []
    size = _SIZES[form]
    start = column.offset * size
    view = memoryview(data).cast("B")[start : start + len(column) * size]
    found: list[Any] = view.cast(form).tolist()  # type: ignore[call-overload]
    return found


_SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}


def _texts(column: pa.Array, form: str) -> list[str]:
    _, offsets, data = column.buffers()
    if len(column) == 0 or offsets is None:
        return []
    size = _SIZES[form]
    start = column.offset * size
    view = memoryview(offsets).cast("B")[start : start + (len(column) + 1) * size]
    ends: list[int] = view.cast(form).tolist()  # type: ignore[call-overload]
    first, last = ends[0], ends[-1]
    block = bytes(memoryview(data).cast("B")[first:last]) if data is not None else b""
    if block.isascii():
        text = block.decode("ascii")
        return [text[a - first : b - first] for a, b in zip(ends, ends[1:])]
    return [block[a - first : b - first].decode() for a, b in zip(ends, ends[1:])]


def _with_nulls(column: pa.Array, found: list[Any]) -> list[Any]:
    if column.null_count:
        for place in pc.indices_nonzero(column.is_null()).to_pylist():
            found[place] = None
    return found


def rows(batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a batch as dicts of these columns."""
    if not names:
        return [{} for _ in range(batch.num_rows)]
    lists = [values(batch.column(name)) for name in names]
    return [dict(zip(names, row)) for row in zip(*lists)]


def build(field: pa.Field, found: list[Any]) -> tuple[pa.Array, dict[int, str]]:
    """A column of these values, and why those do not fit that do not: they are null in it."""
    try:
        column = pa.array(found, type=field.type)
        if field.nullable or not column.null_count:
            return column, {}
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    wrong: dict[int, str] = {}
    kept = list(found)
    for place, value in enumerate(found):
        try:
            pa.array([value], type=field.type)
            if value is None and not field.nullable:
                wrong[place] = f"column `{field.name}`: it cannot be null"
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            wrong[place] = f"column `{field.name}`: {text}"
            kept[place] = None
    return pa.array(kept, type=field.type), wrong
