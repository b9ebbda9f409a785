"""The table that the demo prints: the acts below each other."""

from collections.abc import Sequence

import humanize

from examples.check_scanner.demo.acts import Act
from examples.check_scanner.result import State

_HEAD = [
    ("", "", "", "", "", "requests", "for the", "down-", "seconds", "model"),
    (
        "",
        "uploads",
        "processed",
        "review",
        "rejected",
        "to S3",
        "model",
        "loaded",
        "each",
        "ready in",
    ),
]


def table(acts: Sequence[Act]) -> str:
    """Lay the acts out, numbers to the right."""
    rows = [*_HEAD, *map(cells, acts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "─" * sum(widths, 2 * (len(widths) - 1))
    return "\n".join([*lines[: len(_HEAD)], rule, *lines[len(_HEAD) :], rule])


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

    >>> milliseconds(0.0001234), milliseconds(0.0987)
    ('0.12 ms', '99 ms')
    """
    thousandths = 1000 * seconds
    return f"{thousandths:.0f} ms" if thousandths >= 10 else f"{thousandths:.2f} ms"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    title, *numbers = map(str.rjust, row, widths)
    return "  ".join([title.strip().ljust(widths[0]), *numbers]).rstrip()
