"""The account of a batch: how many uploads there were, and what became of each."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import humanize
from rich.console import Console, Group
from rich.table import Table

from .receive import Upload
from .result import State

BUSY, FAILED = "busy", "failed"

# Seconds between two lines of progress in a log.
_SELDOM = 10.0
_people = Console(stderr=True, highlight=False)


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
    _told: float = field(default_factory=time.monotonic)
    _show: Callable[[str], None] = field(default=lambda _: None)

    def add(self, upload: Upload, outcome: Outcome) -> None:
        """Enter what became of ``upload``; failures are told at once, progress now and then."""
        self.counts[outcome.state] += 1
        self.repeated += outcome.repeated
        if outcome.state == FAILED:
            say(f"FAILED: {upload.key!r}: {outcome.reason}")
        self._show(self.line())
        if not _people.is_terminal and time.monotonic() - self._told >= _SELDOM:
            self._told = time.monotonic()
            say(self.line())

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

    def table(self) -> Group:
        """The account, one below the other, its sum, and how long it took."""
        rows = [(state.value, self.counts[state]) for state in State]
        rows.append((FAILED, self.counts[FAILED]))
        if self.missing:
            rows.append(("not done", self.missing))
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=12)
        table.add_column(justify="right", min_width=10)
        for name, count in rows:
            table.add_row(name, humanize.intcomma(count))
        table.add_row("all", humanize.intcomma(self.listed), style="bold")
        return Group(
            table, f"{humanize.intcomma(self.repeated)} were decided before. {self._rate()}"
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress: on a terminal all the time, in a log now and then."""
        with _people.status("Listing …") as status:
            self._show = status.update
            yield

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._started, 0.001)
        return f"{seconds:.1f} s, {self.done / seconds:.1f}/s"


def say(line: str) -> None:
    """Tell people a line; there is no markup in it."""
    _people.print(line, markup=False, soft_wrap=True)
