"""Stage 1, receive: from one S3 event record to the deposit that it announces.

The whole order is in the object's name, ``incoming/<email>^<account>^<amount>^<unix time>.jpg``.
Strangers choose that name, so every part is checked before anything is downloaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

from examples.check_scanner.errors import BadEventError, BadNameError

PREFIX = "incoming/"

_PARTS = {
    "email": re.compile(r"[^\s^@/]{1,64}@[^\s^@/]{1,255}"),
    "account": re.compile(r"[0-9]{1,17}"),
    # Ten digits are what the amount field of a check's MICR line holds.
    "amount": re.compile(r"(?:0|[1-9][0-9]{0,7})\.[0-9]{2}"),
    "time": re.compile(r"[0-9]{1,10}"),
}
_SUFFIX = re.compile(r"\.(?:jpe?g|png)", re.IGNORECASE)
_FORM = "<email>^<account>^<amount>^<unix time>.jpg"


@dataclass(frozen=True, slots=True)
class Deposit:
    """What the uploader asks for: credit ``amount`` (dollars) to ``account``."""

    email: str
    account: str
    amount: Decimal
    time: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that arrived, by its real (decoded) key."""

    bucket: str
    key: str

    @property
    def name(self) -> str:
        """The file name alone, without the ``incoming/`` prefix."""
        return self.key.removeprefix(PREFIX)


def parse_record(record: Mapping[str, Any]) -> Upload:
    """Find bucket and key in one entry of an S3 event's ``Records``.

    S3 encodes keys in events like HTML forms: ``%5E`` for ``^``, ``+`` for a space.

    >>> parse_record({"s3": {"bucket": {"name": "b"}, "object": {"key": "incoming/a+b%5Ec.jpg"}}})
    Upload(bucket='b', key='incoming/a b^c.jpg')
    """
    try:
        s3 = record["s3"]
        return Upload(str(s3["bucket"]["name"]), unquote_plus(s3["object"]["key"]))
    except (KeyError, TypeError) as error:
        raise BadEventError(f"Not a record of an S3 event: {error!r}") from error


def parse_key(key: str) -> Deposit:
    """Read the deposit out of a decoded key, or raise `BadNameError` naming the part at fault.

    Keys outside ``incoming/`` are refused too: the copies that the scanner writes raise events of
    their own if the bucket's notification has no prefix filter, and would be scanned for ever.

    >>> parse_key("incoming/ann@example.com^12345679^19.99^1475597700.jpg").amount
    Decimal('19.99')
    """
    if not key.startswith(PREFIX):
        raise BadNameError(f"{key!r} is not under {PREFIX!r}.")
    name = key.removeprefix(PREFIX)
    stem, dot, suffix = name.rpartition(".")
    if not _SUFFIX.fullmatch(dot + suffix):
        raise BadNameError(f"{name!r} does not end in .jpg, .jpeg or .png.")
    values = stem.split("^")
    if len(values) != len(_PARTS):
        raise BadNameError(f"{name!r} has {len(values)} parts; expected {_FORM}.")
    part = dict(zip(_PARTS, values, strict=True))
    for label, pattern in _PARTS.items():
        if not pattern.fullmatch(part[label]):
            raise BadNameError(f"{name!r}: {part[label]!r} is no valid {label}; expected {_FORM}.")
    amount = Decimal(part["amount"])
    if not amount:
        raise BadNameError(f"{name!r}: the amount must be more than zero.")
    time = datetime.fromtimestamp(int(part["time"]), UTC)
    return Deposit(part["email"], part["account"], amount, time)
