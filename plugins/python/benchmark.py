"""Rows a second through stages in Python, from a file and into nothing.

    .ci/python
    cargo build --release
    target/python/bin/python plugins/python/benchmark.py target/release/gristmill
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Iterator

import pyarrow as pa
import pyarrow.compute as pc

import gristmill

ROWS = 2_000_000
ADDS = {"total": "float64"}


@gristmill.tables("tables", adds=ADDS)
def tables(batch: pa.RecordBatch) -> pa.RecordBatch:
    total = pc.multiply(batch.column("price"), pc.cast(batch.column("id"), pa.float64()))
    return batch.append_column("total", total)


@gristmill.frames("pandas", library="pandas", adds=ADDS)
def of_pandas(frame: Any) -> Any:
    frame["total"] = frame["price"] * frame["id"]
    return frame


@gristmill.frames("polars", library="polars", adds=ADDS)
def of_polars(frame: Any) -> Any:
    return frame.with_columns(total=frame["price"] * frame["id"])


@gristmill.rows("rows", adds=ADDS, needs=["price", "id"])
def rows(row: dict) -> dict:
    return {"total": row["price"] * row["id"]}


@gristmill.rows("whole_rows")
def whole_rows(row: dict) -> dict:
    row["price"] *= 2
    return row


@gristmill.source("source", output={"id": "int64", "price": "float64"})
def source() -> Iterator[dict]:
    for number in range(ROWS):
        yield {"id": number, "price": 0.5}


def measure(program: str, folder: Path, kind: str) -> None:
    """Runs a stage of all five columns, and one that does nothing, and prints the difference."""
    stages = [{"type": "read", "with": {"path": "in.arrow"}}, {"type": kind}, {"type": "discard"}]
    pipeline = {
        "plugins": [{"command": [sys.executable, str(Path(__file__).resolve())]}],
        # Otherwise columns that nobody uses would be left out.
        "rejected": {"whole_rows": True},
        "stages": stages[1:] if kind == "source" else stages,
    }
    (folder / "pipeline.yaml").write_text(json.dumps(pipeline))
    took = []
    for _ in range(3):
        start = time.monotonic()
        command = [program, "run", "--quiet", "pipeline.yaml"]
        subprocess.run(command, cwd=folder, check=True)
        took.append(time.monotonic() - start)
    best = min(took)
    print(f"{kind:12} {ROWS / best:12,.0f} rows/s  {best:6.2f} s with the start", flush=True)


def main(program: str) -> None:
    data = {
        "id": pa.array(range(ROWS), pa.int64()),
        "price": pa.array([number * 0.5 for number in range(ROWS)]),
        "name": pa.array([f"name {number % 1000}" for number in range(ROWS)]),
        "city": pa.array([f"city {number % 50}" for number in range(ROWS)]),
        "flag": pa.array([number % 2 == 0 for number in range(ROWS)]),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = pa.table(data)
        with pa.ipc.new_file(str(folder / "in.arrow"), table.schema) as writer:
            writer.write_table(table, max_chunksize=8192)
        for kind in ("tables", "pandas", "polars", "rows", "whole_rows", "source"):
            measure(program, folder, kind)


if __name__ == "__main__":
    if len(sys.argv) == 2 and "/" in sys.argv[1]:
        main(str(Path(sys.argv[1]).resolve()))
    else:
        gristmill.main()
