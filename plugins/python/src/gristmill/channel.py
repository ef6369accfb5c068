"""The socket to the run: frames out and in. See ``framework/wire/PROTOCOL.md``."""

from __future__ import annotations

import io
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

HEADER = struct.Struct("<IBBHQ")
#: The largest payload that is taken.
LARGEST = 1 << 30
#: Bytes of rows that the run may send ahead.
CREDIT = 32 << 20

HELLO, OPEN, SCHEMA, PART, BATCH, CREDIT_FRAME, END, STOP, BARRIER, COMMITTED = range(1, 11)
DESCRIBE, PLAN = 11, 12
OPENED, CALLED, REJECT, COMMIT, HEARTBEAT, LOG, ERROR, DESCRIBED, PLANNED = range(16, 25)


class Gone(Exception):
    """The run is gone, or needs this process no more."""


class Frame(NamedTuple):
    kind: int
    flags: int
    number: int
    payload: Any

    def json(self) -> Any:
        return json.loads(bytes(self.payload))

    @property
    def cost(self) -> int:
        """What it takes of the credit of who sent it."""
        return len(self.payload) + HEADER.size


class Channel:
    """One connection. Any thread may send; one receives."""

    def __init__(self, to_run: socket.socket) -> None:
        self.socket = to_run
        self.lock = threading.Lock()

    def send(self, kind: int, payload: Any = b"", flags: int = 0, number: int = 0) -> int:
        """Sends a frame; returns how many bytes it took."""
        size = memoryview(payload).nbytes
        head = HEADER.pack(size, kind, flags, 0, number)
        try:
            with self.lock:
                if size <= 4096:
                    self.socket.sendall(head + bytes(payload))
                else:
                    self.socket.sendall(head)
                    self.socket.sendall(payload)
        except OSError as error:
            raise Gone from error
        return size + HEADER.size

    def send_json(self, kind: int, value: Any) -> None:
        self.send(kind, json.dumps(value).encode())

    def receive(self) -> Frame:
        """The next frame; waits for it."""
        size, kind, flags, _, number = HEADER.unpack(self._read(HEADER.size))
        if size > LARGEST:
            raise Gone
        return Frame(kind, flags, number, self._read(size) if size else b"")

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether something has come, waiting so long for it."""
        return bool(select.select([self.socket], [], [], seconds)[0])

    def _read(self, size: int) -> Any:
        # Arrow's own memory: columns stand in it as they came, and aligned.
        buffer = pa.allocate_buffer(size)
        view = memoryview(buffer).cast("B")
        at = 0
        while at < size:
            try:
                count = self.socket.recv_into(view[at:])
            except OSError as error:
                raise Gone from error
            if count == 0:
                raise Gone
            at += count
        return buffer


def take_socket(place: str) -> socket.socket:
    """Takes the socket out of its place, and puts something harmless there."""
    number = 0 if place == "stdin" else 1
    taken = os.dup(number)
    if number == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    else:
        os.dup2(2, 1)
    return socket.socket(fileno=taken)


class BatchReader:
    """Batches of one schema, with dictionaries that hold for the whole connection."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.feed: _Feed | None = None
        if _has_dictionaries(schema):
            self.feed = _Feed()
            self.feed.put(schema.serialize())
            self.reader = pa.ipc.open_stream(pa.PythonFile(self.feed, mode="r"))

    def read(self, payload: Any) -> pa.RecordBatch:
        if self.feed is None:
            return pa.ipc.read_record_batch(payload, self.schema)
        self.feed.put(payload)
        return self.reader.read_next_batch()


class BatchWriter:
    """The other way."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.sink: io.BytesIO | None = None
        if _has_dictionaries(schema):
            self.sink = io.BytesIO()
            self.writer = pa.ipc.new_stream(pa.PythonFile(self.sink, mode="w"), schema)
            # The schema is written with the first batch, and was sent already.
            self.skip = len(schema.serialize())

    def write(self, batch: pa.RecordBatch) -> Any:
        if self.sink is None:
            return batch.serialize()
        self.writer.write_batch(batch)
        payload = self.sink.getvalue()[self.skip :]
        self.sink.seek(0)
        self.sink.truncate()
        self.skip = 0
        return payload


class _Feed(io.RawIOBase):
    def __init__(self) -> None:
        self.data = io.BytesIO()

    def put(self, payload: Any) -> None:
        self.data = io.BytesIO(payload)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.data.read(size)


def _has_dictionaries(schema: pa.Schema) -> bool:
    def inside(kind: pa.DataType) -> bool:
        if pa.types.is_dictionary(kind):
            return True
        return any(inside(kind.field(place).type) for place in range(kind.num_fields))

    return any(inside(field.type) for field in schema)


def table(text: str, batch: pa.RecordBatch) -> bytes:
    """A text with rows of any schema."""
    words = text.encode()
    head = struct.pack("<I", len(words)) + words
    head += bytes(-len(head) % 64)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return head + sink.getvalue()


def read_table(payload: Any) -> tuple[str, pa.RecordBatch]:
    """The same back."""
    block = memoryview(payload).cast("B")
    (size,) = struct.unpack_from("<I", block)
    text = bytes(block[4 : 4 + size]).decode()
    start = -(-(4 + size) // 64) * 64
    reader = pa.ipc.open_stream(pa.py_buffer(payload).slice(start))
    return text, reader.read_next_batch()


def concat(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """One batch of several."""
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
