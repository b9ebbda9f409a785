"""The command ``watch``: a live view of a cache that other programs use."""

from __future__ import annotations

import itertools
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from .output import console, human_size, is_terminal
from .state import State, pass_state

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .. import Cache
    from ..reports import RootStats, Usage

_BAR_WIDTH = 40


class Sample(NamedTuple):
    """What a cache looks like at one moment."""

    at: float
    usage: Usage
    stats: RootStats

    @classmethod
    def of(cls, cache: Cache) -> Sample:
        """Look at a cache. That takes no lock and writes nothing."""
        return cls(time.time(), cache.usage(), cache.root_stats())


@click.command(
    epilog="""\b
Columns in a pipe: seconds since the epoch, bytes used, quota, objects, hits, revalidated, fetched,
bytes fetched, evicted.
\b
Examples:
  tmpcache watch
  tmpcache watch --interval 60 >> usage.tsv"""
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Look this often.",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N looks.")
@pass_state
def watch(state: State, /, interval: float, count: int | None) -> None:
    """Watch hits, fetches and usage while programs use the cache, until Ctrl-C.

    A program's hits arrive within 30 seconds; what it fetches or evicts, with its transactions.
    """
    draw = _Screen(state.root) if is_terminal() else _Lines()
    try:
        with draw:
            for number in itertools.count(1):
                draw.show(Sample.of(state.cache))
                if number == count:
                    return
                time.sleep(interval)
    except KeyboardInterrupt:  # the way to end it
        return


class _Lines:
    """One line of columns for each look."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, sample: Sample) -> None:
        """Print a line, at once."""
        usage, stats = sample.usage, sample.stats
        values = (
            *(int(sample.at), usage.used, usage.quota, usage.objects, stats.hits),
            *(stats.revalidated, stats.fetched, stats.bytes_fetched, stats.evicted),
        )
        click.echo("\t".join(map(str, values)))
        sys.stdout.flush()


class _Screen:
    """Some lines of a terminal, drawn anew by each look. No thread draws."""

    def __init__(self, root: str) -> None:
        from rich.live import Live

        self._root = root
        self._first: Sample | None = None
        self._last: Sample | None = None
        self._live = Live(console=console(), auto_refresh=False)

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, sample: Sample) -> None:
        """Draw what a look has found, and the rates since the one before."""
        self._first = self._first or sample
        self._live.update(self._view(sample, self._first, self._last or sample), refresh=True)
        self._last = sample

    def _view(self, now: Sample, first: Sample, last: Sample) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        usage = now.usage
        share = usage.used / usage.quota
        numbers = (
            f"{human_size(usage.used)} of {human_size(usage.quota)} ({share:.0%}), "
            f"{usage.objects:,} objects, {human_size(usage.leased)} leased"
        )
        bar = ProgressBar(total=1, completed=min(share, 1), width=_BAR_WIDTH)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("", "TOTAL", "SINCE START", "A SECOND"):
            table.add_column(title, justify="right" if title else "left")
        passed = max(now.at - last.at, 1e-9)
        for name in ("hits", "revalidated", "fetched", "bytes_fetched", "bytes_saved", "evicted"):
            of, before, start = (getattr(one.stats, name) for one in (now, last, first))
            show = human_size if name.startswith("bytes") else "{:,.0f}".format
            table.add_row(
                name.replace("_", " "), show(of), show(of - start), show((of - before) / passed)
            )
        return Group(Text(self._root), bar, Text(numbers), Text(""), table)
