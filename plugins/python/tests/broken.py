"""Stages that misbehave on purpose, for the tests of what must survive it."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, Iterator

import pyarrow as pa

import gristmill
from gristmill import channel


@dataclass
class Options:
    how: str = gristmill.option(doc="What it does.")
    at: int = gristmill.option(7, doc="The row at which it does it.")


def lie(*_: Any) -> Any:
    """A batch of other columns than were said."""
    return pa.record_batch({"other": pa.array(["x"]), "more": pa.array([1.5])}).serialize()


#: What is never let go of.
kept: list[bytes] = []


def harm(how: str) -> None:
    if how == "raise":
        raise ValueError("this row is too much")
    if how == "exit":
        os._exit(3)
    if how == "leave":
        sys.exit("it leaves")
    if how == "segv":
        ctypes.string_at(0)
    if how == "hang":
        time.sleep(1000)
    if how == "print":
        print("what is printed", flush=True)
        os.write(1, b"and what is written\n")
    if how == "flood":
        for _ in range(2_000):
            os.write(2, b"x" * 999 + b"\n")
    if how == "lie":
        channel.BatchWriter.write = lie  # type: ignore[method-assign]
    if how == "fail":
        raise gristmill.StageError("it has had enough", kind="io", help="less of it")
    if how == "leak":
        kept.append(b"x" * (16 << 20))
    if how == "memory":
        raise MemoryError("too much")


@gristmill.rows("broken")
def broken(row: dict, options: Options) -> dict:
    """Hands rows on, and misbehaves at one of them."""
    if row["n"] == options.at or options.how == "leak":
        harm(options.how)
    return row


@dataclass
class Readings:
    rows: gristmill.Counter = gristmill.counter(
        "Rows by whether they are even.", by=("side", ["even", "odd"])
    )
    number: gristmill.Histogram = gristmill.histogram("Rows by their number.", [10, 50])
    last: gristmill.Gauge = gristmill.gauge("The row that it was at last.", unit="bytes")
    never: gristmill.Gauge = gristmill.lowest("What is never set.")


@gristmill.rows("tells")
def tells(row: dict, readings: Readings) -> dict:
    """Tells of its rows, and rejects some for every reason."""
    n = row["n"]
    readings.rows["odd" if n % 2 else "even"].add()
    readings.number.record(n)
    readings.last.set(n)
    if n % 10 == 7:
        raise gristmill.Reject("it is too late", cause="late")
    if n == 8:
        raise ConnectionError("nobody is there")
    if n == 9:
        raise ValueError("it is no number")
    return row


@gristmill.tables("broken_tables")
def broken_tables(batch: pa.RecordBatch, options: Options) -> pa.RecordBatch:
    """The same with whole tables."""
    if options.at in batch.column("n").to_pylist():
        harm(options.how)
    return batch


@gristmill.tables("wide", output=lambda options, input: pa.schema([*input, pa.field("n", "int8")]))
def wide(batch: pa.RecordBatch, options: Options) -> pa.RecordBatch:
    """Says that two columns have one name."""
    return batch


@gristmill.source("count", output={"n": "int64"}, planned={"single": "it counts"})
def count(options: Options, position: int | None) -> Iterator[Any]:
    """Counts to a hundred, and dies once on the way."""
    for n in range(position or 0, 100):
        if n == options.at and not os.path.exists(options.how):
            open(options.how, "w").close()
            os._exit(1)
        yield {"n": n}
        if n % 10 == 9:
            yield gristmill.Position(n + 1)


@gristmill.source("endless", output={"n": "int64"})
def endless() -> Iterator[Any]:
    """Never ends by itself."""
    n = 0
    while True:
        yield {"n": n}
        yield gristmill.Wait(0.01)
        n += 1


@gristmill.tables("print_all", role="sink")
def print_all(batch: pa.RecordBatch) -> None:
    """Prints the numbers to the stdout of the run."""
    for n in batch.column("n").to_pylist():
        print(n)


@dataclass
class SumOptions:
    every: int = gristmill.option(0, doc="Dies each time it has seen so many batches; 0 for never.")


@gristmill.stage("total")
class Total(gristmill.Stage[SumOptions]):
    """Adds up `n`, and puts the sum out at the end."""

    def __init__(self, options: SumOptions, context: gristmill.Context) -> None:
        super().__init__(options, context)
        self.batches = 0
        parts = context.restored.parts if context.restored else {}
        self.sum = parts["sum"].column(0)[0].as_py() if parts else 0

    @classmethod
    def plan(cls, options: SumOptions, input: pa.Schema) -> Any:
        return gristmill.Planned(output={"total": "int64"}, single="it is one sum")

    def process(self, batch: pa.RecordBatch, out: gristmill.Output) -> None:
        self.batches += 1
        if self.options.every and self.batches == self.options.every:
            os._exit(1)
        self.sum += sum(batch.column("n").to_pylist())

    def finish(self, out: gristmill.Output) -> None:
        out.emit(pa.table({"total": [self.sum]}))

    def snapshot(self) -> gristmill.State | None:
        return gristmill.State({"sum": pa.record_batch({"sum": pa.array([self.sum])})})


@gristmill.rows("explode", output={"n": "int64", "i": "int64"})
def explode(row: dict) -> Iterator[dict]:
    """A great many rows of each."""
    return ({"n": row["n"], "i": i} for i in range(20_000))


@gristmill.rows("some", output={"n": "int64", "i": "int64"})
def some(row: dict) -> Iterator[dict]:
    """Thirty rows of each."""
    return ({"n": row["n"], "i": i} for i in range(30))


@gristmill.tables("same_tables")
def same_tables(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Hands whole tables on."""
    return batch


@gristmill.rows("same_rows")
def same_rows(row: dict) -> dict:
    """Hands rows on, each value by way of Python."""
    return row


@gristmill.frames("same_frames", library="polars")
def same_frames(frame: Any) -> Any:
    """Hands frames on."""
    return frame


if __name__ == "__main__":
    gristmill.main()
