"""Progress: of the bytes of one object, for the caller's function or drawn on a terminal."""

from __future__ import annotations

import sys
import time
from threading import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..store.downloads.partial_file import Partial

    #: Called with the bytes received of one object, and its size, None if the origin has not said.
    ByteProgress = Callable[[int, int | None], object]

#: Seconds between two reports.
_INTERVAL = 0.1


class ReportingPartial:
    """A partial file that reports what is written to it, in the thread that made this object.

    Other threads may write, too; the next write by the first one reports for all.
    """

    def __init__(self, partial: Partial, report: ByteProgress) -> None:
        self._partial, self._report = partial, report
        self._thread, self._next, self._resumed = get_ident(), 0.0, partial.received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)

    def write(self, data: memoryview, at: int) -> None:
        """Write to the partial file, and report if the last report is a while ago."""
        self._partial.write(data, at)
        if get_ident() == self._thread and time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self._report(self._resumed + self._partial.transferred, self._partial.size)

    def rewind(self) -> None:
        """Rewind the partial file: what it held from an earlier download does not count."""
        self._partial.rewind()
        self._resumed = -self._partial.transferred


class Bar:
    """Draws the progress of one object on the terminal, with tqdm or else rich, if one is there.

    Draws nothing without a terminal.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Callable[[int | None], None] | None = None
        self._draw = _drawer() if sys.stderr.isatty() else None

    def __call__(self, received: int, size: int | None) -> None:
        """Draw that so many bytes of so many have been received."""
        if self._draw is not None:
            if self._bar is None:
                self._bar = self._draw(self._what, size)
            self._bar(received)

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar(None)


def _drawer() -> Callable[[str, int | None], Callable[[int | None], None]] | None:
    try:
        from tqdm import tqdm
    except ImportError:
        return _rich_drawer()

    def start(what: str, size: int | None) -> Callable[[int | None], None]:
        bar = tqdm(desc=what, total=size, unit="B", unit_scale=True, leave=False, file=sys.stderr)

        def draw(received: int | None) -> None:
            if received is None:
                bar.close()
            else:
                bar.update(received - bar.n)

        return draw

    return start


def _rich_drawer() -> Callable[[str, int | None], Callable[[int | None], None]] | None:
    try:
        from rich import progress
    except ImportError:
        return None

    def start(what: str, size: int | None) -> Callable[[int | None], None]:
        columns = (progress.DownloadColumn(), progress.TransferSpeedColumn())
        rest = (*progress.Progress.get_default_columns(), *columns)
        bar = progress.Progress(*rest, transient=True, console=_console())
        task = bar.add_task(what, total=size)
        bar.start()

        def draw(received: int | None) -> None:
            if received is None:
                bar.stop()
            else:
                bar.update(task, completed=received)

        return draw

    return start


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)
