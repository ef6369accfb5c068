"""Stages for Gristmill pipelines, written in Python.

    import gristmill

    @gristmill.rows("shout", adds={"loud": "string"})
    def shout(row: dict) -> dict:
        \"\"\"Says it louder.\"\"\"
        return {"loud": row["text"].upper()}

    if __name__ == "__main__":
        gristmill.main()
"""

from .contract import Context, Output, Planned, State
from .errors import Closed, ColumnError, OptionError, Reject, StageError
from .kinds import Kind, Stage, frames, rows, source, stage, tables
from .readings import Counter, Gauge, Histogram, counter, gauge, histogram, lowest
from .serve import main
from .settings import option
from .pump import Position, Wait
from .testing import Result, run

__all__ = [
    "Closed",
    "ColumnError",
    "Context",
    "Counter",
    "Gauge",
    "Histogram",
    "Kind",
    "OptionError",
    "Output",
    "Planned",
    "Position",
    "Reject",
    "Result",
    "Stage",
    "StageError",
    "State",
    "Wait",
    "counter",
    "frames",
    "gauge",
    "histogram",
    "lowest",
    "main",
    "option",
    "rows",
    "run",
    "source",
    "stage",
    "tables",
]
