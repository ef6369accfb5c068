"""What a stage does with a batch: a function of rows or of tables, or a class with a state."""

from __future__ import annotations

import dataclasses
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from . import columns
from .contract import Context, Output, State
from .errors import Reject, StageError, Why, why

#: Errors that are not about a row.
FATAL = (StageError, MemoryError)


class Work(ABC):
    """One worker of a transform or a sink."""

    def __init__(self, context: Context) -> None:
        self.context = context
        state = context.restored
        self.restored: dict[str, pa.RecordBatch] = dict(state.parts) if state else {}

    @abstractmethod
    def take(self, batch: pa.RecordBatch, out: Output) -> None:
        """Takes a batch and works on about so much of it as gives a batch."""

    def more(self) -> bool:
        """Whether there is still something to do with what was taken."""
        return False

    def step(self, out: Output) -> None:
        """Goes on with it."""

    def finish(self, out: Output) -> None:
        """No more batches come."""

    def snapshot(self) -> dict[str, pa.RecordBatch] | None:
        """All that was taken and has not come out; None without a state."""
        return None

    def version(self) -> int:
        """The version of the state."""
        return 1

    def committed(self, epoch: int) -> None:
        """What was staged up to this may be published."""


class Tables(Work):
    """A function of whole tables."""

    def __init__(self, context: Context, call: Callable[[Any], Any], convert: Any, sink: bool):
        super().__init__(context)
        self.call, self.convert, self.sink = call, convert, sink

    def take(self, batch: pa.RecordBatch, out: Output) -> None:
        before = len(out.batches)
        try:
            result = self.call(self.convert(batch))
            if self.sink or result is None:
                return
            for table in result if isinstance(result, (list, tuple)) else [result]:
                out.emit(table)
        except FATAL:
            raise
        except Exception as error:
            del out.batches[before:]
            _reject_whole(batch, error, out)


class Rows(Work):
    """A function of single rows."""

    def __init__(
        self,
        context: Context,
        call: Callable[[Any], Any],
        names: list[str],
        row_type: type | None,
        added: list[str] | None,
        sink: bool,
    ) -> None:
        super().__init__(context)
        self.call, self.names, self.row_type, self.sink = call, names, row_type, sink
        #: Columns that a row need not give: they stay as they came in.
        keep = set(context.input.names) if added is not None else set()
        self.keep = keep - set(added or [])
        #: What a row may have. A column that it has not seen is not its to change.
        self.known = set(context.output.names)
        if added is not None:
            self.known &= {*names, *added}
        self.batch: pa.RecordBatch | None = None
        self.rows: list[Any] = []
        #: The next row, and how many of what comes of it are out already.
        self.at, self.skip = 0, 0
        self.begun: Iterator[Any] | None = None
        if "begun" in self.restored:
            self._begin(self.restored["begun"])
            self.skip = self.restored["skip"].column(0)[0].as_py()
        self.waiting = [self.restored["rows"]] if "rows" in self.restored else []

    def _begin(self, batch: pa.RecordBatch) -> None:
        self.batch, self.at, self.skip, self.begun = batch, 0, 0, None
        if self.row_type is None:
            self.rows = columns.rows(batch, self.names)
        else:
            lists = [columns.values(batch.column(name)) for name in self.names]
            self.rows = list(map(self.row_type, *lists)) if lists else []

    def take(self, batch: pa.RecordBatch, out: Output) -> None:
        self._begin(batch)
        self.step(out)

    def more(self) -> bool:
        return self.batch is not None or bool(self.waiting)

    def step(self, out: Output) -> None:
        if self.batch is None:
            self._begin(self.waiting.pop())
        batch = self.batch
        made: list[Any] = []
        origins: list[int] = []
        rejected: list[tuple[int, Why]] = []
        while self.at < len(self.rows) and len(made) < out.rows:
            self._row(self.at, out.rows, made, origins, rejected)
        if not self.sink:
            self._emit(batch, made, origins, rejected, out)
        _reject(batch, rejected, out)
        if self.at >= len(self.rows):
            self.batch, self.rows = None, []

    def _row(
        self, at: int, room: int, made: list[Any], origins: list[int], rejected: list[Any]
    ) -> None:
        """Works on a row, and goes to the next unless more comes of it than there is room for."""
        try:
            if self.begun is None:
                result = self.call(self.rows[at])
                if result is None or self.sink:
                    self.at += 1
                    return
                if isinstance(result, dict) or dataclasses.is_dataclass(result):
                    made.append(result)
                    origins.append(at)
                    self.at += 1
                    return
                self.begun = iter(result)
                # After a restart, what came out before it comes out of the function again.
                next(itertools.islice(self.begun, self.skip, self.skip), None)
            found = list(itertools.islice(self.begun, room))
        except FATAL:
            raise
        except Exception as error:
            rejected.append((at, why(error)))
            self.at, self.begun, self.skip = at + 1, None, 0
            return
        made.extend(found)
        origins.extend([at] * len(found))
        self.skip += len(found)
        if len(found) < room:
            self.at, self.begun, self.skip = at + 1, None, 0

    def _emit(
        self,
        batch: Any,
        made: list[Any],
        origins: list[int],
        rejected: list[tuple[int, Why]],
        out: Output,
    ) -> None:
        good: list[Any] = []
        for place, row in enumerate(made):
            if isinstance(row, dict):
                good.append(row)
            elif dataclasses.is_dataclass(row):
                good.append(vars(row) if hasattr(row, "__dict__") else dataclasses.asdict(row))  # type: ignore[arg-type]
            else:
                text = f"TypeError: a row must be a dict or a dataclass, not {type(row).__name__}"
                rejected.append((origins[place], Why(text)))
                good.append(None)
        keep = [place for place, row in enumerate(good) if row is not None]
        keep = self._known(good, keep, origins, rejected)
        if not keep:
            return
        rows = [good[place] for place in keep]
        origin = [origins[place] for place in keep]
        arrays, wrong = self._columns(batch, rows, origin)
        result = pa.RecordBatch.from_arrays(arrays, schema=out.schema)
        if wrong:
            rejected.extend((origin[place], Why(text)) for place, text in wrong.items())
            result = result.take(pa.array([p for p in range(len(rows)) if p not in wrong]))
        if result.num_rows:
            out.emit(result)

    def _known(
        self, rows: list[Any], keep: list[int], origins: list[int], rejected: list[tuple[int, Why]]
    ) -> list[int]:
        """The rows that have no columns but those that were announced."""
        result = []
        for place in keep:
            if rows[place].keys() <= self.known:
                result.append(place)
                continue
            others = sorted(str(name) for name in rows[place].keys() - self.known)
            text = f"`{others[0]}` is no column of what the stage said that it puts out"
            rejected.append((origins[place], Why(text)))
        return result

    def _columns(
        self, batch: Any, rows: list[dict[str, Any]], origin: list[int]
    ) -> tuple[list[pa.Array], dict[int, str]]:
        wrong: dict[int, str] = {}
        arrays = []
        same = len(origin) == batch.num_rows and origin == list(range(len(origin)))
        picks = None if same else pa.array(origin, pa.int64())
        for field in self.context.output:
            name = field.name
            given = [name in row for row in rows] if name in self.keep else []
            if name in self.keep and not any(given):
                column = batch.column(name)
                arrays.append(column if picks is None else column.take(picks))
                continue
            if name in self.keep and not all(given):
                old = columns.values(batch.column(name))
                found = [row[name] if name in row else old[at] for row, at in zip(rows, origin)]
            else:
                found = [row.get(name) for row in rows]
            array, bad = columns.build(field, found)
            for place, text in bad.items():
                wrong.setdefault(place, text)
            arrays.append(array)
        return arrays, wrong

    def snapshot(self) -> dict[str, pa.RecordBatch] | None:
        parts: dict[str, pa.RecordBatch] = {}
        rest = list(self.waiting)
        if self.batch is not None:
            from_here = self.at
            if self.begun is not None or self.skip:
                parts["begun"] = self.batch.slice(self.at, 1)
                parts["skip"] = pa.record_batch({"skip": pa.array([self.skip], pa.int64())})
                from_here += 1
            rest.append(self.batch.slice(from_here))
        rest = [batch for batch in rest if batch.num_rows]
        if rest:
            parts["rows"] = pa.Table.from_batches(rest).combine_chunks().to_batches()[0]
        return parts or None


def _reject(batch: Any, rejected: list[tuple[int, Why]], out: Output) -> None:
    """Rejects rows, each once, those of one reason together."""
    by_reason: dict[Why, list[int]] = {}
    seen = set()
    for place, because in rejected:
        if place not in seen:
            seen.add(place)
            by_reason.setdefault(because, []).append(place)
    for because, places in by_reason.items():
        out.reject(batch.take(pa.array(places, pa.int64())), because.text, cause=because.cause)


def _reject_whole(batch: Any, error: Exception, out: Output) -> None:
    because = why(error)
    out.reject(batch, because.text, cause=because.cause)


class Stateful(Work):
    """A class of the author."""

    def __init__(self, context: Context, stage: Any) -> None:
        super().__init__(context)
        self.stage = stage

    def take(self, batch: pa.RecordBatch, out: Output) -> None:
        try:
            self.stage.process(batch, out)
        except Reject as error:
            _reject_whole(batch, error, out)

    def finish(self, out: Output) -> None:
        self.stage.finish(out)

    def snapshot(self) -> dict[str, pa.RecordBatch] | None:
        state = self.stage.snapshot()
        return None if state is None else dict(state.parts)

    def version(self) -> int:
        return int(getattr(self.stage, "VERSION", 1))

    def committed(self, epoch: int) -> None:
        self.stage.committed(epoch)


def position_state(value: Any) -> State:
    """A state of one small value, as JSON."""
    return State({"value": pa.record_batch({"value": pa.array([json.dumps(value)])})})


def position_of(state: State | None) -> Any:
    """The value in it."""
    return None if state is None else json.loads(state.parts["value"].column(0)[0].as_py())
