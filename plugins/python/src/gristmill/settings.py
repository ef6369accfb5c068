"""Options of a stage: a dataclass gives the JSON Schema, and takes what stands under ``with:``."""

from __future__ import annotations

import dataclasses
import enum
import math
import pathlib
import types
import typing
from typing import Any, TypeVar

from .errors import OptionError, StageError

T = TypeVar("T")
_MISSING = dataclasses.MISSING

#: Types that JSON has a word for.
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", pathlib.Path: "string"}


def option(
    default: Any = _MISSING,
    *,
    doc: str = "",
    factory: Any = _MISSING,
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
    examples: list[Any] | None = None,
) -> Any:
    """A field of an options dataclass with its documentation, which ``gristmill stages KIND`` shows.

    Without a default the option must be given. ``factory`` makes a default that is a list or a
    mapping. ``minimum``, ``maximum`` and ``pattern`` are checked before the stage sees the value.
    """
    words = {
        "description": doc or None,
        "minimum": minimum,
        "maximum": maximum,
        "pattern": pattern,
        "examples": examples,
    }
    schema = {word: value for word, value in words.items() if value is not None}
    metadata = {"gristmill": schema}
    if factory is not _MISSING:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    if default is not _MISSING:
        return dataclasses.field(default=default, metadata=metadata)
    return dataclasses.field(metadata=metadata)


def json_schema(options: type | None) -> dict[str, Any]:
    """The JSON Schema of an options dataclass; of none, that of a stage without options."""
    if options is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    definitions: dict[str, Any] = {}
    schema = _object(options, definitions)
    if definitions:
        schema["$defs"] = definitions
    return schema


def _object(options: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(options)
    properties: dict[str, Any] = {}
    required = []
    for field in dataclasses.fields(options):
        if not field.init:
            continue
        schema = _schema(hints[field.name], definitions)
        own = field.metadata.get("gristmill", {})
        if own and "$ref" in schema:
            schema = {"allOf": [schema]}
        schema.update(own)
        default = field.default
        if field.default_factory is not _MISSING:
            default = field.default_factory()
        if default is _MISSING:
            required.append(field.name)
        else:
            schema["default"] = _as_json(default)
        properties[field.name] = schema
    result: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        result["required"] = required
    return result


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if hint is Any or hint is object:
        return {}
    if hint is type(None):
        return {"type": "null"}
    if origin is typing.Annotated:
        return _schema(args[0], definitions)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if origin in (typing.Union, types.UnionType):
        return _union([_schema(arg, definitions) for arg in args])
    if hint is list or origin is list:
        return {"type": "array", **({"items": _schema(args[0], definitions)} if args else {})}
    if hint is dict or origin is dict:
        if not args:
            return {"type": "object"}
        return {"type": "object", "additionalProperties": _schema(args[1], definitions)}
    if dataclasses.is_dataclass(hint):
        name = typing.cast(type, hint).__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _object(typing.cast(type, hint), definitions)
        return {"$ref": f"#/$defs/{name}"}
    raise TypeError(
        f"an option cannot be of the type {hint}: use str, int, float, bool, Path, Literal, Enum, "
        "list, dict, a dataclass, or several of them with |"
    )


def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if all(list(part) == ["type"] for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read(options: type[T] | None, value: Any, path: str = "") -> T | None:
    """An instance of an options dataclass from JSON.

    :raises OptionError: with the path of what does not fit.
    """
    if options is None:
        return None
    if not isinstance(value, dict):
        raise OptionError(path, "it must be a mapping of options")
    hints = typing.get_type_hints(options)
    fields = {f.name: f for f in dataclasses.fields(options) if f.init}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise OptionError(_join(path, name), f"there is no option `{name}`")
    given = {
        name: _value(hints[name], item, _join(path, name)) for name, item in value.items()
    }
    missing = [
        name
        for name, field in fields.items()
        if name not in given
        and field.default is _MISSING
        and field.default_factory is _MISSING
    ]
    if missing:
        raise OptionError(path, f"the option `{missing[0]}` is missing")
    try:
        return options(**given)
    except StageError:
        raise
    except (ValueError, TypeError) as error:
        raise OptionError(path, str(error)) from error


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value(hint: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _value(args[0], value, path)
    if origin in (typing.Union, types.UnionType):
        return _one_of(args, value, path)
    if hint is Any or hint is object:
        return value
    if hint is type(None) and value is None:
        return None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is pathlib.Path and isinstance(value, str):
        return pathlib.Path(value)
    if hint in _PLAIN and type(value) is hint:
        return value
    if origin is typing.Literal and value in args:
        return value
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value in [member.value for member in hint]:
            return hint(value)
    if (hint is list or origin is list) and isinstance(value, list):
        item = args[0] if args else Any
        return [_value(item, one, f"{path}[{place}]") for place, one in enumerate(value)]
    if (hint is dict or origin is dict) and isinstance(value, dict):
        item = args[1] if args else Any
        return {key: _value(item, one, _join(path, key)) for key, one in value.items()}
    if dataclasses.is_dataclass(hint):
        return read(typing.cast(type, hint), value, path)
    raise OptionError(path, f"{value!r} does not fit")


def _one_of(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    first: OptionError | None = None
    for hint in hints:
        try:
            return _value(hint, value, path)
        except OptionError as error:
            # That of a mapping that goes wrong deep inside says more than that of a type.
            if first is None or len(error.option or "") > len(first.option or ""):
                first = error
    raise first or OptionError(path, f"{value!r} does not fit")
