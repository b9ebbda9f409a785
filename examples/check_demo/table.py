"""The table that the demo prints: the acts below each other."""

from collections.abc import Sequence

import humanize
from rich.table import Table

from examples.check_scanner.result import State

from .acts import Act

_HEAD = (
    "",
    "uploads",
    "processed",
    "review",
    "rejected",
    "requests\nto S3",
    "for the\nmodel",
    "down-\nloaded",
    "seconds\neach",
    "model\nready in",
)
#: Columns of a terminal that the table needs; where it is written to a file, it takes them.
WIDTH = 100


def table(acts: Sequence[Act]) -> Table:
    """Lay the acts out, numbers to the right."""
    laid_out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, head in enumerate(_HEAD):
        laid_out.add_column(head, justify="right" if number else "left", vertical="bottom")
    for act in acts:
        laid_out.add_row(*cells(act))
    return laid_out


def cells(act: Act) -> tuple[str, ...]:
    """One act as a row."""
    decided = [str(act.decisions[state]) for state in State]
    ready = act.model_seconds
    return (
        act.title,
        str(len(act.visits)),
        *decided,
        str(act.requests),
        str(act.model_requests),
        size(act.downloaded),
        f"{act.seconds:.2f}",
        milliseconds(ready) if ready is not None else "-",
    )


def size(count: int) -> str:
    """Bytes for people, such as ``3.7 MB``."""
    return humanize.naturalsize(count, format="%.1f") if count else "0"


def milliseconds(seconds: float) -> str:
    """A short time for people.

    >>> milliseconds(0.0001234), milliseconds(0.0987), milliseconds(1.2)
    ('0.12 ms', '99 ms', '1.20 s')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    thousandths = 1000 * seconds
    return f"{thousandths:.0f} ms" if thousandths >= 10 else f"{thousandths:.2f} ms"
