"""What fleets of each size cost, as an SVG: lines over logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from .prices import GETS_A_SECOND
from .record import Record

_WIDTH, _HEIGHT, _MARGIN, _HEAD, _COLUMNS = 460, 250, 28, 44, 2
#: Of a panel: where its axes begin and end; to the right is room for names of lines.
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 338, 40, 206
_LINE = 15
_CAPTION = (
    "Across: machines. All axes but that of the stalest copy are logarithmic. Lower is better."
)
_WITHOUT, _LISTING, _PACK = "without", "listing", "pack"

_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
  .paper { fill: #ffffff; } text { fill: #454c54; }
  .title { font-weight: 600; font-size: 13px; fill: #1f2328; }
  .tick { font-size: 10px; fill: #6e7781; text-anchor: middle; } .grid { stroke: #e3e7eb; }
  .left { text-anchor: end; }
  .line { fill: none; stroke: #6e7781; stroke-width: 2; } .dot { fill: #6e7781; }
  .ours .line { stroke: #0969da; } .ours .dot { fill: #0969da; }
  .ours text { fill: #0969da; font-weight: 600; }
  .limit { stroke: #bc4c00; stroke-dasharray: 4 3; } text.limit { fill: #bc4c00; stroke: none; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #b3bcc6; } .title { fill: #f0f6fc; }
    .tick { fill: #8b949e; } .grid { stroke: #2a313a; }
    .line { stroke: #9aa4ae; } .dot { fill: #9aa4ae; }
    .ours .line { stroke: #58a6ff; } .ours .dot, .ours text { fill: #58a6ff; }
    .limit { stroke: #f0883e; } text.limit { fill: #f0883e; }
  }
"""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One quantity, for fleets of each size."""

    title: str
    #: By the name of a line: a value for each size.
    lines: dict[str, Sequence[float]]
    #: What is written at values of the axis, and where a limit is: its name and value.
    ticks: dict[float, str]
    limit: tuple[str, float] | None = None
    logarithmic: bool = True


def picture(record: Record) -> str:
    """Draw what was measured, two panels beside each other."""
    sizes = [figures.machines for figures in record.fleets["without"]]
    panels = list(_panels(record))
    rows = math.ceil(len(panels) / _COLUMNS)
    width, height = _COLUMNS * _WIDTH + 3 * _MARGIN, _HEAD + rows * _HEIGHT + _MARGIN
    parts = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        x, y = _MARGIN + column * (_WIDTH + _MARGIN), _HEAD + row * _HEIGHT
        drawn = "".join(_drawn(panel, sizes))
        parts.append(f'<g transform="translate({x} {y})">{drawn}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">\n'
        "<title>Fleets with and without a listing and a pack</title>\n"
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{width}" height="{height}"/>\n'
        f'<text x="{_MARGIN}" y="30">{_CAPTION}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panels(record: Record) -> Iterator[_Panel]:
    plain, listed = record.fleets["without"], record.fleets["listing"]
    cold, packed = record.cold_starts["without"], record.cold_starts["listing and pack"]
    yield _Panel(
        "GETs a minute, 200 objects, max_age 60 s",
        {_WITHOUT: [one.gets for one in plain], _LISTING: [one.gets for one in listed]},
        {10.0**power: f"{10**power:,}" for power in range(1, 7)},
        ("5,500 a second", GETS_A_SECOND * 60.0),
    )
    yield _Panel(
        "dollars a month for all requests",
        {_WITHOUT: [one.dollars for one in plain], _LISTING: [one.dollars for one in listed]},
        {10.0**power: f"${10**power:,}" for power in range(0, 5)},
    )
    yield _Panel(
        "all start at once: seconds until all are warm",
        {_WITHOUT: [one.all for one in cold], _PACK: [one.all for one in packed]},
        {1.0: "1 s", 10.0: "10 s", 100.0: "100 s"},
    )
    yield _Panel(
        "stalest copy that was served",
        {
            _WITHOUT: [one.stale_most for one in plain],
            _LISTING: [one.stale_most for one in listed],
        },
        {0.0: "0", 20.0: "20 s", 40.0: "40 s", 60.0: "60 s"},
        ("max_age", 60.0),
        logarithmic=False,
    )


def _drawn(panel: _Panel, sizes: Sequence[int]) -> Iterator[str]:
    yield f'<text class="title" x="0" y="26">{escape(panel.title)}</text>'
    across = _Scale.over([float(size) for size in sizes], (_LEFT, _RIGHT), logarithmic=True)
    limit = [] if panel.limit is None else [panel.limit[1]]
    values = [value for line in panel.lines.values() for value in line]
    up = _Scale.over([*values, *limit, *panel.ticks], (_BOTTOM, _TOP), panel.logarithmic)
    for value, label in panel.ticks.items():
        y = up.of(value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick left" x="{_LEFT - 8}" y="{y + 3:.1f}">{label}</text>'
    for size in sizes:
        yield f'<text class="tick" x="{across.of(size):.1f}" y="{_BOTTOM + 18}">{size:,}</text>'
    if panel.limit is not None:
        yield from _limit(panel.limit[0], up.of(panel.limit[1]))
    names = _apart({name: up.of(line[-1]) for name, line in panel.lines.items()})
    for name, line in panel.lines.items():
        points = [(across.of(size), up.of(v)) for size, v in zip(sizes, line, strict=True)]
        yield from _line(name, points, names[name])


def _limit(name: str, y: float) -> Iterator[str]:
    yield f'<line class="limit" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield f'<text class="limit" x="{_LEFT + 6}" y="{y + 14:.1f}">{name}</text>'


def _apart(places: dict[str, float]) -> dict[str, float]:
    """Return where names are written that would be too near to each other."""
    apart, last = {}, -math.inf
    for name, y in sorted(places.items(), key=lambda place: place[1]):
        apart[name] = last = max(y, last + _LINE)
    return apart


def _line(name: str, points: Sequence[tuple[float, float]], name_at: float) -> Iterator[str]:
    yield f'<g class="{"other" if name == _WITHOUT else "ours"}">'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline class="line" points="{path}"/>'
    for x, y in points:
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    yield f'<text x="{_RIGHT + 12}" y="{name_at + 4:.1f}">{name}</text></g>'


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values are on an axis."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool

    @classmethod
    def over(
        cls, values: Sequence[float], between: tuple[float, float], logarithmic: bool
    ) -> _Scale:
        """Return the scale on which all values have room."""
        return cls(min(values), max(values), *between, logarithmic)

    def of(self, value: float) -> float:
        """Return where a value is."""
        low, high, here = self.low, self.high, value
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.begin + (here - low) / (high - low) * (self.end - self.begin)
