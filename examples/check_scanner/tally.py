"""The account of a batch: how many uploads there were, and what became of each."""

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import humanize

from examples.check_scanner.receive import Upload
from examples.check_scanner.result import State

BUSY, FAILED = "busy", "failed"

# Seconds between two lines of progress: on a terminal, and in a log.
_OFTEN, _SELDOM = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one upload: a `State`, `BUSY` or `FAILED`, and whether it was so before."""

    state: str
    repeated: bool = False
    reason: str = ""


@dataclass
class Tally:
    """Each upload that was listed is in exactly one of ``counts`` at the end."""

    listed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _started: float = field(default_factory=time.monotonic)
    _told: float = 0.0

    def add(self, upload: Upload, outcome: Outcome) -> None:
        """Enter what became of ``upload``; failures are told at once, progress now and then."""
        self.counts[outcome.state] += 1
        self.repeated += outcome.repeated
        if outcome.state == FAILED:
            say(f"FAILED: {upload.key!r}: {outcome.reason}")
        now = time.monotonic()
        if now - self._told >= (_OFTEN if sys.stderr.isatty() else _SELDOM):
            self._told = now
            say(self.line(), passing=True)

    @property
    def done(self) -> int:
        """How many uploads are entered."""
        return self.counts.total()

    @property
    def missing(self) -> int:
        """How many were listed and have no entry: none, if the batch came to its end."""
        return self.listed - self.done

    def line(self) -> str:
        """The progress in a line."""
        parts = [f"{humanize.intcomma(n)} {state}" for state, n in sorted(self.counts.items())]
        return f"{humanize.intcomma(self.done)} done ({self._rate()}): {', '.join(parts)}"

    def table(self) -> str:
        """The account, one below the other, and its sum."""
        rows = [(state.value, self.counts[state]) for state in State]
        rows.append((FAILED, self.counts[FAILED]))
        if self.missing:
            rows.append(("not done", self.missing))
        rows.append(("all", self.listed))
        lines = [f"{name:<10}{humanize.intcomma(count):>12}" for name, count in rows]
        lines.insert(-1, "─" * 22)
        lines.append(f"{humanize.intcomma(self.repeated)} were decided before. {self._rate()}")
        return "\n".join(lines)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._started, 0.001)
        return f"{seconds:.1f} s, {self.done / seconds:.1f}/s"


def say(line: str, passing: bool = False) -> None:
    """Tell people; on a terminal a ``passing`` line gives way to the next."""
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="" if passing else "\n", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)
