"""Progress on stderr: objects, bytes, rate, time left; one line at the end where it is no terminal.

No thread draws: the fetch reports a few times a second anyway.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import say
from .output import console, human_size, human_time, is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress


class Report:
    """What ``progress=`` of a cache's method is given."""

    def __init__(self, title: str, bar: Progress | None) -> None:
        self._bar, self._began = bar, time.monotonic()
        self._task = None if bar is None else bar.add_task(title, total=None, detail="")
        #: Of the prefixes that are done, and of the one under way.
        self._objects_before = self._bytes_before = self._bytes = 0
        #: Whether the caller says itself what was done.
        self.quiet = False

    def __call__(self, done: int, total: int, received: int) -> None:
        """Draw how far a call is."""
        self._bytes = received
        if self._bar is None or self._task is None:
            return
        passed = max(time.monotonic() - self._began, 1e-9)
        received += self._bytes_before
        rate, sizes = received / passed, human_size(received)
        left = human_time((total - done) * passed / done) if done else "?"
        self._bar.update(
            self._task,
            completed=self._objects_before + done,
            total=self._objects_before + total,
            detail=f"{sizes}  {human_size(rate)}/s  {left} left",
        )
        self._bar.refresh()

    def add(self, objects: int) -> None:
        """Note that a call is done, which fetched so many objects."""
        self._objects_before += objects
        self._bytes_before, self._bytes = self._bytes_before + self._bytes, 0

    def summary(self) -> str:
        """Return what was done, in one line."""
        received, took = self._bytes_before + self._bytes, time.monotonic() - self._began
        return (
            f"{self._objects_before:,} objects, {human_size(received)} received in "
            f"{human_time(took)}"
        )


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Draw a bar while the block runs; say at its end what was done if anything was added."""
    if not is_terminal(sys.stderr):
        report = Report(title, None)
        yield report
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
        )
        with Progress(
            *columns, console=console(sys.stderr), auto_refresh=False, transient=True
        ) as bar:
            report = Report(title, bar)
            yield report
    if not report.quiet and report._objects_before:
        say(report.summary())
