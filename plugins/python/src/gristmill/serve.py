"""What a program of stages does when it is started."""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

from .channel import Channel, take_socket
from .kinds import Kind
from .planning import description
from .session import Session


def main(*kinds: Kind, arguments: Sequence[str] | None = None) -> None:
    """Serves these kinds, or without any all that stand in the program that was started.

    A run starts it with ``gristmill-worker``; ``describe`` prints what it has as JSON.
    """
    found = list(kinds) or kinds_of(sys.modules["__main__"])
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["gristmill-worker"], ["serve"]):
        _serve(found, words[1:])
    elif words == ["describe"]:
        print(json.dumps(description(found), indent=2))
    else:
        names = ", ".join(f"`{kind.name}`" for kind in found) or "none"
        print(
            f"This program has stages for Gristmill: {names}.\n\n"
            "A pipeline names it under `plugins:`, as in\n"
            f"  plugins: [{{ command: [python3, {sys.argv[0]}] }}]\n"
            "`describe` prints its kinds and their options as JSON.",
            file=sys.stderr,
        )
        raise SystemExit(0 if words in (["--help"], ["-h"]) else 2)


def kinds_of(module: ModuleType) -> list[Kind]:
    """The kinds that stand in a module, each once."""
    found: list[Kind] = []
    for value in vars(module).values():
        if isinstance(value, Kind) and value not in found:
            found.append(value)
    return found


def _serve(kinds: Sequence[Kind], words: Sequence[str]) -> None:
    given = dict(zip(words[::2], words[1::2]))
    place = given.get("--socket")
    if place not in ("stdin", "stdout"):
        raise SystemExit("a run of Gristmill starts this; it is nothing to start by hand")
    socket = take_socket(place)
    _limit(given)
    # A Ctrl-C reaches the whole group of processes; the run decides what it means.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    # What is printed must be seen when it is printed.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    Session(Channel(socket), kinds).run()


#: From ``linux/prctl.h``.
_NO_NEW_PRIVS = 38


def _limit(given: dict[str, str]) -> None:
    # Neither this process nor one that it starts can gain rights from here on.
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = {
        "--memory": (resource.RLIMIT_DATA, 0),
        "--open-files": (resource.RLIMIT_NOFILE, 0),
        # The signal at the soft limit tells what happened; a second later it is SIGKILL.
        "--cpu": (resource.RLIMIT_CPU, 1),
    }
    for name, (kind, more) in limits.items():
        if name in given:
            most = resource.getrlimit(kind)[1]
            soft, hard = int(given[name]), int(given[name]) + more
            if most != resource.RLIM_INFINITY:
                soft, hard = min(soft, most), min(hard, most)
            resource.setrlimit(kind, (soft, hard))
