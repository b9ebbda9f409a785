"""Results, the marks they are held against, and how both are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table

from .measure import Spread

Quantity = Literal["ours", "difference", "ratio"]
Unit = Literal["seconds", "bytes", "modules"]

#: The titles of a result's cells.
HEAD = ("what", "ours", "baseline", "difference or ratio", "mark", "")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a result must not exceed: ours itself, or ours compared with the baseline."""

    of: Quantity
    at_most: float


@dataclass(frozen=True, slots=True)
class Result:
    """One thing measured: ours and the baseline, sample by sample from the same rounds."""

    group: str
    what: str
    mark: Mark
    ours: Sequence[float]
    #: Empty where there is nothing to compare with.
    baseline: Sequence[float] = ()
    unit: Unit = "seconds"

    @property
    def compared(self) -> Spread | None:
        """Ours against the baseline, round by round: differences, or ratios."""
        pairs = list(zip(self.ours, self.baseline, strict=bool(self.baseline)))
        if not pairs:
            return None
        if self.mark.of == "difference":
            return Spread.of([ours - baseline for ours, baseline in pairs])
        return Spread.of([ours / baseline for ours, baseline in pairs])

    @property
    def ok(self) -> bool:
        """Whether the median is within the mark."""
        judged = Spread.of(self.ours) if self.mark.of == "ours" else self.compared
        return judged is not None and judged.median <= self.mark.at_most

    def cells(self) -> tuple[str, ...]:
        """Return the result as a row of the table."""
        return (
            f"{self.group}: {self.what}",
            shown(Spread.of(self.ours), self.unit),
            shown(Spread.of(self.baseline), self.unit) if self.baseline else "-",
            self._comparison(),
            self._marked(),
            "ok" if self.ok else "MISSED",
        )

    def as_json(self) -> dict[str, Any]:
        """Return the result in types that JSON knows; seconds and bytes."""
        return {
            "group": self.group,
            "what": self.what,
            "unit": self.unit,
            "rounds": len(self.ours),
            "ours": asdict(Spread.of(self.ours)),
            "baseline": asdict(Spread.of(self.baseline)) if self.baseline else None,
            "compared": asdict(self.compared) if self.compared else None,
            "compared_as": "difference" if self.mark.of == "difference" else "ratio",
            "mark": asdict(self.mark),
            "ok": self.ok,
        }

    def _comparison(self) -> str:
        if self.compared is None:
            return "-"
        if self.mark.of == "difference":
            sign = "+" if self.compared.median >= 0 else ""
            return sign + shown(self.compared, self.unit)
        return f"{self.compared.median:.2f}x ±{_half(self.compared):.2f}"

    def _marked(self) -> str:
        if self.mark.of == "ratio":
            return f"≤ {self.mark.at_most:g}x"
        sign = "+" if self.mark.of == "difference" else ""
        return f"≤ {sign}{_amount(self.mark.at_most, self.unit)}"


def print_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table as Markdown, into a file as well; all columns but the first have numbers."""
    table = Table(box=box.MARKDOWN)
    for number, title in enumerate(head):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=200, highlight=False, markup=False).print(table)


def shown(spread: Spread, unit: Unit) -> str:
    """Return a median and half the distance of the quartiles, with three figures.

    >>> shown(Spread(1.5, 1.4, 1.8), "seconds"), shown(Spread(4e-6, 4e-6, 5e-6), "seconds")
    ('1.50 s ±0.20', '4.00 µs ±0.50')
    """
    if unit == "modules":
        return f"{spread.median:.0f}"
    scale, name = _scale(spread.median, unit)
    median, half = spread.median / scale, _half(spread) / scale
    digits = _digits(median)
    return f"{median:.{digits}f} {name} ±{half:.{digits}f}"


def _half(spread: Spread) -> float:
    """Return half the distance of the quartiles: half of all samples are as near the median."""
    return (spread.high - spread.low) / 2


def _amount(value: float, unit: Unit) -> str:
    scale, name = _scale(value, unit)
    return f"{value / scale:g} {name}".rstrip()


def _scale(value: float, unit: Unit) -> tuple[float, str]:
    if unit == "bytes":
        return 1024 * 1024, "MiB"
    if unit == "modules":
        return 1, ""
    steps = ((1e-6, "µs"), (1e-3, "ms"))
    return next((step for step in steps if abs(value) < 1000 * step[0]), (1, "s"))


def _digits(number: float) -> int:
    """Return the decimals that make three figures of a number between 1 and 1,000."""
    return 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
