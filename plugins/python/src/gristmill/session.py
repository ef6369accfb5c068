"""A worker: speaks with the run, and calls the stage."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from . import channel as wire
from .channel import BatchReader, BatchWriter, Channel, Frame, Gone
from .contract import Context, Output, State
from .errors import CAUSES, StageError, reason
from .kinds import Kind
from .planning import answer
from .vitals import Heart

#: A snapshot that takes less is not worth saving; of the time, snapshots may take a tenth.
CHEAP, SHARE = 20e-6, 10
#: Parts of a snapshot with rows that were made and not sent.
_REST = re.compile(r"gristmill\.rest\.(\d+)\.(\d+)")


class Session:
    """One conversation, from the hello to the end of the stream."""

    def __init__(self, channel: Channel, kinds: Sequence[Kind]) -> None:
        self.channel, self.kinds = channel, {kind.name: kind for kind in kinds}
        self.ended = self.stopped = self.finished = False
        self.barriers: deque[tuple[int, bool]] = deque()
        self.inbox: deque[Frame] = deque()
        self.taken = 0
        self.came = self.took = False
        self.cost = 0.0
        self.last_commit = time.monotonic()

    def run(self) -> None:
        """Works until the run needs it no more."""
        try:
            self._converse()
        except Gone:
            pass

    def _converse(self) -> None:
        limits = {"frame": wire.LARGEST, "credit": wire.CREDIT}
        hello = {
            "protocol": "gristmill-worker",
            "major": 1,
            "minor": 4,
            "software": f"gristmill for Python {VERSION}",
            "features": [],
            "limits": limits,
        }
        self.channel.send_json(wire.HELLO, hello)
        first = self.channel.receive()
        theirs = first.json()
        if theirs.get("major") != 1:
            raise SystemExit(f"the run speaks version {theirs.get('major')} of the protocol, not 1")
        self.full = self.credit = int(theirs["limits"]["credit"])
        schemas: dict[int, pa.Schema] = {}
        parts: list[tuple[str, pa.RecordBatch]] = []
        while True:
            frame = self.channel.receive()
            if frame.kind == wire.DESCRIBE:
                return answer(self.channel, list(self.kinds.values()))
            if frame.kind == wire.SCHEMA:
                schemas[frame.flags & 1] = pa.ipc.read_schema(pa.py_buffer(frame.payload))
            elif frame.kind == wire.PART:
                parts.append(wire.read_table(frame.payload))
            elif frame.kind == wire.OPEN:
                break
        try:
            self._open(frame.json(), schemas, parts)
            self._source() if self.kind.role == "source" else self._transform()
        except StageError as error:
            self._fail(error)
        except Gone:
            raise
        except MemoryError as error:
            # A death like any other: another process goes on, and a row that needs too much is found.
            self._fail(StageError(reason(error), kind="panic"))
        except Exception as error:
            self._fail(StageError(reason(error), kind="internal"))

    def _fail(self, error: StageError) -> None:
        self._flush_rejected()
        if hasattr(self, "heart"):
            self.heart.beat()
        self.channel.send_json(wire.ERROR, error.fault())
        while True:
            self.channel.receive()

    def _open(
        self, order: dict[str, Any], schemas: dict[int, pa.Schema], parts: list[Any]
    ) -> None:
        self.out = Output(schemas[1], order["batch"]["rows"], order.get("ports", 0))
        self.reader, self.writer = BatchReader(schemas[0]), BatchWriter(schemas[1])
        kind = self.kinds.get(order["kind"])
        if kind is None:
            raise StageError(f"there is no kind `{order['kind']}` here", kind="options")
        self.kind = kind
        restored = order.get("restored")
        own = {name: batch for name, batch in parts if not _REST.fullmatch(name)}
        rest = [(_REST.fullmatch(name), batch) for name, batch in parts]
        self.queue: deque[tuple[int, pa.RecordBatch]] = deque(
            (int(match[2]), batch) for match, batch in rest if match
        )
        readings = kind.new_readings()
        self.heart = Heart(self.channel, float(order.get("heartbeat", 1.0)), readings)
        context = Context(
            stage=order["stage"],
            instance=order["instance"],
            instances=order["instances"],
            input=schemas[0],
            output=schemas[1],
            batch_rows=order["batch"]["rows"],
            batch_bytes=order["batch"]["bytes"],
            ordered=order.get("ordered", False),
            origins=order.get("origins", {}),
            restored=State(own, restored["version"]) if restored and own else None,
            log=self._log,
        )
        options = kind.read(order["options"])
        if kind.role == "source":
            self.pump = kind.pump(options, context, readings)
        else:
            self.work = kind.work(options, context, readings)
        self.heart.start()
        self.channel.send(wire.OPENED)
        self._called(0.0, measured=False)

    def _log(self, level: str, message: str) -> None:
        self.channel.send_json(wire.LOG, {"level": level, "message": message})

    # What the run says.

    def _listen(self, wait: bool | float) -> None:
        """Acts on what has come. With True, waits for something; with a number, so long."""
        if wait is True:
            self._hear(self.channel.receive())
        elif self.channel.ready(float(wait)):
            self._hear(self.channel.receive())
        while self.channel.ready():
            self._hear(self.channel.receive())

    def _hear(self, frame: Frame) -> None:
        if frame.kind in (wire.BATCH, wire.BARRIER, wire.END):
            self.inbox.append(frame)
        elif frame.kind == wire.CREDIT_FRAME:
            self.credit += frame.number
        elif frame.kind == wire.STOP:
            self.stopped = True
        elif frame.kind == wire.COMMITTED and self.kind.role != "source":
            self.work.committed(frame.number)

    def _words(self) -> None:
        """Acts on what stands before the next batch: a barrier is about the batches before it."""
        while self.inbox and self.inbox[0].kind != wire.BATCH:
            frame = self.inbox.popleft()
            if frame.kind == wire.END:
                self.ended = True
            else:
                self.barriers.append((frame.number, bool(frame.flags & 1)))

    @property
    def short(self) -> bool:
        """Whether the run takes no more rows before there is a commit."""
        return self.credit < self.full / 2

    # What is said.

    def _flush_rejected(self) -> None:
        out = getattr(self, "out", None)
        if out is None:
            return
        for text, cause, batch in out.rejected:
            payload, number = wire.table(text, batch), CAUSES.index(cause)
            self.credit -= self.channel.send(wire.REJECT, payload, number=number)
            self.came = True
        out.rejected = []

    def _put(self) -> None:
        """Sends what came of a call, a batch of it; the rest stays in the queue."""
        self._flush_rejected()
        self.queue.extend(self.out.batches)
        self.out.batches = []
        if self.queue:
            port, batch = self.queue.popleft()
            self.credit -= self.channel.send(wire.BATCH, self.writer.write(batch), number=port)
            self.came = True

    def _called(self, took: float, *, measured: bool) -> None:
        flags = (1 if self.holding else 0) | (2 if measured else 0)
        nanos = max(int(took * 1e9), 0).to_bytes(8, "little")
        self.channel.send(wire.CALLED, nanos, flags, self.taken)

    @property
    def holding(self) -> bool:
        """Whether rows that were taken will still come out by themselves."""
        if self.kind.role == "source":
            return False
        return bool(self.queue) or self.work.more()

    def _commit(self, epoch: int = 0, finished: bool = False) -> None:
        if finished:
            # What it has told by now is the last that is heard of it.
            self.heart.beat()
        self.heart.begin()
        start = time.monotonic()
        parts, version = ({}, 1) if finished else self._snapshot()
        self.heart.end()
        for name, batch in parts.items():
            self.channel.send(wire.PART, wire.table(name, batch))
        head: dict[str, Any] = {}
        if epoch:
            head["epoch"] = epoch
        if parts:
            head["state"] = {"version": version, "parts": len(parts)}
        payload = json.dumps(head).encode() if head else b""
        self.channel.send(wire.COMMIT, payload, 1 if finished else 0, self.taken)
        self.last_commit = time.monotonic()
        self.cost = self.last_commit - start if parts else 0.0
        self.came = self.took = False

    def _snapshot(self) -> tuple[dict[str, pa.RecordBatch], int]:
        if self.kind.role == "source":
            state = self.pump.snapshot()
            return (dict(state.parts), state.version) if state else ({}, 1)
        parts = dict(self.work.snapshot() or {})
        for place, (port, batch) in enumerate(self.queue):
            parts[f"gristmill.rest.{place}.{port}"] = batch
        return parts, self.work.version()

    def _commit_if_due(self) -> None:
        self._words()
        if self.barriers:
            epoch, drained = self.barriers[0]
            if not drained or not self.holding:
                self.barriers.popleft()
                return self._commit(epoch)
            if not self.short:
                return
        cheap = self.cost < CHEAP and not self.holding
        rested = time.monotonic() - self.last_commit >= self.cost * SHARE
        if self.came and (self.short or cheap or (rested and not self.holding)):
            self._commit()
        elif self.took and cheap:
            self._commit()

    # The loops.

    def _transform(self) -> None:
        while True:
            self._commit_if_due()
            if self.short:
                # Nothing is done until the run has room again.
                self._listen(True)
                continue
            if self.holding:
                self._listen(False)
                if self.queue:
                    self._put()
                    self._called(0.0, measured=False)
                else:
                    self._call(lambda: self.work.step(self.out), measured=False)
            elif self.inbox:
                frame = self.inbox.popleft()
                self.channel.send(wire.CREDIT_FRAME, number=frame.cost)
                self.taken, self.took = frame.number, True
                batch = self.reader.read(pa.py_buffer(frame.payload))
                self._call(lambda: self.work.take(batch, self.out), measured=True)
            elif self.ended and self.finished:
                self._commit(finished=True)
                while True:
                    self.channel.receive()
            elif self.ended:
                self.finished = True
                self._call(lambda: self.work.finish(self.out), measured=False)
            else:
                self._listen(True if not self.came else self._until_commit())

    def _until_commit(self) -> float:
        left = self.last_commit + self.cost * SHARE - time.monotonic()
        return min(max(left, 0.0), 1.0)

    def _call(self, call: Any, *, measured: bool) -> None:
        self.heart.begin()
        start = time.monotonic()
        try:
            call()
        finally:
            self.heart.end()
        took = time.monotonic() - start
        self._put()
        self._called(took, measured=measured)

    def _source(self) -> None:
        wait: float | None = 0.0
        while True:
            self._commit_if_due()
            if self.short:
                self._listen(True)
                continue
            if wait and self.came:
                # Nobody should wait for rows as long as the source waits for more.
                self._commit()
            self._rest(wait or 0.0)
            if self.stopped and not self.pump.done:
                self.pump.stop(self.out)
                wait = 0.0
            if wait is None:
                self._commit(finished=True)
                while True:
                    self.channel.receive()
            self.heart.begin()
            start = time.monotonic()
            wait = self.pump.poll(self.out)
            self.heart.end()
            self._put()
            self._called(time.monotonic() - start, measured=True)

    def _rest(self, seconds: float) -> None:
        """Waits as long as the source has nothing, unless the run wants something."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            self._listen(max(left, 0.0))
            if left <= 0 or self.stopped or self.inbox:
                return


VERSION = "0.1.0"
