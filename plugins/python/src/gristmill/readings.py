"""What a stage alone can know of its work: a dataclass of readings, each of which becomes a metric."""

from __future__ import annotations

import bisect
import dataclasses
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from .errors import StageError

R = TypeVar("R", bound="Reading")
#: A base unit, so that nobody has to convert.
Unit = Literal["seconds", "bytes"]
#: What tells the numbers of a reading apart: the name of a label, and all values that it can have.
By = tuple[str, Sequence[str]]


class Reading:
    """One number of a stage, or one for each value of a label: ``responses["2xx"]``. Any thread may
    set it."""

    def __init__(self, declared: dict[str, Any], of: str | None = None) -> None:
        self._declared, self._of = declared, of
        self._lock = threading.Lock()
        values = declared.get("values", []) if of is None else []
        self._parts = {value: type(self)(declared, value) for value in values}

    def __getitem__(self: R, value: str) -> R:
        part = self._parts.get(value)
        if part is None:
            known = ", ".join(f"`{one}`" for one in self._parts) or "none"
            raise StageError(
                f"a reading has no value `{value}` of its label",
                kind="internal",
                help=f"it was declared with {known}",
            )
        return part  # type: ignore[return-value]

    def _alone(self) -> None:
        if self._parts:
            raise StageError(
                f"a reading is set without a value of its label `{self._declared['label']}`",
                kind="internal",
                help=f'such as `[{next(iter(self._parts))!r}]` behind it',
            )

    def _told(self) -> dict[str, Any] | None:
        """What it says now; None while it says nothing."""
        raise NotImplementedError


class Counter(Reading):
    """A number that only grows."""

    def __init__(self, declared: dict[str, Any], of: str | None = None) -> None:
        super().__init__(declared, of)
        self.value = 0

    def add(self, more: int = 1) -> None:
        """It grows."""
        self._alone()
        if more < 0:
            raise StageError(f"a counter cannot grow by {more}", kind="internal")
        with self._lock:
            self.value += int(more)

    def _told(self) -> dict[str, Any]:
        return {"value": self.value}


class Gauge(Reading):
    """A number that goes up and down."""

    def __init__(self, declared: dict[str, Any], of: str | None = None) -> None:
        super().__init__(declared, of)
        #: Of ``lowest``, None until it is set.
        self.value: float | None = None if declared["measure"] == "lowest" else 0.0

    def set(self, value: float) -> None:
        """It is this from now on. What is no finite number is left out."""
        self._alone()
        if math.isfinite(value):
            with self._lock:
                self.value = float(value)

    def change(self, by: float) -> None:
        """It is so much more from now on, or less."""
        self._alone()
        if math.isfinite(by):
            with self._lock:
                self.value = (self.value or 0.0) + float(by)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """It is one more for as long as a ``with`` goes on."""
        self.change(1)
        try:
            yield
        finally:
            self.change(-1)

    def _told(self) -> dict[str, Any] | None:
        value = self.value
        return None if value is None or not math.isfinite(value) else {"value": value}


class Histogram(Reading):
    """How values are spread."""

    def __init__(self, declared: dict[str, Any], of: str | None = None) -> None:
        super().__init__(declared, of)
        self._bounds: list[float] = declared["bounds"]
        #: How many values came up to each bound and above the one before; those above all are the last.
        self.counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def record(self, value: float) -> None:
        """It takes a value. What is no finite number is left out."""
        self._alone()
        if math.isfinite(value):
            place = bisect.bisect_left(self._bounds, value)
            with self._lock:
                self.counts[place] += 1
                self.sum += float(value)

    def _told(self) -> dict[str, Any] | None:
        with self._lock:
            told = {"counts": list(self.counts), "sum": self.sum}
        return told if math.isfinite(self.sum) else None


def counter(doc: str, *, unit: Unit | None = None, by: By | None = None) -> Any:
    """A number that only grows, as a field of a dataclass of readings; workers add up."""
    return _field(Counter, "counter", doc, unit, by)


def gauge(doc: str, *, unit: Unit | None = None, by: By | None = None) -> Any:
    """A number that goes up and down, from 0 on; workers add up."""
    return _field(Gauge, "gauge", doc, unit, by)


def lowest(doc: str, *, unit: Unit | None = None, by: By | None = None) -> Any:
    """A ``Gauge`` of which that of the lowest worker counts. There is none until it is set."""
    return _field(Gauge, "lowest", doc, unit, by)


def histogram(
    doc: str, bounds: Sequence[float], *, unit: Unit | None = None, by: By | None = None
) -> Any:
    """How often values up to each of these bounds came, which rise; workers add up."""
    return _field(Histogram, "histogram", doc, unit, by, [float(bound) for bound in bounds])


def _field(
    made: type[Reading],
    measure: str,
    doc: str,
    unit: Unit | None,
    by: By | None,
    bounds: list[float] | None = None,
) -> Any:
    if unit not in (None, "seconds", "bytes"):
        raise ValueError(f"a unit is `seconds` or `bytes`, not {unit!r}")
    if bounds is not None and (not bounds or bounds != sorted(set(bounds))):
        raise ValueError(f"the bounds of a histogram rise, and these do not: {bounds}")
    label, values = by if by is not None else (None, None)
    words = {
        "unit": unit,
        "label": label,
        "values": None if values is None else list(values),
        "bounds": bounds,
    }
    declared: dict[str, Any] = {"measure": measure, "help": doc}
    declared.update({word: value for word, value in words.items() if value is not None})
    return dataclasses.field(
        default_factory=lambda: made(declared), metadata={"gristmill": declared}
    )


def declarations(readings: type | None) -> list[dict[str, Any]]:
    """What the run is told of a dataclass of readings."""
    fields = dataclasses.fields(readings) if readings is not None else ()
    return [{"name": field.name, **field.metadata["gristmill"]} for field in fields]


def checked(hint: Any, kind: str) -> type | None:
    """The dataclass that a parameter ``readings`` is annotated with."""
    if hint is None:
        return None
    if not isinstance(hint, type) or not dataclasses.is_dataclass(hint):
        raise TypeError(f"the readings of `{kind}` must be a dataclass, not {hint}")
    for field in dataclasses.fields(hint):
        if "measure" not in field.metadata.get("gristmill", {}):
            raise TypeError(
                f"`{field.name}` of the readings of `{kind}` is none: make it with "
                "`gristmill.counter(…)`, `gauge`, `lowest` or `histogram`"
            )
    return hint


def told(readings: Any) -> list[dict[str, Any]]:
    """What a heartbeat says of them."""
    found: list[dict[str, Any]] = []
    fields = dataclasses.fields(readings) if readings is not None else ()
    for field in fields:
        reading: Reading = getattr(readings, field.name)
        for of, part in reading._parts.items() or [(None, reading)]:
            said = part._told()
            if said is not None:
                label = {} if of is None else {"of": of}
                found.append({"name": field.name, **label, **said})
    return found
