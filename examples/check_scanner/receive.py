"""Stage 1, receive: from one S3 event record to the deposit that it announces.

The whole order is in the object's name, ``incoming/<email>^<account>^<amount>^<unix time>.jpg``.
Strangers choose that name, so every part is checked before anything is downloaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

from .errors import BadEventError, BadNameError
from .money import parse_dollars
from .quoted import quoted

PREFIX = "incoming/"

# RFC 5321's dot-atoms within its limits, less "^" and "/", which mean something else here. ASCII
# only, and nothing that could end a header line or name a second recipient.
_ATOM = r"[A-Za-z0-9!#$%&'*+=?_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(
    rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+"
)
_ACCOUNT = re.compile(r"[0-9]{1,17}")
_TIME = re.compile(r"[0-9]{1,10}")
_SUFFIX = re.compile(r"\.(?:jpe?g|png|tiff?|bmp|gif)", re.IGNORECASE)
_FORM = "<email>^<account>^<amount>^<unix time>.jpg"


@dataclass(frozen=True, slots=True)
class Deposit:
    """What the uploader asks for: credit ``amount_cents`` to ``account``."""

    email: str
    account: str
    amount_cents: int
    time: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that arrived, by its real (decoded) key.

    ``etag`` (without quotes) and ``size`` (bytes) are None if nobody has said; `pipeline.process`
    then asks. ``version_id`` is there if the bucket keeps versions and the event named one.
    """

    bucket: str
    key: str
    etag: str | None = None
    size: int | None = None
    version_id: str | None = None

    @property
    def name(self) -> str:
        """The file name alone, without the ``incoming/`` prefix."""
        return self.key.removeprefix(PREFIX)

    @property
    def suffix(self) -> str:
        """The lowercase suffix, or nothing if it is none of ours."""
        _, dot, suffix = self.key.rpartition(".")
        return (dot + suffix).lower() if _SUFFIX.fullmatch(dot + suffix) else ""

    @property
    def id(self) -> str:
        """What this upload is known as everywhere: 32 hexadecimal digits.

        The same bytes under the same name are the same upload, however often S3 announces them and
        however often they are sent; other bytes under that name are another one. The version is
        left out, because a listing of the bucket, unlike an event, does not tell it.
        """
        parts = (self.bucket, self.key, self.etag or "")
        return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def is_check(record: Mapping[str, Any]) -> bool:
    """Whether an event's record announces an object that arrived under ``incoming/``.

    If the bucket's notification has no filter, the copies that the scanner writes and the originals
    that it removes raise events too, and would be scanned for ever.
    """
    name = str(record.get("eventName", "ObjectCreated:"))
    key = parse_record(record).key
    return "ObjectCreated:" in name and key.startswith(PREFIX) and key != PREFIX


def parse_record(record: Mapping[str, Any]) -> Upload:
    """Find the object in one entry of an S3 event's ``Records``.

    S3 encodes keys in events like HTML forms: ``%5E`` for ``^``, ``+`` for a space.

    >>> parse_record({"s3": {"bucket": {"name": "b"}, "object": {"key": "incoming/a+b%5Ec.jpg"}}})
    Upload(bucket='b', key='incoming/a b^c.jpg', etag=None, size=None, version_id=None)
    """
    try:
        s3 = record["s3"]
        thing = s3["object"]
        etag, size = thing.get("eTag"), thing.get("size")
        return Upload(
            bucket=str(s3["bucket"]["name"]),
            key=unquote_plus(thing["key"]),
            etag=str(etag).strip('"') if etag else None,
            size=int(size) if size is not None else None,
            version_id=thing.get("versionId"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadEventError(f"Not a record of an S3 event: {error!r}") from error


def parse_key(key: str) -> Deposit:
    """Read the deposit out of a decoded key, or raise `BadNameError` naming the part at fault.

    >>> parse_key("incoming/ann@example.com^12345679^19.99^1475597700.jpg").amount_cents
    1999
    """
    if not key.startswith(PREFIX):
        raise BadNameError(f"{quoted(key)} is not under {PREFIX!r}.")
    name = key.removeprefix(PREFIX)
    email = address(name.partition("^")[0])
    stem, dot, suffix = name.rpartition(".")
    if not _SUFFIX.fullmatch(dot + suffix):
        raise _bad(name, "does not end in .jpg, .png, .tif, .bmp or .gif", email)
    values = stem.split("^")
    if len(values) != 4:
        raise _bad(name, f"has {len(values)} parts; expected {_FORM}", email)
    if email is None:
        raise _bad(name, f"has no valid email address; expected {_FORM}", None)
    _, account, amount, time = values
    for label, value, pattern in (("account", account, _ACCOUNT), ("time", time, _TIME)):
        if not pattern.fullmatch(value):
            raise _bad(name, f"has no valid {label}; expected {_FORM}", email)
    try:
        cents = parse_dollars(amount)
    except ValueError as error:
        raise _bad(name, "has no amount in dollars and cents, such as 19.99", email) from error
    if not cents:
        raise _bad(name, "has an amount that is not more than zero", email)
    return Deposit(email, account, cents, datetime.fromtimestamp(int(time), UTC))


def _bad(name: str, fault: str, email: str | None) -> BadNameError:
    """Make the error of a name: those who work here see it, quoted; in a mail is none of it."""
    return BadNameError(
        f"The file's name {fault}: {quoted(name)}.", email, f"The file's name {fault}."
    )


def address(text: str) -> str | None:
    r"""Return ``text`` if it is one plain mail address, else None.

    >>> address("ann@example.com"), address("ann@example.com\r\nBcc: all@example.com")
    ('ann@example.com', None)
    """
    return text if _EMAIL.fullmatch(text) else None
