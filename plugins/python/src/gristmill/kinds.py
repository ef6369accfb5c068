"""Kinds of stages: what the decorators make of functions and classes."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import pyarrow as pa

from . import readings as told
from . import settings
from .contract import Context, Output, Planned, State
from .errors import ColumnError, StageError
from .schemas import SchemaLike, adding, schema_of
from .pump import Pump
from .work import Rows, Stateful, Tables, Work

O = TypeVar("O")
#: Columns that a stage needs: names, or a function of its options that gives them.
Needs = Sequence[str] | Callable[[Any], Sequence[str]]
#: A schema, or a function that gives it: of the options, or of the options and the input's schema.
SchemaFrom = SchemaLike | Callable[..., SchemaLike]

ROLES = ("source", "transform", "sink")


class Kind:
    """A kind of stage. Calling it calls the function or class that it was made of."""

    def __init__(self, target: Any, name: str, role: str, **words: Any) -> None:
        if role not in ROLES:
            raise ValueError(f"a role is one of {', '.join(ROLES)}, not {role!r}")
        self.target, self.name, self.role = target, name, role
        document = inspect.getdoc(target) or ""
        self.summary = words.get("summary") or " ".join(document.split("\n\n")[0].split())
        self.input_words = words.get("input_words") or _INPUT[role]
        self.output_words = words.get("output_words") or _OUTPUT[role]
        self.options: type | None = None
        self.readings: type | None = None
        self._example: str | None = words.get("example")
        self.__doc__ = document
        self.__name__ = getattr(target, "__name__", name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.target(*args, **kwargs)

    def describe(self) -> dict[str, Any]:
        """What the run is told of it."""
        return {
            "name": self.name,
            "summary": self.summary or f"A stage of the program `{self.__name__}`.",
            "role": self.role,
            "input": self.input_words,
            "output": self.output_words,
            "example": self._example or self._made_example(),
            "options": settings.json_schema(self.options),
            "readings": told.declarations(self.readings),
        }

    def _made_example(self) -> str:
        needed = settings.json_schema(self.options).get("required", [])
        given = ", ".join(f"{name}: …" for name in needed)
        return f"type: {self.name}" + (f"\nwith: {{ {given} }}" if given else "")

    def read(self, options: Any) -> Any:
        """The options as the author sees them."""
        return settings.read(self.options, options or {})

    def new_readings(self) -> Any:
        """The readings of one worker; None of a kind that has declared none."""
        return None if self.readings is None else self.readings()

    @abstractmethod
    def plan(self, options: Any, input: pa.Schema | None) -> Planned:
        """What comes of a stage with these options."""

    @abstractmethod
    def work(self, options: Any, context: Context, readings: Any = None) -> Work:
        """One worker of a transform or a sink."""

    def pump(self, options: Any, context: Context, readings: Any = None) -> Pump:
        """One worker of a source."""
        raise StageError(f"`{self.name}` is no source", kind="internal")


_INPUT = {"source": "none", "transform": "any columns", "sink": "any columns"}
_OUTPUT = {"source": "columns of its own", "transform": "columns of its own", "sink": "none"}


class _Function(Kind):
    """A kind made of a function, whose parameters beyond the first are found by their names."""

    def __init__(self, target: Any, name: str, role: str, **words: Any) -> None:
        super().__init__(target, name, role, **words)
        signature = inspect.signature(target)
        self.parameters = list(signature.parameters)
        hints = _hints(target)
        hint = hints.get("options")
        if hint is not None and not dataclasses.is_dataclass(hint):
            raise TypeError(f"the options of `{name}` must be a dataclass, not {hint}")
        self.options = hint if isinstance(hint, type) else None
        self.readings = told.checked(_annotated(target, hints, "readings"), name)
        first = 0 if role == "source" else 1
        for extra in self.parameters[first:]:
            if extra not in ("options", "context", "position", "readings"):
                raise TypeError(
                    f"`{name}` has a parameter `{extra}`; beside its input it can have "
                    "`options`, `context` and `readings`"
                )
        self.hints = hints
        self.output: SchemaFrom | None = words.get("output")
        self.adds: SchemaFrom | None = words.get("adds")
        self.needs: Needs = words.get("needs") or []
        self.extra: dict[str, Any] = words.get("planned") or {}

    def bound(self, options: Any, context: Context, readings: Any) -> dict[str, Any]:
        """What the function gets besides its input."""
        known = {"options": options, "context": context, "readings": readings}
        return {name: known[name] for name in self.parameters if name in known}

    def needed(self, options: Any) -> list[str]:
        """The columns that must be there."""
        needs = self.needs(options) if callable(self.needs) else self.needs
        return list(needs)

    def plan(self, options: Any, input: pa.Schema | None) -> Planned:
        schema = input if input is not None else pa.schema([])
        for name in self.needed(options):
            if name not in schema.names:
                raise ColumnError(name, option=_naming(options, name))
        if self.role == "sink":
            output = pa.schema([])
        elif self.adds is not None:
            output = adding(schema, _schema_from(self.adds, options, schema))
        elif self.output is not None:
            output = _schema_from(self.output, options, schema)
        else:
            output = schema
        extra = self.extra(options) if callable(self.extra) else self.extra
        planned = Planned(output=output, **extra)
        if planned.needs is None and self.role != "source" and self.says_needs():
            planned.needs = self.needed(options)
            if self.role == "transform" and (self.adds is not None or self.output is None):
                made = _schema_from(self.adds or {}, options, schema).names
                used = {*planned.needs, *made}
                planned.passes = [name for name in schema.names if name not in used]
        return planned

    def says_needs(self) -> bool:
        """Whether it says which columns it uses."""
        return bool(self.needs)


class RowKind(_Function):
    """A function of a row."""

    def __init__(self, target: Any, name: str, role: str, **words: Any) -> None:
        super().__init__(target, name, role, **words)
        first = self.hints.get(self.parameters[0]) if self.parameters else None
        self.row_type = first if dataclasses.is_dataclass(first) else None
        if self.output is None and self.adds is None:
            self.output = _returned(self.hints.get("return"))

    def says_needs(self) -> bool:
        return self.row_type is not None or super().says_needs()

    def needed(self, options: Any) -> list[str]:
        if self.row_type is not None:
            return [f.name for f in dataclasses.fields(self.row_type) if f.init]
        return super().needed(options)

    def work(self, options: Any, context: Context, readings: Any = None) -> Work:
        bound = self.bound(options, context, readings)
        target = self.target
        call = (lambda row: target(row, **bound)) if bound else target
        added = None
        if self.adds is not None or self.output is None:
            # What it does not give back stays as it came in.
            added = _schema_from(self.adds or {}, options, context.input).names
        names = self.needed(options) or list(context.input.names)
        sink = self.role == "sink"
        return Rows(context, call, names, self.row_type, added, sink)  # type: ignore[arg-type]


class TableKind(_Function):
    """A function of tables or frames."""

    def __init__(self, target: Any, name: str, role: str, library: str, **words: Any) -> None:
        super().__init__(target, name, role, **words)
        self.convert = _CONVERSIONS[library]

    def work(self, options: Any, context: Context, readings: Any = None) -> Work:
        bound = self.bound(options, context, readings)
        target = self.target
        convert = self.convert()
        return Tables(context, lambda rows: target(rows, **bound), convert, self.role == "sink")


class SourceKind(_Function):
    """A generator."""

    def plan(self, options: Any, input: pa.Schema | None) -> Planned:
        planned = super().plan(options, None)
        if planned.single is None and "context" not in self.parameters:
            planned.single = "each would begin at the beginning"
        return planned

    def work(self, options: Any, context: Context, readings: Any = None) -> Work:
        raise StageError(f"`{self.name}` is a source", kind="internal")

    def pump(self, options: Any, context: Context, readings: Any = None) -> Pump:
        bound = self.bound(options, context, readings)
        takes_position = "position" in self.parameters

        def start(position: Any) -> Any:
            more = {"position": position} if takes_position else {}
            return self.target(**bound, **more)

        return Pump(context, start, takes_position)


class ClassKind(Kind):
    """A class of the author, with a state of its own."""

    def __init__(self, target: Any, name: str, role: str, **words: Any) -> None:
        super().__init__(target, name, role, **words)
        hints = _hints(target.__init__)
        hint = hints.get("options")
        self.options = hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None
        self.readings = told.checked(_annotated(target.__init__, hints, "readings"), name)

    def plan(self, options: Any, input: pa.Schema | None) -> Planned:
        planned = self.target.plan(options, input if input is not None else pa.schema([]))
        if not isinstance(planned, Planned):
            planned = Planned(output=planned)
        sink = self.role == "sink"
        planned.output = pa.schema([]) if sink else schema_of(planned.output)
        return planned

    def work(self, options: Any, context: Context, readings: Any = None) -> Work:
        more = {} if self.readings is None else {"readings": readings}
        return Stateful(context, self.target(options, context, **more))


class Stage(Generic[O]):
    """A transform or a sink with a state. Make it known with ``@gristmill.stage``.

    An exception ends the run, because nobody knows what state it left behind; to reject rows, call
    ``out.reject``, or raise ``gristmill.Reject`` before the state has changed.
    """

    def __init__(self, options: O, context: Context) -> None:
        self.options, self.context = options, context

    @classmethod
    def plan(cls, options: O, input: pa.Schema) -> Planned | SchemaLike:
        """What comes out for this input."""
        return input

    def process(self, batch: pa.RecordBatch, out: Output) -> None:
        """Takes a batch."""
        raise NotImplementedError

    def finish(self, out: Output) -> None:
        """No more batches come: puts out what is left."""

    def snapshot(self) -> State | None:
        """All that was taken in and has not come out. With it an equal stage goes on, as
        ``context.restored``. None: there is no state."""
        return None

    def committed(self, epoch: int) -> None:
        """What was staged before this may be published."""


def rows(name: str, *, role: str = "transform", **words: Any) -> Callable[[Any], RowKind]:
    """Makes a kind of a function of a row.

    The row is a dict, or the dataclass that the first parameter is annotated with. The function
    gives back a dict or a dataclass, None to leave the row out, or several of them. An exception
    rejects the row.

    ``adds``: columns that come to those of the input, which stay as they are; or ``output``: all
    columns that come out (by default those of the dataclass that the function returns, or else
    of the input). ``needs``: the columns of the input that the row has, all by default.
    """
    return lambda target: RowKind(target, name, role, **words)


def tables(name: str, *, role: str = "transform", **words: Any) -> Callable[[Any], TableKind]:
    """Makes a kind of a function of a ``pyarrow.RecordBatch``, which gives back a batch, a table, a
    frame, None, or a list of them. An exception rejects the batch. See ``rows`` for the words."""
    return lambda target: TableKind(target, name, role, "arrow", **words)


def frames(
    name: str, *, library: str = "pandas", role: str = "transform", **words: Any
) -> Callable[[Any], TableKind]:
    """Makes a kind of a function of a frame of ``pandas`` or ``polars``. See ``tables``."""
    if library not in _CONVERSIONS:
        raise ValueError(f"a library is `pandas` or `polars`, not {library!r}")
    return lambda target: TableKind(target, name, role, library, **words)


def source(name: str, *, output: SchemaFrom, **words: Any) -> Callable[[Any], SourceKind]:
    """Makes a source of a generator of rows or tables.

    It yields dicts or dataclasses, batches, tables or frames; ``Position(value)`` for a place to go
    on from, given to the parameter ``position`` after a restart (None at first); ``Wait(seconds)``
    when there is nothing now. With a parameter ``context`` it can have several workers.
    """
    return lambda target: SourceKind(target, name, "source", output=output, **words)


def stage(name: str, *, role: str = "transform", **words: Any) -> Callable[[Any], ClassKind]:
    """Makes a kind of a subclass of ``Stage``."""
    return lambda target: ClassKind(target, name, role, **words)


def _naming(options: Any, column: str) -> str | None:
    """The option that a column was named by."""
    fields = dataclasses.fields(options) if dataclasses.is_dataclass(options) else ()
    for field in fields:
        value = getattr(options, field.name)
        if value == column:
            return field.name
        if isinstance(value, list) and column in value:
            return f"{field.name}[{value.index(column)}]"
    return None


def _annotated(target: Any, hints: Mapping[str, Any], parameter: str) -> Any:
    """What a parameter is annotated with; None if there is no such parameter."""
    if parameter not in inspect.signature(target).parameters:
        return None
    if parameter not in hints:
        raise TypeError(f"`{parameter}` of {target} needs a type: a dataclass")
    return hints[parameter]


def _hints(target: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise TypeError(f"a type of {target} is not known: {error}") from error


def _returned(hint: Any) -> Any:
    """The dataclass that a function returns, alone or in a list, if it says so."""
    for part in (hint, *typing.get_args(hint)):
        for inner in (part, *typing.get_args(part)):
            if dataclasses.is_dataclass(inner):
                return inner
    return None


def _schema_from(given: Any, options: Any, input: pa.Schema) -> pa.Schema:
    if callable(given) and not isinstance(given, type):
        count = len(inspect.signature(given).parameters)
        given = given(options, input) if count > 1 else given(options)
    return schema_of(given)


def _arrow() -> Callable[[pa.RecordBatch], Any]:
    return lambda batch: batch


def _pandas() -> Callable[[pa.RecordBatch], Any]:
    import pandas  # noqa: F401  (says at once if it is missing)

    return lambda batch: batch.to_pandas()


def _polars() -> Callable[[pa.RecordBatch], Any]:
    import polars

    return lambda batch: polars.from_arrow(pa.Table.from_batches([batch]))


_CONVERSIONS = {"arrow": _arrow, "pandas": _pandas, "polars": _polars}
