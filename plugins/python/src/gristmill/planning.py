"""Answers to a run that asks which kinds there are, and what comes of their stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from . import channel as wire
from .channel import Channel
from .errors import StageError, reason
from .kinds import Kind


def description(kinds: Sequence[Kind]) -> dict[str, Any]:
    """The payload of the frame ``Described``."""
    return {"kinds": [kind.describe() for kind in kinds]}


def answer(channel: Channel, kinds: Sequence[Kind]) -> None:
    """Answers until the run has no more questions."""
    channel.send_json(wire.DESCRIBED, description(kinds))
    known = {kind.name: kind for kind in kinds}
    schema: pa.Schema | None = None
    while True:
        frame = channel.receive()
        if frame.kind == wire.SCHEMA:
            schema = pa.ipc.read_schema(pa.py_buffer(frame.payload))
        elif frame.kind == wire.PLAN:
            question = frame.json()
            try:
                _plan(channel, known, question, schema)
            except StageError as error:
                channel.send_json(wire.ERROR, error.fault())
            except Exception as error:
                fault = StageError(reason(error), kind="internal", help="this is a bug of the stage")
                channel.send_json(wire.ERROR, fault.fault())
            schema = None


def _plan(
    channel: Channel, known: dict[str, Kind], question: dict[str, Any], schema: pa.Schema | None
) -> None:
    kind = known.get(question["kind"])
    if kind is None:
        raise StageError(f"there is no kind `{question['kind']}` here", kind="options")
    planned = kind.plan(kind.read(question["options"]), schema)
    output = planned.output.remove_metadata()
    channel.send(wire.SCHEMA, output.serialize(), flags=1)
    channel.send_json(wire.PLANNED, planned.answer())
