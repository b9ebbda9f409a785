"""What the cache saved, as bars: geometry here, SVG in the template."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.check_scanner.demo.acts import Act
from examples.check_scanner.demo.table import milliseconds, size

#: Units of the drawing.
WIDTH, ROW, LABEL, VALUE = 260, 26, 80, 58


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


def panels(acts: Sequence[Act]) -> list[Panel]:
    """Four measures, each per check: the median of times, the mean of counts."""
    return [
        _panel("Time per check", "with the start of the process", acts,
               lambda act: act.seconds, lambda value: f"{value:.2f} s"),
        _panel("Until the model is ready", "downloaded, parsed, prepared", acts,
               lambda act: act.model_seconds, milliseconds),
        _panel("Requests for the model", "per check", acts,
               lambda act: _each(act, act.model_requests), lambda value: f"{value:.2g}"),
        _panel("Model downloaded", "per check", acts,
               lambda act: _each(act, act.model_bytes), lambda value: size(round(value))),
    ]  # fmt: skip


def _panel(
    title: str,
    about: str,
    acts: Sequence[Act],
    measure: Callable[[Act], float | None],
    text: Callable[[float], str],
) -> Panel:
    values = [measure(act) for act in acts]
    most = max((value for value in values if value), default=1.0)
    room = WIDTH - LABEL - VALUE
    bars = [
        Bar(
            act.title,
            number * ROW,
            round(room * (value or 0.0) / most, 1),
            "not needed" if value is None else text(value) if value else "0",
        )
        for number, (act, value) in enumerate(zip(acts, values, strict=True))
    ]
    return Panel(title, about, bars)


def _each(act: Act, total: int) -> float | None:
    """Per check; None if the act needed no model."""
    return None if act.model_seconds is None else total / len(act.visits)
