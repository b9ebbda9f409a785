"""Stage 6, decide: deposit, ask a person, or refuse; and say why in words for people.

Rules are pure functions of what is known. Only a routing number has a check digit, so account,
serial and amount are believed no further than a second source bears them out.
"""

from collections.abc import Iterator

from .money import dollars
from .reading import Decision, Field, Reading
from .receive import Deposit
from .result import Findings, State, Verdict


def judge(findings: Findings, unconfirmed_limit: int) -> Verdict:
    """Judge what was found out about an upload; what is no check has its verdict already."""
    if findings.deposit is None or findings.reading is None:
        if findings.verdict is None:
            raise ValueError("Without deposit and reading there is nothing to judge.")
        return findings.verdict
    return decide(findings.deposit, findings.reading, findings.courtesy, unconfirmed_limit)


def decide(
    deposit: Deposit, reading: Reading, courtesy: Field | None, unconfirmed_limit: int
) -> Verdict:
    """Judge a check that could be decoded.

    ``courtesy`` is the amount in figures, if anybody looked for it. A claimed amount that neither
    it nor the MICR line confirms is believed up to ``unconfirmed_limit`` (cents).
    """
    if reading.decision is Decision.REJECT:
        return Verdict(State.REJECTED, reading.reason)
    doubts = list(_doubts(deposit, reading, courtesy, unconfirmed_limit))
    if doubts:
        return Verdict(State.REVIEW, " ".join(doubts))
    amount = dollars(deposit.amount_cents)
    read = "The MICR line was read without a doubt"
    if _sources(reading, courtesy):
        return Verdict(State.PROCESSED, f"{read} and the check says {amount}, as claimed.")
    return Verdict(State.PROCESSED, f"{read}; nothing on the check contradicts {amount}.")


def identity(reading: Reading | None) -> str | None:
    """What tells one check from every other: routing, account and serial; None if one is missing.

    Two uploads of one check have the same, whatever they are called.
    """
    if reading is None:
        return None
    parts = (reading.routing.text, reading.account.text, reading.serial.text)
    return "/".join(part for part in parts if part) if all(parts) else None


def duplicate(of: str) -> Verdict:
    """The verdict on a check that another upload presented first."""
    return Verdict(State.REVIEW, f"The same check was sent in before, as upload {of}.")


def _doubts(
    deposit: Deposit, reading: Reading, courtesy: Field | None, unconfirmed_limit: int
) -> Iterator[str]:
    if reading.decision is not Decision.ACCEPT:
        yield reading.reason
    elif identity(reading) is None:
        yield "Without routing, account and serial number a second deposit would go unnoticed."
    if reading.account.text and reading.account.text == deposit.account:
        yield "The check is drawn on the very account that it is to be deposited to."
    claimed = deposit.amount_cents
    amounts = _sources(reading, courtesy)
    for source, cents in amounts.items():
        if cents != claimed:
            yield f"{dollars(claimed)} is claimed, {source} says {dollars(cents)}."
    if not amounts and claimed > unconfirmed_limit:
        yield f"{dollars(claimed)} is claimed and cannot be read on the check."


def _sources(reading: Reading, courtesy: Field | None) -> dict[str, int]:
    """The amounts (cents) that can be read on the check, by where they stand."""
    fields = {"the MICR line": reading.amount, "the amount box": courtesy}
    return {
        source: int(field.text)
        for source, field in fields.items()
        if field is not None and field.text
    }
