"""Reads a dashboard with Grafana's own types and writes it again. Prints what is not the same."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before: Any, after: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{place}.{key}")
            else:
                yield f"Grafana knows no {place}.{key} ({value!r})"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}[{number}]")
    elif before != after:
        yield f"{place}: {before!r} becomes {after!r}"


plugins.register_default_plugins()
text = sys.stdin.read()
again = JSONEncoder().encode(Dashboard.from_json(json.loads(text)))
print("\n".join(lost(json.loads(text), json.loads(again), "dashboard")), end="")
