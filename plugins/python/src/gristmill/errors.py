"""What a stage raises to say that something is wrong, and with what."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any, Literal, NamedTuple, get_args

#: Classes of the reasons for which rows are rejected: something in the row, something outside that failed, what came
#: too late, what was refused by whoever should take it.
Cause = Literal["data", "io", "late", "refused"]
CAUSES: tuple[str, ...] = get_args(Cause)


class StageError(Exception):
    """Ends the run with this message.

    ``kind`` is one of ``options``, ``schema``, ``data``, ``io``, ``restore`` and ``internal``.
    """

    def __init__(self, message: str, *, kind: str = "data", help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.help = help
        self.option: str | None = None
        self.column: str | None = None

    def fault(self) -> dict[str, Any]:
        """The payload of the frame ``Error``."""
        parts = {"option": self.option, "column": self.column, "help": self.help}
        given = {name: text for name, text in parts.items() if text is not None}
        return {"kind": self.kind, "message": self.message, **given}


class OptionError(StageError):
    """An option is wrong: shown at its line and column when the pipeline is checked.

    ``option`` is its path under ``with:`` (``fields.price``, ``columns[2]``), or empty for all of it.
    """

    def __init__(self, option: str, message: str, *, help: str | None = None) -> None:
        super().__init__(message, kind="options", help=help)
        self.option = option


class ColumnError(StageError):
    """The input has no usable column of this name. Which ones there are is added."""

    def __init__(
        self,
        column: str,
        message: str = "there is no such column",
        *,
        option: str | None = None,
        help: str | None = None,
    ) -> None:
        super().__init__(message, kind="schema", help=help)
        self.column = column
        #: The option that names it.
        self.option = option


class Closed(StageError):
    """From a sink: whoever takes its output has left. Ends the run in order."""

    def __init__(self, message: str = "whoever takes the output has left") -> None:
        super().__init__(message, kind="closed")


class Reject(Exception):
    """Rejects the row, or in a function of tables the batch, for this reason and without a place.

    ``cause`` is the class of the reason, by which rejected rows are counted: ``data``, ``io``, ``late`` or
    ``refused``.
    """

    def __init__(self, reason: str = "", *, cause: Cause = "data") -> None:
        super().__init__(reason)
        self.cause = known(cause)


def known(cause: Cause) -> Cause:
    """The class, if it is one."""
    if cause not in CAUSES:
        raise StageError(f"a cause is one of {', '.join(CAUSES)}, not {cause!r}", kind="internal")
    return cause


class Why(NamedTuple):
    """Why rows are rejected: a sentence, and its class."""

    text: str
    cause: Cause = "data"


#: A reason is cut after so many letters: it stands beside every rejected row.
LONGEST = 1000


def reason(error: BaseException) -> str:
    """The last line of the traceback, with the place in the code of the stage."""
    if isinstance(error, Reject):
        return str(error)[:LONGEST] or "rejected without a reason"
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    place = _place(error.__traceback__)
    return f"{last[:LONGEST]}{place}"


def why(error: BaseException) -> Why:
    """The reason with its class: that of a ``Reject``, or ``io`` of an error of the system, a file or a connection."""
    if isinstance(error, Reject):
        return Why(reason(error), error.cause)
    return Why(reason(error), "io" if isinstance(error, OSError) else "data")


def _place(trace: TracebackType | None) -> str:
    """The last place that is not in this package."""
    found = ""
    for frame, line in traceback.walk_tb(trace):
        file = frame.f_code.co_filename
        if frame.f_globals.get("__package__") != __package__ and not file.startswith("<"):
            found = f" ({file.rsplit('/', 1)[-1]}:{line})"
    return found
