"""What functions and classes become, without a run."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator, Literal, Optional

import pyarrow as pa
import pytest

import gristmill
from gristmill import columns, settings
from gristmill.schemas import schema_of


@dataclass
class Limit:
    most: int = gristmill.option(10, doc="How many.", minimum=1)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Options:
    column: str = gristmill.option(doc="The column to look at.")
    limit: Limit = field(default_factory=Limit)
    limits: list[Limit] = field(default_factory=list)
    how: Literal["up", "down"] = "up"
    color: Color = Color.RED
    rate: float = 0.5
    file: Optional[Path] = None
    names: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.column == "bad":
            raise ValueError("`bad` is no good column")


def test_a_dataclass_gives_the_json_schema() -> None:
    schema = settings.json_schema(Options)
    assert schema["required"] == ["column"]
    assert schema["additionalProperties"] is False
    found = schema["properties"]
    assert found["column"] == {"type": "string", "description": "The column to look at."}
    assert found["limit"] == {"$ref": "#/$defs/Limit", "default": {"most": 10}}
    assert found["limits"]["items"] == {"$ref": "#/$defs/Limit"}
    assert found["how"] == {"enum": ["up", "down"], "default": "up"}
    assert found["color"] == {"enum": ["red", "blue"], "default": "red"}
    assert found["file"] == {"type": ["string", "null"], "default": None}
    assert found["names"]["additionalProperties"] == {"type": "integer"}
    limit = schema["$defs"]["Limit"]["properties"]["most"]
    assert limit == {"type": "integer", "default": 10, "minimum": 1, "description": "How many."}


def test_options_are_read_into_the_dataclass() -> None:
    given = {"column": "n", "limits": [{"most": 3}], "rate": 2, "file": "a/b", "color": "blue"}
    read = settings.read(Options, given)
    expected = Options(
        column="n", limits=[Limit(3)], rate=2.0, file=Path("a/b"), color=Color.BLUE
    )
    assert read == expected


@pytest.mark.parametrize(
    ("given", "path", "text"),
    [
        ({"column": "n", "limits": [{"most": 1}, {"most": "x"}]}, "limits[1].most", "does not fit"),
        ({"column": "n", "rate": "fast"}, "rate", "does not fit"),
        ({"column": "n", "other": 1}, "other", "there is no option `other`"),
        ({}, "", "the option `column` is missing"),
        ({"column": "bad"}, "", "`bad` is no good column"),
        ({"column": "n", "rate": True}, "rate", "does not fit"),
    ],
)
def test_what_does_not_fit_has_its_path(given: Any, path: str, text: str) -> None:
    with pytest.raises(gristmill.OptionError) as caught:
        settings.read(Options, given)
    assert caught.value.option == path
    assert text in caught.value.message


def test_schemas_in_every_form() -> None:
    @dataclass
    class Row:
        n: int
        text: Optional[str]
        at: datetime.datetime
        tags: list[str]

    schema = schema_of(Row)
    assert schema.types == [
        pa.int64(),
        pa.string(),
        pa.timestamp("us", tz="UTC"),
        pa.list_(pa.string()),
    ]
    assert schema_of({"a": "float64", "b": int}).types == [pa.float64(), pa.int64()]
    with pytest.raises(gristmill.StageError, match="no type `nomber`"):
        schema_of({"a": "nomber"})


def test_values_are_those_of_arrow() -> None:
    arrays = [
        pa.array([1, None, -3], kind)
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    ]
    arrays += [pa.array([1, None, 3], kind) for kind in (pa.uint8(), pa.uint32(), pa.uint64())]
    arrays += [
        pa.array([0.5, None, float("inf")], pa.float64()),
        pa.array([0.5, None, -1.0], pa.float32()),
        pa.array([True, None, False]),
        pa.array(["a", None, "éß€"]),
        pa.array(["plain", None, ""], pa.large_string()),
        pa.array(["x", None, "x"]).dictionary_encode(),
        pa.array([None, None, None], pa.string()),
        pa.array([None, None, None], pa.null()),
        pa.array([[1], None, []], pa.list_(pa.int64())),
        pa.array([b"\x00", None, b""]),
        pa.array([datetime.date(2026, 1, 2), None, None]),
    ]
    for array in arrays:
        for part in (array, array[1:], array[2:], array[:1], array[:0]):
            assert columns.values(part) == part.to_pylist(), part.type


@gristmill.rows("shout", adds={"loud": "string"})
def shout(row: dict) -> dict:
    """Says it louder.

    And more."""
    return {"loud": row["text"].upper()}


def test_a_function_of_a_row() -> None:
    result = gristmill.run(shout, [{"text": "a", "n": 1}, {"text": None, "n": 2}])
    assert result.rows == [{"text": "a", "n": 1, "loud": "A"}]
    [(row, why)] = result.rejected
    assert row == {"text": None, "n": 2}
    assert why.startswith("AttributeError: 'NoneType' object has no attribute 'upper'")
    assert "(test_stages.py:" in why
    assert shout.summary == "Says it louder."
    assert shout({"text": "b"}) == {"loud": "B"}


def test_a_row_may_be_changed_and_given_back() -> None:
    @gristmill.rows("change", adds={"m": "int64"})
    def change(row: dict) -> dict:
        row["m"] = row["n"] + 1
        if row["n"] == 2:
            row["text"] = "changed"
        return row

    result = gristmill.run(change, [{"text": "a", "n": 1}, {"text": "b", "n": 2}])
    assert result.rows == [{"text": "a", "n": 1, "m": 2}, {"text": "changed", "n": 2, "m": 3}]


def test_rows_are_left_out_and_multiplied_in_batches() -> None:
    @gristmill.rows("times", output={"n": "int64"})
    def times(row: dict) -> Iterator[dict]:
        return iter([{"n": row["n"]}] * row["n"]) if row["n"] else None

    given = [{"n": n} for n in (3, 0, 10, 1)]
    for batch in (1, 2, 3, 100):
        rows = gristmill.run(times, given, batch=batch).rows
        assert [row["n"] for row in rows] == [3] * 3 + [10] * 10 + [1], batch


def test_dataclasses_in_and_out() -> None:
    @dataclass
    class In:
        n: int

    @dataclass
    class Out:
        square: int

    def square(row: In) -> Optional[Out]:
        return Out(row.n * row.n) if row.n > 1 else None

    square.__annotations__ = {"row": In, "return": Optional[Out]}
    kind = gristmill.rows("square")(square)
    assert gristmill.run(kind, [{"n": n, "other": 0} for n in range(4)]).rows == [
        {"square": 4},
        {"square": 9},
    ]
    with pytest.raises(gristmill.ColumnError):
        kind.plan(None, pa.schema([("m", pa.int64())]))


def test_what_does_not_fit_its_column_is_rejected_alone() -> None:
    @gristmill.rows("odd", output={"n": "int64"})
    def odd(row: dict) -> Any:
        return {1: {"n": 1}, 2: {"n": "two"}, 3: {"m": 3}, 4: 4, 5: {"n": 1 << 70}}[row["n"]]

    result = gristmill.run(odd, [{"n": n} for n in range(1, 6)])
    assert result.rows == [{"n": 1}]
    reasons = {row["n"]: why for row, why in result.rejected}
    assert sorted(reasons) == [2, 3, 4, 5]
    assert reasons[2].startswith("column `n`: ")
    assert reasons[3] == "`m` is no column of what the stage said that it puts out"
    assert "not int" in reasons[4] or "not iterable" in reasons[4]


def test_functions_of_tables_and_frames() -> None:
    @gristmill.tables("table", output={"m": "int64"})
    def table(batch: pa.RecordBatch) -> Any:
        return pa.table({"m": [n + 1 for n in batch.column("n").to_pylist()]})

    @gristmill.frames("pandas", library="pandas", output={"n": "int64", "m": "int64"})
    def of_pandas(frame: Any) -> Any:
        frame["m"] = frame["n"] * 2
        return frame[frame["n"] > 0]

    @gristmill.frames("polars", library="polars", output={"n": "int64", "m": "int64"})
    def of_polars(frame: Any) -> Any:
        import polars

        return frame.with_columns(m=polars.col("n") * 2).filter(polars.col("n") > 0)

    given = [{"n": n} for n in range(3)]
    assert gristmill.run(table, given).rows == [{"m": 1}, {"m": 2}, {"m": 3}]
    expected = [{"n": 1, "m": 2}, {"n": 2, "m": 4}]
    assert gristmill.run(of_pandas, given).rows == expected
    assert gristmill.run(of_polars, given).rows == expected


def test_an_exception_rejects_the_batch() -> None:
    @gristmill.tables("fails")
    def fails(batch: pa.RecordBatch) -> Any:
        if 2 in batch.column("n").to_pylist():
            raise RuntimeError("two")
        return batch

    result = gristmill.run(fails, [{"n": n} for n in range(6)], batch=2)
    assert [row["n"] for row in result.rows] == [0, 1, 4, 5]
    assert [row["n"] for row, _ in result.rejected] == [2, 3]
    assert all(why.startswith("RuntimeError: two (test_stages.py:") for _, why in result.rejected)


def test_a_table_that_is_not_what_was_said_fails() -> None:
    @gristmill.tables("lies", output={"n": "int64", "m": "int64"})
    def lies(batch: pa.RecordBatch) -> Any:
        return batch

    with pytest.raises(gristmill.StageError, match="it puts out `n`, and said"):
        gristmill.run(lies, [{"n": 1}])


@gristmill.source("count", output={"n": "int64"})
def count(options: Limit, position: int | None) -> Iterator[Any]:
    for n in range(position or 0, options.most):
        yield {"n": n}
        if n % 4 == 3:
            yield gristmill.Position(n + 1)


def test_a_source_goes_on_from_every_snapshot() -> None:
    from gristmill.contract import Context, Output
    from gristmill.pump import Pump

    def pump(state: Any) -> Pump:
        schema = pa.schema([("n", pa.int64())])
        context = Context("s", 0, 1, pa.schema([]), schema, batch_rows=3, restored=state)
        return count.pump(Limit(30), context)

    def take(one: Pump) -> tuple[list[int], float | None]:
        out = Output(one.context.output, 3)
        wait = one.poll(out)
        return [n for _, batch in out.batches for n in batch.column(0).to_pylist()], wait

    for cut in range(12):
        first = pump(None)
        rows: list[int] = []
        for _ in range(cut):
            rows += take(first)[0]
        second = pump(first.snapshot())
        wait: float | None = 0.0
        while wait is not None:
            more, wait = take(second)
            rows += more
        assert rows == list(range(30)), cut


def test_a_class_with_a_state() -> None:
    @gristmill.stage("dedupe")
    class Dedupe(gristmill.Stage[Options]):
        """Leaves out what was there before."""

        def __init__(self, options: Options, context: gristmill.Context) -> None:
            super().__init__(options, context)
            self.seen: set[Any] = set()

        @classmethod
        def plan(cls, options: Options, input: pa.Schema) -> Any:
            if options.column not in input.names:
                raise gristmill.ColumnError(options.column)
            return gristmill.Planned(output=input, keyed=[options.column])

        def process(self, batch: pa.RecordBatch, out: gristmill.Output) -> None:
            values = batch.column(self.options.column).to_pylist()
            keep = []
            for place, value in enumerate(values):
                if value not in self.seen:
                    self.seen.add(value)
                    keep.append(place)
            out.emit(batch.take(pa.array(keep, pa.int64())))

    given = [{"n": n % 3} for n in range(9)]
    assert [row["n"] for row in gristmill.run(Dedupe, given, column="n").rows] == [0, 1, 2]
    with pytest.raises(gristmill.ColumnError):
        gristmill.run(Dedupe, given, column="m")


def test_rows_go_on_from_every_snapshot() -> None:
    from gristmill.contract import Context, Output, State

    @gristmill.rows("times", output={"n": "int64", "i": "int64"})
    def times(row: dict) -> Any:
        return ({"n": row["n"], "i": i} for i in range(row["n"]))

    batch = pa.record_batch({"n": pa.array([3, 0, 7, 1, 5], pa.int64())})
    schema = pa.schema([("n", pa.int64()), ("i", pa.int64())])
    expected = [(n, i) for n in (3, 0, 7, 1, 5) for i in range(n)]

    def work(state: Any) -> Any:
        return times.work(None, Context("s", 0, 1, batch.schema, schema, 2, restored=state))

    def rows(out: Output) -> list[tuple[int, int]]:
        return [tuple(row.values()) for _, part in out.batches for row in part.to_pylist()]

    for cut in range(9):
        first, before = work(None), Output(schema, 2)
        first.take(batch, before)
        for _ in range(cut):
            if first.more():
                first.step(before)
        parts = first.snapshot()
        second, after = work(State(parts) if parts else None), Output(schema, 2)
        while second.more():
            second.step(after)
        assert rows(before) + rows(after) == expected, cut


def test_what_is_needed_is_said() -> None:
    schema = pa.schema([("text", pa.string()), ("n", pa.int64())])

    @gristmill.rows("adds", adds={"m": "int64"}, needs=["n"])
    def adds(row: dict) -> dict:
        return {"m": row["n"]}

    @gristmill.rows("makes", output={"m": "int64"}, needs=["n"])
    def makes(row: dict) -> dict:
        return {"m": row["n"]}

    @gristmill.rows("changes", needs=["n"])
    def changes(row: dict) -> dict:
        return {"n": row["n"] + 1}

    assert (adds.plan(None, schema).needs, adds.plan(None, schema).passes) == (["n"], ["text"])
    assert (makes.plan(None, schema).needs, makes.plan(None, schema).passes) == (["n"], [])
    assert changes.plan(None, schema).passes == ["text"]
    assert shout.plan(None, schema).needs is None
    rows = gristmill.run(changes, [{"text": "a", "n": 1}]).rows
    assert rows == [{"text": "a", "n": 2}]
