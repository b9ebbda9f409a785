"""The check scanner's sixth stage: deposit, ask a person, or refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from support.scanner import ACCOUNT, reading

from examples.check_scanner.decide import decide, identity
from examples.check_scanner.reading import Decision, Field
from examples.check_scanner.receive import Deposit

DEPOSIT = Deposit("ann@example.com", "12345679", 1999, datetime(2026, 1, 5, tzinfo=UTC))
UNREAD = Field(None, 0.0)


def cents(text: str) -> Field:
    return Field(text, 0.9)


@pytest.mark.parametrize(
    ("changes", "courtesy", "state", "reason"),
    [
        ({}, None, "processed", r"nothing on the check contradicts \$19\.99"),
        ({}, UNREAD, "processed", "nothing on the check contradicts"),
        ({"amount": cents("0000001999")}, None, "processed", r"says \$19\.99, as claimed"),
        ({}, cents("1999"), "processed", "as claimed"),
        ({"amount": cents("1999")}, cents("1999"), "processed", "as claimed"),
        ({"amount": cents("2000")}, None, "review", r"the MICR line says \$20\.00"),
        ({}, cents("199900"), "review", r"the amount box says \$1,999\.00"),
        ({"amount": cents("1999")}, cents("1899"), "review", r"the amount box says \$18\.99"),
        ({"decision": Decision.REVIEW, "reason": "Blurred."}, None, "review", "^Blurred.$"),
        ({"decision": Decision.REJECT, "reason": "No line."}, None, "rejected", "^No line.$"),
        ({"serial": UNREAD}, None, "review", "second deposit"),
        ({"account": Field("12345679", 0.9)}, None, "review", "very account"),
    ],
)
def test_each_rule_says_its_reason(
    changes: dict[str, Any], courtesy: Field | None, state: str, reason: str
) -> None:
    import re

    verdict = decide(DEPOSIT, reading(**changes), courtesy, 500_000)
    assert verdict.state == state
    assert re.search(reason, verdict.reason)


def test_all_doubts_are_told_at_once() -> None:
    found = reading(decision=Decision.REVIEW, reason="Blurred.", amount=cents("2000"))
    verdict = decide(DEPOSIT, found, cents("2001"), 500_000)
    for part in ("Blurred.", "$20.00", "$20.01"):
        assert part in verdict.reason


def test_a_large_amount_has_to_be_on_the_check() -> None:
    large = replace(DEPOSIT, amount_cents=500_001)
    assert decide(large, reading(), UNREAD, 500_000).state == "review"
    assert decide(large, reading(), cents("500001"), 500_000).state == "processed"
    assert decide(DEPOSIT, reading(), UNREAD, 1998).state == "review"
    assert decide(DEPOSIT, reading(), UNREAD, 1999).state == "processed"


def test_a_check_is_known_by_routing_account_and_serial_together() -> None:
    found = reading(serial=Field("0042", 1.0))
    assert identity(found) == f"011000015/{ACCOUNT}/0042"
    for missing in ("routing", "account", "serial"):
        assert identity(reading(**{missing: UNREAD})) is None
    assert identity(None) is None
