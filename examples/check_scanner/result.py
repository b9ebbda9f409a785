"""What became of one upload, and how long each stage took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from .reading import Field, Reading
from .receive import Deposit


class State(StrEnum):
    """Where every upload ends, each with a table of its own."""

    PROCESSED = "processed"
    REVIEW = "review"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and, in a sentence or two for people, why.

    ``told`` is the reason for the uploader, where that must not have all of it.
    """

    state: State
    reason: str
    told: str = ""


@dataclass(slots=True)
class Findings:
    """What the stages found out about an upload; filled as they go."""

    verdict: Verdict | None = None
    email: str | None = None
    deposit: Deposit | None = None
    reading: Reading | None = None
    courtesy: Field | None = None
    #: Keys of what was archived, by what they are.
    copies: dict[str, str] = field(default_factory=dict)
    #: Pixels of the image that was read.
    size: tuple[int, int] | None = None
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One upload, done.

    ``copies`` are the keys of what was archived, by what they are (``original``, ``300px.jpg``,
    ``150px.jpg``, ``check.tif``); ``size`` (pixels) is that of the image which was read, the one
    that ``reading``'s boxes refer to; ``outcome`` is how tmpcache had the image (``fetched``,
    ``hit``, …; empty if it was not fetched), ``timings`` are seconds per stage. ``repeated`` says
    that another run made the decision: this call merely saw to it that all is finished.
    """

    bucket: str
    key: str
    id: str
    decision: State
    reason: str
    deposit: Deposit | None = None
    reading: Reading | None = None
    courtesy: Field | None = None
    copies: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    outcome: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    repeated: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the same in types that JSON knows; the time in ISO 8601, money in cents."""
        plain = asdict(self)
        if self.deposit is not None:
            plain["deposit"]["time"] = self.deposit.time.isoformat()
        return plain


class Stopwatch:
    """Adds up seconds by stage.

    >>> watch = Stopwatch()
    >>> with watch("read"):
    ...     _ = sum(range(1000))
    >>> list(watch.seconds)
    ['read']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what runs in the ``with`` block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took
