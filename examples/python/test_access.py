"""`pytest` runs this: a stage is tested without a pipeline."""

import gristmill
from access import access

GOOD = '10.0.0.1 - ada [24/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 500 12'


def test_lines_become_requests() -> None:
    result = gristmill.run(access, [{"line": GOOD}, {"line": "what?"}])
    [row] = result.rows
    assert (row["host"], row["user"], row["status"], row["bytes"]) == ("10.0.0.1", "ada", 500, 12)
    assert result.rejected == [({"line": "what?"}, "this is no line of an access log")]


def test_small_statuses_are_left_out() -> None:
    assert gristmill.run(access, [{"line": GOOD}], least_status=501).rows == []
