"""What a stage is told and what it is given to put its rows into."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from .errors import LONGEST, Cause, StageError, known


@dataclasses.dataclass(frozen=True)
class State:
    """What a stage needs to go on where another left off: named tables, and a version of its own."""

    parts: Mapping[str, pa.RecordBatch]
    version: int = 1


@dataclasses.dataclass(frozen=True)
class Context:
    """What one worker of a stage is told when it is built."""

    #: The name of the stage in the pipeline.
    stage: str
    #: Which worker of the stage it is, from 0, and how many there are.
    instance: int
    instances: int
    input: pa.Schema
    output: pa.Schema
    #: How many rows, and about how many bytes, a batch that comes out should have.
    batch_rows: int = 8192
    batch_bytes: int = 8 << 20
    #: Whether output must come in the order of the input.
    ordered: bool = False
    #: Addresses that exist only in this run, by scheme.
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: The state to go on from, if there is one.
    restored: State | None = None
    #: Writes a line into the log of the run: a level (``error``, ``warn``, ``info``, ``debug``) and a text.
    log: Callable[[str, str], None] = lambda level, message: None


@dataclasses.dataclass
class Planned:
    """What comes of a stage, found out before a run."""

    #: The columns that come out; of a sink none.
    output: Any = None
    #: Input columns: rows that are equal in them must meet in one worker.
    keyed: list[str] = dataclasses.field(default_factory=list)
    #: Why there can be only one worker, as the end of a sentence.
    single: str | None = None
    #: Files that are read and written, so that ``check`` sees whether stages get in each other's way.
    reads: list[str] = dataclasses.field(default_factory=list)
    writes: list[str] = dataclasses.field(default_factory=list)
    #: Names of its outputs, if there are several.
    ports: list[str] = dataclasses.field(default_factory=list)
    #: The most bytes that a worker holds.
    holds: int = 0
    #: Whether its calls may wait for something outside, for ever.
    blocks: bool = False
    #: Whether its rows come only once, as those of stdin.
    once: bool = False
    #: The input columns that are used; None for all. With it there may be fewer columns in a run than here: those of
    #: ``context.input`` come in, and those of ``context.output`` go out.
    needs: list[str] | None = None
    #: With ``needs``: columns that go out as they came in.
    passes: list[str] = dataclasses.field(default_factory=list)
    #: Lines for whoever reads the plan.
    notes: list[str] = dataclasses.field(default_factory=list)

    def answer(self) -> dict[str, Any]:
        """The payload of the frame ``Planned``."""
        members = dataclasses.asdict(dataclasses.replace(self, output=None))
        del members["output"]
        given = {name: value for name, value in members.items() if value}
        return given if self.needs is None else {**given, "needs": self.needs}


class Rejected(NamedTuple):
    """Rows that were rejected, and why."""

    reason: str
    cause: Cause
    rows: pa.RecordBatch


class Output:
    """Takes what comes out of a stage and hands it on in batches of the right size."""

    def __init__(self, schema: pa.Schema, rows: int, ports: int = 0) -> None:
        self.schema = schema
        self.rows = max(rows, 1)
        self.ports = max(ports, 1)
        self.batches: list[tuple[int, pa.RecordBatch]] = []
        self.rejected: list[Rejected] = []

    def emit(self, rows: Any, port: int = 0) -> None:
        """Puts rows out: a record batch, a table, or a frame of pandas or polars, with the columns
        that were planned. ``port`` is the place of one of several outputs."""
        if not 0 <= port < self.ports:
            raise StageError(f"there is no output {port}", kind="internal")
        for batch in to_batches(rows, self.schema):
            for start in range(0, batch.num_rows, self.rows):
                self.batches.append((port, batch.slice(start, self.rows)))

    def reject(self, rows: Any, reason: str, *, cause: Cause = "data") -> None:
        """Sends rows to the rejected ones, best as they came in, with a reason and its class: ``data``, ``io``,
        ``late`` or ``refused``."""
        known(cause)
        table = rows if isinstance(rows, (pa.Table, pa.RecordBatch)) else as_table(rows)
        for batch in table.to_batches() if isinstance(table, pa.Table) else [table]:
            if batch.num_rows:
                self.rejected.append(Rejected(reason[: 2 * LONGEST], cause, batch))


def as_table(rows: Any) -> pa.Table:
    """A table of whatever has rows."""
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    module = type(rows).__module__.partition(".")[0]
    if module == "polars":
        return rows.to_arrow()
    if module == "pandas":
        return pa.Table.from_pandas(rows, preserve_index=False)
    if isinstance(rows, Mapping):
        return pa.table(rows)
    raise StageError(
        f"{type(rows).__name__} is no table",
        kind="internal",
        help="use a pyarrow table or record batch, or a frame of pandas or polars",
    )


def to_batches(rows: Any, schema: pa.Schema) -> list[Any]:
    """Record batches of exactly this schema.

    :raises StageError: when columns are missing, or there are others.
    """
    if isinstance(rows, pa.RecordBatch) and rows.schema.equals(schema):
        return [rows]
    table = as_table(rows)
    if table.schema.equals(schema):
        return list(table.to_batches())
    wanted, found = schema.names, table.column_names
    if sorted(wanted) != sorted(found):
        missing = [name for name in wanted if name not in found]
        others = [name for name in found if name not in wanted]
        text = f"it puts out {_names(found)}, and said that it would be {_names(wanted)}"
        hint = f"{_names(missing)} missing" if missing else f"{_names(others)} too many"
        raise StageError(text, kind="schema", help=hint)
    table = table.select(wanted)
    if not table.schema.equals(schema):
        table = table.cast(schema)
    return list(table.to_batches())


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "no columns"
