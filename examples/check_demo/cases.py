"""What is on record about an upload, beside what the demo knows of it."""

from dataclasses import dataclass
from typing import Any

from examples.check_scanner.reading import Field, Reading
from examples.check_scanner.result import State

from .acts import Play
from .cloud import Cloud
from .uploads import Sent

#: The fields of a MICR line.
FIELDS = ("routing", "account", "serial", "amount")


@dataclass(frozen=True, slots=True)
class Case:
    """One upload, as the tables tell it after the play.

    ``original`` has the bytes that are in the archive, ``size`` the pixels of the picture that was
    read, which boxes refer to.
    """

    id: str
    sent: Sent
    act: str
    state: State
    reason: str
    email: str | None
    deposit: dict[str, Any] | None
    reading: Reading | None
    courtesy: Field | None
    size: tuple[int, int] | None
    original: bytes

    @property
    def true(self) -> bool:
        """Whether all was read as it is printed, and the claimed amount is the written one."""
        if self.reading is None or self.sent.truth is None or self.deposit is None:
            return False
        same = all(field.text == printed for _, field, printed in self.compared())
        courtesy = self.courtesy.text if self.courtesy else None
        cents = self.sent.cents
        return same and courtesy in (None, str(cents)) and self.deposit["amount_cents"] == cents

    def compared(self) -> list[tuple[str, Field, str | None]]:
        """Field by field what was read and what is printed; nothing if no line was looked for."""
        if self.reading is None:
            return []
        return [
            (name, getattr(self.reading, name), getattr(self.sent.truth, name, None))
            for name in FIELDS
        ]


def cases(play: Play, cloud: Cloud) -> list[Case]:
    """All uploads, in the order in which they came."""
    return [
        _case(act.title, visit.sent, visit.result["id"], cloud)
        for act in play.acts
        if act is not play.repeated
        for visit in act.visits
    ]


def _case(act: str, sent: Sent, id: str, cloud: Cloud) -> Case:
    entry = cloud.records.get("audited", id)
    reading, courtesy = cloud.records.reading(id)
    return Case(
        id=id,
        sent=sent,
        act=act,
        state=State(entry["decision"]),
        reason=entry["reason"],
        email=entry["email"],
        deposit=entry["deposit"],
        reading=reading,
        courtesy=courtesy,
        size=entry["size"] and (int(entry["size"][0]), int(entry["size"][1])),
        original=cloud.read(entry["copies"]["original"]) if "original" in entry["copies"] else b"",
    )
