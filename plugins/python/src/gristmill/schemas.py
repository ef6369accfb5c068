"""Schemas of what a stage puts out, in whatever form they were written."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import types
import typing
from collections.abc import Mapping
from typing import Any, Union

import pyarrow as pa

from .errors import StageError

#: What a schema can be written as: ``{"n": "int64"}``, a ``pa.Schema``, or a dataclass.
SchemaLike = Union[pa.Schema, Mapping[str, Any], type]

_WORDS = {
    "string": pa.string(),
    "json": pa.string(),
    "binary": pa.binary(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
_TYPES = {
    str: pa.string(),
    bytes: pa.binary(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime.datetime: pa.timestamp("us", tz="UTC"),
    datetime.date: pa.date32(),
    decimal.Decimal: pa.decimal128(38, 9),
}


def schema_of(given: SchemaLike) -> pa.Schema:
    """The schema that was meant."""
    if isinstance(given, pa.Schema):
        return given
    if isinstance(given, Mapping):
        return pa.schema([pa.field(name, type_of(kind)) for name, kind in given.items()])
    if dataclasses.is_dataclass(given):
        hints = typing.get_type_hints(given)
        fields = [f.name for f in dataclasses.fields(given)]
        return pa.schema([pa.field(name, type_of(hints[name])) for name in fields])
    raise StageError(
        f"{given!r} is no schema: use a dict of types, a pyarrow.Schema or a dataclass",
        kind="internal",
    )


def type_of(given: Any) -> pa.DataType:
    """The type of a column: a word (``int64``), a Python type, or a ``pa.DataType``."""
    if isinstance(given, pa.DataType):
        return given
    if isinstance(given, str) and given in _WORDS:
        return _WORDS[given]
    if isinstance(given, str):
        try:
            return pa.type_for_alias(given)
        except ValueError:
            words = ", ".join(f"`{word}`" for word in _WORDS)
            raise StageError(
                f"there is no type `{given}`", kind="internal", help=f"there are {words}"
            ) from None
    origin, args = typing.get_origin(given), typing.get_args(given)
    if given in _TYPES:
        return _TYPES[given]
    if origin in (typing.Union, types.UnionType):
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) == 1:
            return type_of(rest[0])
    if origin is list and args:
        return pa.list_(type_of(args[0]))
    if dataclasses.is_dataclass(given):
        return pa.struct(list(schema_of(typing.cast(type, given))))
    raise StageError(f"there is no type of a column for {given!r}", kind="internal")


def adding(schema: pa.Schema, more: pa.Schema) -> pa.Schema:
    """A schema with columns added; those of the same name take the place of the old ones."""
    for field in more:
        place = schema.get_field_index(field.name)
        schema = schema.append(field) if place < 0 else schema.set(place, field)
    return schema
