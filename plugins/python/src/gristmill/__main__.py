"""``python -m gristmill describe|serve MODULE``: the stages of a module that does not call ``main``."""

from __future__ import annotations

import importlib
import sys

from .serve import kinds_of, main


def run(words: list[str]) -> None:
    """Finds the module and does the rest."""
    verbs = ("describe", "serve", "gristmill-worker")
    # `describe MODULE`, or `MODULE describe`, as a run starts it.
    order = [word for word in words[:2] if word in verbs]
    names = [word for word in words[:2] if word not in verbs]
    if len(order) != 1 or len(names) != 1:
        print("usage: python -m gristmill describe|serve MODULE", file=sys.stderr)
        raise SystemExit(2)
    sys.path.insert(0, "")
    module = importlib.import_module(names[0])
    main(*kinds_of(module), arguments=[order[0], *words[2:]])


if __name__ == "__main__":
    run(sys.argv[1:])
