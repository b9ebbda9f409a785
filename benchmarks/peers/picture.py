"""The tables as an SVG: for each work, a dot for each peer on an axis of its own.

The axes are logarithmic, because what is compared differs by factors: dots, not bars, as there is
no zero for bars to stand on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from ..measure import Spread
from ..report import Unit, shown
from .record import Record, Row
from .roster import OURS, PEERS, taking_part
from .works import WORKS

#: What is drawn beside what; "memory" is that of the work "large".
_ORDER = (
    *("large", "memory", "large-capped", "fresh", "cold", "cold-far"),
    *("many", "many-far", "asking", "asking-far", "start", "put"),
)
_COLUMNS = 2
_WIDTH, _LINE, _TITLE, _GAP = 460, 18, 40, 26
#: Where names end, the axis begins and ends, and values end.
_NAMES, _LEFT, _RIGHT, _VALUES = 128, 142, 362, 456
_MARGIN, _HEAD = 28, 44
#: Of memory, less is noise.
_LEAST_BYTES = 2**20
_CAPTION = "Dot: median. Line: quartiles. Further left is better. The axes are logarithmic."

_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
  .paper { fill: #ffffff; } text { fill: #454c54; }
  .title { font-weight: 600; font-size: 13px; fill: #1f2328; }
  .tick { font-size: 10px; fill: #6e7781; text-anchor: middle; }
  .name, .value { text-anchor: end; } .grid { stroke: #e3e7eb; }
  .dot { fill: #6e7781; } .range { stroke: #6e7781; stroke-width: 2; }
  text.why { fill: #6e7781; font-style: italic; font-weight: 400; }
  .why { paint-order: stroke; stroke: #ffffff; stroke-width: 6; stroke-linejoin: round; }
  .ours .dot { fill: #0969da; } .ours .range { stroke: #0969da; }
  .ours .name, .ours .value { fill: #0969da; font-weight: 600; }
  .failed text.why { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #b3bcc6; } .title { fill: #f0f6fc; }
    .tick, text.why { fill: #8b949e; } .why { stroke: #0d1117; } .grid { stroke: #2a313a; }
    .dot { fill: #9aa4ae; } .range { stroke: #9aa4ae; }
    .ours .dot, .ours .name, .ours .value { fill: #58a6ff; } .ours .range { stroke: #58a6ff; }
    .failed text.why { fill: #f0883e; }
  }
"""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One work, as it is drawn."""

    title: str
    #: The names of all who take part.
    peers: Sequence[str]
    unit: Unit
    spreads: dict[str, Spread]
    #: Why others have none, and whether that is a failure.
    reasons: dict[str, tuple[str, bool]]


def picture(records: dict[str, Record]) -> str:
    """Draw all works that there are records of, two beside each other."""
    panels = list(_panels(records))
    height = _TITLE + _LINE * len(PEERS) + _GAP
    rows = math.ceil(len(panels) / _COLUMNS)
    width = _COLUMNS * _WIDTH + 3 * _MARGIN
    parts = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        x, y = _MARGIN + column * (_WIDTH + _MARGIN), _HEAD + row * height
        parts.append(f'<g transform="translate({x} {y})">{"".join(_drawn(panel))}</g>')
    whole = _HEAD + rows * height + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" '
        f'width="{width}" height="{whole}" role="img">\n'
        "<title>tmpcache and its peers: medians and quartiles</title>\n"
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{width}" height="{whole}"/>\n'
        f'<text x="{_MARGIN}" y="30">{_CAPTION}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panels(records: dict[str, Record]) -> Iterator[_Panel]:
    works = {work.name: work for work in WORKS}
    for name in _ORDER:
        record = records.get("large" if name == "memory" else name)
        if record is None or not record.rows:
            continue
        rows = record.rows
        reasons = {
            peer: (row.lacks or "failed", bool(row.failed))
            for peer, row in rows.items()
            if row.lacks or row.failed
        }
        peers = [peer.name for peer in taking_part(works[record.work].verb)]
        if name == "memory":
            title = f"{record.title}: peak memory"
            yield _Panel(title, peers, "bytes", _known(rows, "memory"), reasons)
        else:
            yield _Panel(record.title, peers, "seconds", _known(rows, "spread"), reasons)


def _known(rows: dict[str, Row], what: str) -> dict[str, Spread]:
    spreads = {name: getattr(row, what) for name, row in rows.items()}
    return {name: spread for name, spread in spreads.items() if spread is not None}


def _drawn(panel: _Panel) -> Iterator[str]:
    yield f'<text class="title" x="0" y="26">{escape(panel.title)}</text>'
    place = _Axis.of(panel)
    bottom = _TITLE + _LINE * len(panel.peers)
    for value, label in place.ticks(panel.unit):
        x = place.of_value(value)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TITLE}" y2="{bottom}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 13}">{label}</text>'
    for number, name in enumerate(panel.peers):
        reason, failed = panel.reasons.get(name, ("", False))
        kind = "ours" if name.startswith(OURS) else "other"
        y = _TITLE + _LINE * number + _LINE / 2
        yield f'<g class="{kind}{" failed" if failed else ""}" transform="translate(0 {y:g})">'
        yield f'<text class="name" x="{_NAMES}" y="4">{escape(name)}</text>'
        if name in panel.spreads:
            yield from _dot(panel.spreads[name], place, panel.unit)
        else:
            yield f'<text class="why" x="{_LEFT}" y="4">{escape(reason)}</text>'
        yield "</g>"


def _dot(spread: Spread, place: _Axis, unit: Unit) -> Iterator[str]:
    low, median, high = map(place.of_value, (spread.low, spread.median, spread.high))
    yield f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="0" y2="0"/>'
    yield f'<circle class="dot" cx="{median:.1f}" cy="0" r="4"/>'
    value = shown(spread, unit).partition(" ±")[0]
    if unit == "bytes" and spread.median < _LEAST_BYTES:
        value = "&lt; 1 MiB"
    yield f'<text class="value" x="{_VALUES}" y="4">{value}</text>'


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis between two powers of ten (of its unit), or narrower."""

    low: float
    high: float

    @classmethod
    def of(cls, panel: _Panel) -> _Axis:
        """Return the axis on which all of a panel has room."""
        values = [value for spread in panel.spreads.values() for value in (spread.low, spread.high)]
        floor = _LEAST_BYTES if panel.unit == "bytes" else 1e-7
        values = [max(value, floor) for value in values] or [floor]
        return cls(min(values) / 1.3, max(values) * 1.3)

    def of_value(self, value: float) -> float:
        """Return where a value is."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return _LEFT + share * (_RIGHT - _LEFT)

    def ticks(self, unit: Unit) -> Iterator[tuple[float, str]]:
        """Return values to write below, with their names: as many as there is room for."""
        base = 2**20 if unit == "bytes" else 1.0
        first, last = (math.floor(math.log10(end / base)) for end in (self.low, self.high))
        figures = (1, 2, 5) if self.high / self.low < 60 else (1,)
        for power in range(first, last + 1):
            for figure in figures:
                value = figure * base * 10.0**power
                if self.low <= value <= self.high:
                    yield value, _tick(value, unit)


def _tick(value: float, unit: Unit) -> str:
    number, name = shown(Spread(value, value, value), unit).partition(" ±")[0].split(" ")
    return f"{float(number):g} {name}"
