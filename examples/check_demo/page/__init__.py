"""The page that shows what a run of the demo did: one HTML file that needs nothing else.

Pictures are inside it as data URIs, the filter is CSS, there is no script at all, and its content
security policy forbids any: names and mails come from strangers. Jinja escapes whatever is put in;
names are quoted and cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from examples.check_scanner.money import dollars
from examples.check_scanner.quoted import quoted
from examples.check_scanner.result import State

from ..acts import Act
from ..cases import Case
from ..cloud import Mail
from ..distance import LATENCY, RATE
from ..large import SIZE, Start
from ..promises import Promise
from ..table import milliseconds, size
from . import chart
from .picture import shot

_LABELS = {
    "routing": "Routing",
    "account": "Account",
    "serial": "Serial",
    "amount": "Amount",
    "courtesy": "Amount box",
}
# For pictures on phones.
_SHORT = {"routing": "R", "account": "A", "serial": "S", "amount": "$", "courtesy": "$"}


@dataclass(frozen=True, slots=True)
class Story:
    """All that the page tells.

    ``ledger`` has the items of the tables in which uploads end, ``starts`` how another function
    came by a large model.
    """

    acts: Sequence[Act]
    cases: Sequence[Case]
    promises: Sequence[Promise]
    ledger: Mapping[State, Sequence[Mapping[str, Any]]]
    mails: Sequence[Mail]
    starts: Sequence[Start] = ()


def write(story: Story, path: Path) -> None:
    """Write the page, in UTF-8."""
    path.write_text(render(story), encoding="utf-8")


def render(story: Story) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader(__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        dollars=lambda cents: dollars(int(cents)),
        milliseconds=milliseconds,
        quoted=quoted,
        size=size,
    )
    numbers = {case.id: number for number, case in enumerate(story.cases, 1)}
    sums = {state: _sum(story.ledger[state]) for state in State}
    environment.globals.update(labels=_LABELS, short=_SHORT, states=list(State))
    return environment.get_template("page.html").render(
        story=story,
        numbers=numbers,
        sums=sums,
        chart=chart,
        panels=chart.panels(story.acts, story.starts),
        large=SIZE,
        away=LATENCY,
        rate=RATE,
        shots={case.id: shot(case) for case in story.cases},
    )


def _sum(items: Sequence[Mapping[str, Any]]) -> int:
    return sum(int(item["amount_cents"] or 0) for item in items)
