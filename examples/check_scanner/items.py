"""What the tables' items look like, and how they become what they stand for again."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from .reading import Decision, Field, Reading
from .receive import Deposit
from .result import Findings, State, Verdict

Item = dict[str, Any]

RECEIVED, DECIDED, DONE = "received", "decided", "done"
PENDING, SENDING, SENT, FAILED, NOBODY = "pending", "sending", "sent", "failed", "none"


def iso(seconds: float) -> str:
    """Seconds since the epoch as people and programs read them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def deposit_of(entry: Mapping[str, Any]) -> Deposit | None:
    """The deposit that an entry of ``audited`` is about."""
    plain = entry.get("deposit")
    if not plain:
        return None
    time = datetime.fromisoformat(plain["time"])
    return Deposit(plain["email"], plain["account"], int(plain["amount_cents"]), time)


def decision(findings: Findings, verdict: Verdict, by: str, now: str) -> Item:
    """What a decision adds to an upload's entry in ``audited``."""
    deposit = findings.deposit
    plain = {**asdict(deposit), "time": deposit.time.isoformat()} if deposit else None
    return {
        "progress": DECIDED,
        "decision": verdict.state.value,
        "reason": verdict.reason,
        "told": verdict.told or verdict.reason,
        "decided_at": now,
        "decided_by": by,
        "email": findings.email,
        "deposit": plain,
        "copies": findings.copies,
        "size": list(findings.size) if findings.size else None,
        "mail": PENDING if findings.email else NOBODY,
    }


def outcome(decided: Item, read: Reading | None) -> Item:
    """An item of ``processed``, ``review`` or ``rejected``, in the words of openchecks."""
    deposit = decided["deposit"] or {}
    return {
        "id": decided["id"],
        "key": decided["key"],
        "reason": decided["reason"],
        "decided_at": decided["decided_at"],
        "email": decided["email"],
        "to_account": deposit.get("account"),
        "amount_cents": deposit.get("amount_cents"),
        "deposited_at": deposit.get("time"),
        "routing": read.routing.text if read else None,
        "from_account": read.account.text if read else None,
        "serial": read.serial.text if read else None,
    }


def parsed(id: str, read: Reading, courtesy: Field | None) -> Item:
    """An item of ``parsed``, with decimals for floats, which DynamoDB does not know."""
    plain = {
        "id": id,
        "reading": asdict(read),
        "courtesy": asdict(courtesy) if courtesy is not None else None,
    }
    item: Item = json.loads(json.dumps(plain), parse_float=Decimal)
    return item


def reading(plain: Item) -> Reading:
    """The reading that ``parsed`` holds."""
    fields = {name: field(plain[name]) for name in ("routing", "account", "serial", "amount")}
    rest = {
        "decision": Decision(plain["decision"]),
        "confidence": float(plain["confidence"]),
    }
    return Reading(**{**plain, **fields, **rest})


def field(plain: Item | None) -> Field | None:
    """One field of it."""
    if plain is None:
        return None
    box = plain["box"] and tuple((float(x), float(y)) for x, y in plain["box"])
    return Field(plain["text"], float(plain["confidence"]), box)


def plain(findings: Findings) -> Item:
    """Findings in types that JSON knows; the time in ISO 8601."""
    item: Item = json.loads(json.dumps(asdict(findings), default=datetime.isoformat))
    return item


def findings(plain: Item) -> Findings:
    """The findings that `plain` made that of."""
    verdict = plain["verdict"]
    return Findings(
        verdict=Verdict(**{**verdict, "state": State(verdict["state"])}) if verdict else None,
        email=plain["email"],
        deposit=deposit_of(plain),
        reading=reading(plain["reading"]) if plain["reading"] else None,
        courtesy=field(plain["courtesy"]),
        copies=plain["copies"],
        size=tuple(plain["size"]) if plain["size"] else None,
        outcome=plain["outcome"],
    )
