"""Sources: a generator is pumped until there is a batch."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from . import columns
from .contract import Context, Output, State
from .errors import StageError
from .work import position_of, position_state


@dataclasses.dataclass(frozen=True)
class Position:
    """Yielded by a source: all rows before this are yielded, and with this value it can go on from
    here. The value is anything that JSON has a form for."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Wait:
    """Yielded by a source that has nothing now: come again after so many seconds."""

    seconds: float


@dataclasses.dataclass
class Chunk:
    """Rows on their way out, a batch at the most; some of them may be wrong."""

    batch: pa.RecordBatch
    #: Why, and what the row was.
    wrong: dict[int, tuple[str, str]]

    def put(self, first: int, out: Output) -> None:
        """Puts out all from this row on."""
        good = self.batch.slice(first)
        if self.wrong:
            places = [p for p in range(first, self.batch.num_rows) if p not in self.wrong]
            good = self.batch.take(pa.array(places, pa.int64()))
        if good.num_rows:
            out.emit(good)
        for place, (text, row) in self.wrong.items():
            if place >= first:
                out.reject(pa.record_batch({"row": pa.array([row])}), text)


class Pump:
    """One worker of a source."""

    def __init__(
        self, context: Context, start: Callable[[Any], Iterator[Any]], resumes: bool
    ) -> None:
        self.context = context
        #: Whether it can go on from a position at all.
        self.resumes = resumes
        known = position_of(context.restored) or {"position": None, "skip": 0}
        self.position = known["position"]
        #: Rows since the position; those that were put out before a restart come once more.
        self.since, self.drop = 0, int(known["skip"])
        self.items = iter(start(self.position))
        self.done = self.stopped = False
        self.pending: list[Any] = []
        self.count = 0
        self.queue: deque[Chunk | Position] = deque()

    def poll(self, out: Output) -> float | None:
        """Puts out about a batch. Returns how long to wait before the next call; None when the
        source is at its end."""
        if self.done and not self.queue:
            return None
        wait = 0.0 if self.queue else self._pull(out)
        while self.queue:
            item = self.queue.popleft()
            if isinstance(item, Position):
                self._at(item)
                continue
            count = item.batch.num_rows
            dropped = min(self.drop, count)
            self.drop -= dropped
            self.since += count
            if dropped < count:
                item.put(dropped, out)
                break
        # A position that follows belongs to what has just come out.
        while self.queue and isinstance(self.queue[0], Position):
            self._at(self.queue.popleft())
        if self.queue:
            return 0.0
        if self.done and self.drop and not self.stopped:
            raise StageError(
                f"after a restart it gave {self.drop} rows less than before",
                kind="restore",
                help="from a position on a source must give the same rows each time",
            )
        return None if self.done else wait

    def stop(self, out: Output) -> None:
        """Nothing more is wanted, but what was taken comes out."""
        self.done = self.stopped = True
        close = getattr(self.items, "close", None)
        if close is not None:
            close()
        self._flush(out)

    def snapshot(self) -> State | None:
        """Where it is; None for a source that cannot go on."""
        if not self.resumes:
            return None
        return position_state({"position": self.position, "skip": self.since + self.drop})

    def _at(self, item: Any) -> None:
        # Before a restart, more rows than those so far were out: the old position still counts.
        if not self.drop:
            self.position, self.since = item.value, 0

    def _pull(self, out: Output) -> float:
        """Takes items until there is a batch, or nothing now."""
        while not any(isinstance(item, Chunk) for item in self.queue):
            item = next(self.items, _END)
            if item is _END:
                self.done = True
                self._flush(out)
                return 0.0
            if isinstance(item, dict) or _is_row(item):
                # Positions may come with every row, and a batch for each would be too small.
                self.pending.append(item)
                self.count += 1
                if self.count >= 2 * out.rows:
                    self._flush(out)
            elif isinstance(item, Position):
                self.pending.append(item)
                if self.count >= out.rows or not self.count:
                    self._flush(out)
            elif item is None or isinstance(item, Wait):
                self._flush(out)
                return max(item.seconds, 0.0) if isinstance(item, Wait) else 0.0
            else:
                self._flush(out)
                made = Output(out.schema, out.rows)
                made.emit(item)
                self.queue.extend(Chunk(batch, {}) for _, batch in made.batches)
        return 0.0

    def _flush(self, out: Output) -> None:
        """Makes batches of the rows so far. Of positions among them only the last counts."""
        items, self.pending, self.count = self.pending, [], 0
        places = [place for place, item in enumerate(items) if isinstance(item, Position)]
        last = places[-1] if places else 0
        self._chunks([row for row in items[:last] if not isinstance(row, Position)], out)
        if places:
            self.queue.append(items[last])
            last += 1
        self._chunks(items[last:], out)

    def _chunks(self, rows: list[Any], out: Output) -> None:
        dicts = [row if isinstance(row, dict) else vars(row) for row in rows]
        for start in range(0, len(dicts), out.rows):
            self.queue.append(_chunk(dicts[start : start + out.rows], out.schema))


def _chunk(rows: list[dict[str, Any]], schema: pa.Schema) -> Chunk:
    names = set(schema.names)
    wrong: dict[int, str] = {}
    for place, row in enumerate(rows):
        if not row.keys() <= names:
            other = sorted(str(name) for name in row.keys() - names)[0]
            wrong[place] = f"`{other}` is no column of what the source said that it puts out"
    arrays = []
    for field in schema:
        array, bad = columns.build(field, [row.get(field.name) for row in rows])
        arrays.append(array)
        for place, text in bad.items():
            wrong.setdefault(place, text)
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return Chunk(batch, {place: (text, repr(rows[place])) for place, text in wrong.items()})


_END = object()


def _is_row(item: Any) -> bool:
    return dataclasses.is_dataclass(item) and not isinstance(item, type)
