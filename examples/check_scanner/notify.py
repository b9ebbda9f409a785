"""Stage 8, notify: tell the uploader what became of the check.

A mail cannot be sent and noted in one step. So it is claimed, sent, noted: a process that dies
between SES's answer and the note leaves a claim, and whoever finds it a minute later sends the mail
a second time. Nobody goes without one, at worst somebody gets two; never is one sent before the
decision is on record. An address that SES refuses for good is noted as ``failed``: the decision
stands.
"""

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from . import items
from .errors import BusyError
from .money import dollars
from .quoted import one_line
from .records import Records
from .result import State

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

#: Seconds after which a claim is nobody's: more than a function may run, less than the minute
#: after which Lambda delivers an event again.
LEASE = 45.0

# SES's word for an address that it cannot send to. All else passes or can be repaired, and is worth
# another try: throttling, a paused account, and MessageRejected, which is also what SES says if it
# does not know the sender.
_REFUSED = "InvalidParameterValue"

_SUBJECTS = {
    State.PROCESSED: "Your check has been accepted for deposit",
    State.REVIEW: "Your check is being looked at",
    State.REJECTED: "Your check could not be accepted",
}
_LAST_WORDS = {
    State.PROCESSED: "Please keep the paper check until the deposit is on your statement.",
    State.REVIEW: "A person will look at it. You need not send it again.",
    State.REJECTED: "Nothing will be deposited. You may send the check again.",
}

#: Characters of a reason.
_LONGEST = 300

_log = logging.getLogger(__name__)


def notify(
    ses: "SESClient", tables: Records, entry: dict[str, Any], sender: str, now: float
) -> None:
    """Send the mail that ``entry`` of ``audited`` still owes, and note that all is done.

    Raises `BusyError` if another process claimed it less than `LEASE` seconds ago.
    """
    if entry["mail"] in (items.PENDING, items.SENDING):
        if not tables.claim_mail(entry, now, LEASE):
            entry = tables.get("audited", entry["id"])
            if entry["progress"] == items.DONE:
                return
            raise BusyError(f"Upload {entry['id']}: its mail is being sent; try again in a minute.")
        entry = {**entry, "mail": _send(ses, entry, sender)}
    if entry["progress"] != items.DONE:
        tables.finish(entry, entry["mail"])


def _send(ses: "SESClient", entry: dict[str, Any], sender: str) -> str:
    subject, body = text(entry)
    try:
        # Structured, not raw: whatever an address holds, it cannot become a header.
        ses.send_email(
            Source=sender,
            Destination={"ToAddresses": [entry["email"]]},
            Message={
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
            },
        )
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != _REFUSED:
            raise
        _log.warning("Upload %s: no mail: %s", entry["id"], error)
        return items.FAILED
    return items.SENT


def text(entry: dict[str, Any]) -> tuple[str, str]:
    """Subject and body. Of the account, the last four digits have to be enough.

    The uploader chose the address and may not own it, so nothing else that the uploader wrote is in
    the mail, and nothing of other uploads.
    """
    state = State(entry["decision"])
    lines = [f"{_SUBJECTS[state]}.", ""]
    if deposit := entry["deposit"]:
        amount = dollars(int(deposit["amount_cents"]))
        lines += [f"Amount: {amount}", f"To account: …{deposit['account'][-4:]}"]
    if state is not State.PROCESSED:
        lines.append(f"Reason: {one_line(entry['told'], _LONGEST)}")
    lines += [f"Reference: {entry['id']}", "", _LAST_WORDS[state]]
    return _SUBJECTS[state], "\n".join(lines) + "\n"
