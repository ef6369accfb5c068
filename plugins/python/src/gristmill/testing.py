"""Runs a stage on some rows, without a pipeline: for the tests of those who write stages."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from .contract import Context, Output, as_table, to_batches
from .errors import Cause
from .kinds import Kind


@dataclasses.dataclass
class Result:
    """What came out."""

    table: pa.Table
    #: Each rejected row with the reason.
    rejected: list[tuple[dict[str, Any], str]]
    #: The class of the reason of each of them.
    causes: list[Cause]
    #: The readings of the stage, as it has left them; None of a stage without any.
    readings: Any = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that came out, as dicts."""
        return self.table.to_pylist()  # type: ignore[no-any-return]


def run(kind: Kind, rows: Any = None, *, batch: int = 8192, **options: Any) -> Result:
    """Gives rows (a list of dicts, a table or a frame) to a stage with these options; a source gets
    none. ``batch`` is how many it is given at a time, and puts out at the most."""
    read = kind.read(options)
    table = pa.Table.from_pylist(rows) if isinstance(rows, list) else None
    if table is None and rows is not None:
        table = as_table(rows)
    planned = kind.plan(read, None if table is None else table.schema)
    context = Context(
        stage=kind.name,
        instance=0,
        instances=1,
        input=pa.schema([]) if table is None else table.schema,
        output=planned.output,
        batch_rows=batch,
    )
    readings = kind.new_readings()
    out = Output(planned.output, batch, len(planned.ports))
    if kind.role == "source":
        pump = kind.pump(read, context, readings)
        while pump.poll(out) is not None:
            pass
    else:
        work = kind.work(read, context, readings)
        table = pa.table({}) if table is None else table
        for part in to_batches(table, table.schema):
            for start in range(0, part.num_rows, batch):
                work.take(part.slice(start, batch), out)
                while work.more():
                    work.step(out)
        work.finish(out)
    made = pa.Table.from_batches([part for _, part in out.batches], schema=planned.output)
    rejected = [(row, one.reason) for one in out.rejected for row in one.rows.to_pylist()]
    causes = [one.cause for one in out.rejected for _ in range(one.rows.num_rows)]
    return Result(made, rejected, causes, readings)
