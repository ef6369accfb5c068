"""The stage `{{name}}` for Gristmill pipelines."""

from __future__ import annotations

from dataclasses import dataclass

import gristmill


@dataclass
class Options:
    column: str = gristmill.option("text", doc="The column with the text.")


@gristmill.rows("{{name}}", adds={"words": "int64"}, needs=lambda options: [options.column])
def stage(row: dict, options: Options) -> dict:
    """Counts the words of a text."""
    return {"words": len(row[options.column].split())}


if __name__ == "__main__":
    gristmill.main()
