"""The heart: tells the run that the process lives, and since when the stage has been in a call."""

from __future__ import annotations

import resource
import threading
import time
from typing import Any

from . import channel as wire
from .channel import Channel, Gone
from .readings import told


class Heart:
    """A thread that beats until the run is gone, and tells what the stage has read."""

    def __init__(self, channel: Channel, every: float, readings: Any = None) -> None:
        self.channel, self.every, self.readings = channel, every, readings
        self.since = 0.0

    def start(self) -> None:
        threading.Thread(target=self._beats, name="heart", daemon=True).start()

    def begin(self) -> None:
        """A call of the stage begins."""
        self.since = time.monotonic()

    def end(self) -> None:
        """It has ended."""
        self.since = 0.0

    def beat(self) -> None:
        """Tells of itself now."""
        since = self.since
        call = time.monotonic() - since if since else 0.0
        beat: dict[str, Any] = {
            "cpu": time.process_time_ns(),
            "memory": _resident(),
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "call": int(call * 1e9),
        }
        readings = told(self.readings)
        if readings:
            beat["readings"] = readings
        self.channel.send_json(wire.HEARTBEAT, beat)

    def _beats(self) -> None:
        while True:
            time.sleep(self.every)
            try:
                self.beat()
            except Gone:
                return


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0
