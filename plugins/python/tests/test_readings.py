"""What stages tell of their work, and why they reject rows, without a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator

import pyarrow as pa
import pytest

import gristmill
from gristmill import readings


@dataclass
class Told:
    rows: gristmill.Counter = gristmill.counter("Rows.", by=("side", ["even", "odd"]))
    held: gristmill.Gauge = gristmill.gauge("What is held.", unit="bytes")
    mark: gristmill.Gauge = gristmill.lowest("How far it is.")
    took: gristmill.Histogram = gristmill.histogram("How long.", [0.5, 2], unit="seconds")


def test_a_dataclass_of_readings_declares_and_tells() -> None:
    seen = []

    @gristmill.rows("told")
    def told(row: dict, readings: Told) -> dict:
        readings.rows["odd" if row["n"] % 2 else "even"].add()
        readings.took.record(row["n"])
        readings.took.record(float("nan"))
        with readings.held.hold():
            seen.append(readings.held.value)
        readings.held.change(2)
        return row

    assert told.describe()["readings"] == [
        {
            "name": "rows",
            "measure": "counter",
            "help": "Rows.",
            "label": "side",
            "values": ["even", "odd"],
        },
        {"name": "held", "measure": "gauge", "help": "What is held.", "unit": "bytes"},
        {"name": "mark", "measure": "lowest", "help": "How far it is."},
        {
            "name": "took",
            "measure": "histogram",
            "help": "How long.",
            "unit": "seconds",
            "bounds": [0.5, 2.0],
        },
    ]
    result = gristmill.run(told, [{"n": n} for n in range(4)])
    assert seen == [1, 3, 5, 7]
    said = readings.told(result.readings)
    # What was never set is not told.
    assert said == [
        {"name": "rows", "of": "even", "value": 2},
        {"name": "rows", "of": "odd", "value": 2},
        {"name": "held", "value": 8.0},
        {"name": "took", "counts": [1, 2, 1], "sum": 6.0},
    ]
    result.readings.mark.set(3)
    result.readings.mark.set(float("inf"))
    assert result.readings.mark.value == 3.0
    # Each worker has its own.
    assert gristmill.run(told, []).readings.rows["odd"].value == 0


def test_classes_and_sources_are_given_their_readings() -> None:
    @gristmill.stage("counts")
    class Counts(gristmill.Stage[None]):
        def __init__(self, options: None, context: gristmill.Context, readings: Told) -> None:
            super().__init__(options, context)
            self.readings = readings

        def process(self, batch: pa.RecordBatch, out: gristmill.Output) -> None:
            self.readings.rows["even"].add(batch.num_rows)
            out.emit(batch)

    assert gristmill.run(Counts, [{"n": 1}, {"n": 2}]).readings.rows["even"].value == 2

    @gristmill.source("gives", output={"n": "int64"})
    def gives(readings: Told) -> Iterator[Any]:
        readings.mark.set(1)
        yield {"n": 1}

    assert gristmill.run(gives).readings.mark.value == 1.0
    assert gives.describe()["readings"][0]["name"] == "rows"

    @gristmill.rows("silent")
    def silent(row: dict) -> dict:
        return row

    assert silent.describe()["readings"] == [] and gristmill.run(silent, []).readings is None


def test_readings_that_are_none_are_found() -> None:
    @dataclass
    class Wrong:
        misses: int = 0

    def takes(row: dict, readings: Any) -> dict:
        return row

    for hint, said in [(Wrong, "`misses` of the readings of `x` is none"), (int, "a dataclass")]:
        takes.__annotations__ = {"row": dict, "readings": hint}
        with pytest.raises(TypeError, match=said):
            gristmill.rows("x")(takes)
    del takes.__annotations__["readings"]
    with pytest.raises(TypeError, match="needs a type"):
        gristmill.rows("x")(takes)
    with pytest.raises(ValueError, match="a unit is"):
        gristmill.gauge("", unit="hours")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bounds of a histogram rise"):
        gristmill.histogram("", [2, 1])
    made = Told()
    for wrong, text in [
        (lambda: made.rows["none"].add(), "no value `none`"),
        (lambda: made.rows.add(), "without a value of its label `side`"),
        (lambda: made.held["x"], "no value `x`"),
        (lambda: made.rows["odd"].add(-1), "cannot grow by -1"),
    ]:
        with pytest.raises(gristmill.StageError, match=text):
            wrong()


def test_what_is_rejected_has_a_class() -> None:
    errors = [
        gristmill.Reject("a"),
        gristmill.Reject("b", cause="late"),
        gristmill.Reject("c", cause="refused"),
        ValueError("d"),
        ConnectionError("e"),
        FileNotFoundError("f"),
    ]
    expected = ["data", "late", "refused", "data", "io", "io"]

    @gristmill.rows("each")
    def each(row: dict) -> dict:
        raise errors[row["n"]]

    @gristmill.tables("whole")
    def whole(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise errors[batch.column("n")[0].as_py()]

    @gristmill.stage("by_hand")
    class ByHand(gristmill.Stage[None]):
        def process(self, batch: pa.RecordBatch, out: gristmill.Output) -> None:
            error = errors[batch.column("n")[0].as_py()]
            if isinstance(error, gristmill.Reject):
                raise error
            out.reject(batch, str(error), cause="io" if isinstance(error, OSError) else "data")

    given = [{"n": n} for n in range(6)]
    for kind in (each, whole, ByHand):
        result = gristmill.run(kind, given, batch=1)
        assert [row for row, _ in result.rejected] == given, kind.name
        assert result.causes == expected, kind.name
    with pytest.raises(gristmill.StageError, match="a cause is one of data, io, late, refused"):
        gristmill.Reject("x", cause="other")  # type: ignore[arg-type]
