"""A parser of access logs, as a stage for Gristmill pipelines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import gristmill

LINE = re.compile(
    r'(?P<host>\S+) \S+ (?P<user>\S+) \[(?P<at>[^\]]+)\] '
    r'"(?P<method>\S+) (?P<path>\S+)[^"]*" (?P<status>\d{3}) (?P<bytes>\d+|-)'
)


@dataclass
class Options:
    column: str = gristmill.option("line", doc="The column with the lines.")
    least_status: int = gristmill.option(
        0, doc="Requests with a smaller status are left out.", minimum=0, maximum=599
    )


@dataclass
class Request:
    host: str
    user: str | None
    at: datetime
    method: str
    path: str
    status: int
    bytes: int


@gristmill.rows("access", needs=lambda options: [options.column])
def access(row: dict, options: Options) -> Request | None:
    """Parses lines of an access log. One that is none is rejected."""
    found = LINE.match(row[options.column])
    if found is None:
        raise gristmill.Reject("this is no line of an access log")
    if int(found["status"]) < options.least_status:
        return None
    return Request(
        host=found["host"],
        user=None if found["user"] == "-" else found["user"],
        at=datetime.strptime(found["at"], "%d/%b/%Y:%H:%M:%S %z"),
        method=found["method"],
        path=found["path"],
        status=int(found["status"]),
        bytes=0 if found["bytes"] == "-" else int(found["bytes"]),
    )


if __name__ == "__main__":
    gristmill.main()
