"""What the cache saved, as bars: geometry here, SVG in the template."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..acts import Act
from ..large import SIZE, Start
from ..table import milliseconds, size

#: Units of the drawing.
WIDTH, ROW, LABEL, VALUE = 290, 26, 86, 100


@dataclass(frozen=True, slots=True)
class Bar:
    """One act: ``width`` in units of the drawing, ``text`` for people."""

    title: str
    y: int
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure, with a bar for each act."""

    title: str
    about: str
    bars: list[Bar]

    @property
    def height(self) -> int:
        """Of the drawing."""
        return ROW * len(self.bars)


def panels(acts: Sequence[Act], starts: Sequence[Start]) -> list[Panel]:
    """How soon a large model is there, and what the scanner's own one cost, act by act."""
    ready = [(one.title, one.seconds, milliseconds(one.seconds)) for one in starts]
    used = [act for act in acts if act.model_seconds is not None]
    asked = [(a.title, a.model_requests, _each(a.model_requests, a)) for a in used]
    loaded = [(a.title, a.model_bytes, size(a.model_bytes)) for a in used]
    return [
        _panel(f"Until a model of {size(SIZE)} is ready", "another function, see above", ready),
        _panel("Requests for the model of the scanner", "in all checks of an act", asked),
        _panel("Downloaded of the model of the scanner", "in all checks of an act", loaded),
    ]


def _panel(title: str, about: str, rows: Sequence[tuple[str, float, str]]) -> Panel:
    most = max((value for _, value, _ in rows), default=0) or 1
    room = WIDTH - LABEL - VALUE
    bars = [
        Bar(name, number * ROW, round(room * value / most, 1), text)
        for number, (name, value, text) in enumerate(rows)
    ]
    return Panel(title, about, bars)


def _each(requests: int, act: Act) -> str:
    checks = len(act.visits)
    return f"{requests} in {checks} check{'s' if checks > 1 else ''}"
