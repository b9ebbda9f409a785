"""Cases of the demo, as its page is given them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from examples.check_demo import specimen
from examples.check_demo.cases import Case
from examples.check_demo.uploads import Sent
from examples.check_scanner import reader
from examples.check_scanner.result import State

REASON = "Bytes such as <b>these</b> & those."


def case(number: int, state: State, sent: Sent, **changes: Any) -> Case:
    usual: dict[str, Any] = {
        "id": f"{number:032x}",
        "sent": sent,
        "act": "warm",
        "state": state,
        "reason": REASON,
        "email": None,
        "deposit": None,
        "reading": None,
        "courtesy": None,
        "size": None,
        "original": sent.body,
    }
    return Case(**usual | changes)


def check(number: int, state: State, tier: str) -> Case:
    """A check that was truly drawn, and truly read."""
    sample = specimen.sample(number, tier)
    cents = int(sample.check.amount * 100)
    sent = Sent("incoming/" + sample.file_name, sample.upload, tier, sample.truth, cents)
    reading = reader.line(reader.built_here(), sample.image)
    deposit = {"amount_cents": Decimal(cents), "account": sample.check.deposit_account}
    return case(number, state, sent, reading=reading, deposit=deposit, size=sample.image.size)
