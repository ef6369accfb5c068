"""The job of `logs` by its rivals: ENGINE FILE. Prints seconds, peak KiB, rows, bytes and the share of errors."""

import json
import math
import resource
import sys
import time

engine, path = sys.argv[1], sys.argv[2]
ending = path.rsplit(".", 1)[1]


def duckdb():
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    columns = "columns = {host: 'VARCHAR', status: 'BIGINT', bytes: 'BIGINT', latency_ms: 'DOUBLE'}"
    source = {
        "jsonl": f"read_json(?, format = 'newline_delimited', {columns})",
        "csv": "read_csv(?)",
        "parquet": "read_parquet(?)",
    }[ending]

    def job():
        return connection.execute(
            f"""
            WITH groups AS (
                SELECT host, status, count(*) AS n, sum(bytes) AS bytes,
                       approx_quantile(latency_ms, 0.95) AS p95
                FROM {source}
                GROUP BY host, status)
            SELECT sum(n), sum(bytes), sum(n) FILTER (status >= 500) / sum(n), max(p95) FROM groups
            """,
            [path],
        ).fetchone()

    return job


def polars():
    import polars as pl

    scan = {"jsonl": pl.scan_ndjson, "csv": pl.scan_csv, "parquet": pl.scan_parquet}[ending]

    def job():
        groups = (
            scan(path)
            .group_by("host", "status")
            .agg(pl.len().alias("n"), pl.sum("bytes"), pl.quantile("latency_ms", 0.95))
            .collect(engine="streaming")
        )
        n, errors = groups["n"].sum(), groups.filter(pl.col("status") >= 500)["n"].sum()
        return n, groups["bytes"].sum(), errors / n

    return job


def bytewax():
    import bytewax.operators as op
    from bytewax.connectors.files import FileSource
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, run_main

    out = []

    def keyed(line):
        row = json.loads(line)
        return f"{row['host']} {row['status']}", row

    def fold(state, row):
        # A histogram whose buckets are 2% wide stands in for a sketch.
        state[0] += 1
        state[1] += row["bytes"]
        bucket = int(math.log(max(row["latency_ms"], 0.001)) / 0.02)
        state[2][bucket] = state[2].get(bucket, 0) + 1
        return state

    flow = Dataflow("logs")
    lines = op.input("lines", flow, FileSource(path, batch_size=1000))
    rows = op.map("rows", lines, keyed)
    groups = op.fold_final("groups", rows, lambda: [0, 0, {}], fold)
    op.output("out", groups, TestingSink(out))

    def job():
        run_main(flow)
        n = sum(state[0] for _, state in out)
        errors = sum(state[0] for key, state in out if int(key.split()[1]) >= 500)
        return n, sum(state[1] for _, state in out), errors / n

    return job


job = {"duckdb": duckdb, "polars": polars, "bytewax": bytewax}[engine]()
start = time.perf_counter()
rows, size, share = job()[:3]
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seconds, peak, int(rows), int(size), f"{share:.9f}")
