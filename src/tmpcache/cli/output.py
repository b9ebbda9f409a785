"""What goes to stdout: tables for people, columns for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from rich.console import Console

_UNITS = (("y", 365 * 86400), ("d", 86400), ("h", 3600), ("min", 60))


class Cell(NamedTuple):
    """One value: as programs read it, and as people do."""

    plain: object
    shown: str


def printable(text: str) -> str:
    r"""Return a text with escapes for what a terminal would obey: others choose the keys.

    >>> printable("a\x1b[31m\tb ü")
    'a\\x1b[31m\\tb ü'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def text(value: str) -> Cell:
    """Return the cell of a text."""
    return Cell(printable(value), printable(value))


def number(value: int) -> Cell:
    """Return the cell of a count."""
    return Cell(value, f"{value:,}")


def size(value: float) -> Cell:
    """Return the cell of a number of bytes."""
    return Cell(int(value), human_size(value))


def age(at: float | None) -> Cell:
    """Return the cell of the time that has passed since `at`, in seconds since the epoch."""
    if at is None:
        return Cell("", "never")
    passed = max(0.0, time.time() - at)
    return Cell(int(passed), human_time(passed))


def human_size(value: float) -> str:
    """Return bytes as people read them.

    >>> human_size(1536), human_size(12)
    ('1.5 KiB', '12 Bytes')
    """
    from humanize import naturalsize

    return naturalsize(value, binary=True, format="%.1f")


def human_time(seconds: float) -> str:
    """Return a duration in its largest unit.

    >>> human_time(59.9), human_time(7200), human_time(10 * 86400)
    ('59 s', '2 h', '10 d')
    """
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def is_terminal(stream: Any = None) -> bool:
    """Return whether stdout, or another stream, is a terminal."""
    return bool((stream or sys.stdout).isatty())


def console(stream: Any = None) -> Console:
    """Return rich's console for stdout, or for another stream."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, highlight=False, emoji=False, markup=False)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table on a terminal, and tab-separated columns without titles elsewhere.

    Columns whose titles are upper-case are numbers, and aligned to the right.
    """
    if not is_terminal():
        for row in rows:
            click.echo("\t".join(str(cell.plain) for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        is_text = title in ("URL", "BUCKET", "")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=not is_text)
        table.columns[-1].overflow = "fold"
    for row in rows:
        table.add_row(*(Text(cell.shown) for cell in row))
    console().print(table)


def print_json(value: object) -> None:
    """Print JSON that people can read, too: a list has one item on each line."""
    if isinstance(value, list):
        lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in value)
        click.echo(f"[\n{lines}\n]" if value else "[]")
    else:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))
