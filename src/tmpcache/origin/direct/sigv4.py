"""Signatures of GET requests, AWS Signature Version 4, with the signing key of the day cached.

Source of the formulas: "Create a signed AWS API request" (IAM User Guide, "Signature Version 4
signing process") and, for S3, "Signature Calculations for the Authorization Header" (Amazon S3 API
Reference). A signature takes 5 µs; botocore, which derives the key anew each time, takes 84.
"""

from __future__ import annotations

from time import gmtime, strftime

try:  # hashlib loads OpenSSL, 2.5 ms of a new process; without TLS nothing else needs it
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:  # an interpreter that has only OpenSSL's
        from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..scope import Credentials

#: SHA-256 of no body.
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def _table(unchanged: bytes) -> list[str]:
    return [chr(byte) if byte in unchanged else f"%{byte:02X}" for byte in range(256)]


_IN_PATH, _IN_QUERY = _table(_UNRESERVED + b"/"), _table(_UNRESERVED)


def path_of(key: str) -> str:
    """Return a key as part of a URL's path: percent-encoded once, slashes kept, nothing tidied up.

    "URI-encode() … every byte except the unreserved characters …; encode the forward slash
    everywhere except in the object key name". S3's canonical path is the path itself.

    >>> path_of("a//b/../c d+~é")
    'a//b/../c%20d%2B~%C3%A9'
    """
    return "".join(map(_IN_PATH.__getitem__, key.encode()))


def in_query(text: str) -> str:
    """Return a text as the value of a query parameter, where the slash is encoded, too."""
    return "".join(map(_IN_QUERY.__getitem__, text.encode()))


class _Mac:
    """HMAC (RFC 2104) with its key hashed once."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) > 64:  # the block of SHA-256
            key = sha256(key).digest()
        padded = key.ljust(64, b"\0")
        self._inner: Any = sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer: Any = sha256(bytes(byte ^ 0x5C for byte in padded))

    def of(self, message: bytes) -> Any:
        """Return the hash object of a message's code."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer


def signing_key(secret: str, day: str, region: str) -> bytes:
    """Return the signing key of a day (``YYYYMMDD``) and region, for S3.

    "DateKey = HMAC-SHA256("AWS4"+secret, date); DateRegionKey = HMAC-SHA256(DateKey, region);
    DateRegionServiceKey = HMAC-SHA256(DateRegionKey, service);
    SigningKey = HMAC-SHA256(DateRegionServiceKey, "aws4_request")".
    """
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = _Mac(key).of(part.encode()).digest()
    return key


def canonical_request(path: str, query: str, headers: Mapping[str, str]) -> tuple[str, str]:
    r"""Return the canonical form of a GET without a body, and the names of the headers in it.

    "CanonicalRequest = Method \n Uri \n QueryString \n Headers \n SignedHeaders \n
    HashedPayload", the headers by name in lower case, sorted, their values trimmed and with single
    spaces. `headers` has them all, ``host`` and ``x-amz-content-sha256`` as well.
    """
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join([f"{name}:{' '.join(headers[name].split())}\n" for name in names])
    return f"GET\n{path}\n{query}\n{lines}\n{signed}\n{EMPTY}", signed


class Signature:
    """Signs requests to one region with one set of credentials."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self._key_id, self._secret, self._token = credentials
        self._region = region
        #: The second of the last signature, and S3's text for it; day, credential scope and key.
        self._second: tuple[int, str] = 0, ""
        self._day: tuple[str, str, _Mac] | None = None

    def sign(self, path: str, query: str, headers: dict[str, str], now: float) -> None:
        r"""Add to the headers of a GET those that S3 requires: date, token, ``authorization``.

        "StringToSign = Algorithm \n RequestDateTime \n CredentialScope \n
        HashedCanonicalRequest; signature = Hex(HMAC-SHA256(SigningKey, StringToSign))".
        """
        second, moment = self._second
        if second != int(now):
            second, moment = int(now), strftime("%Y%m%dT%H%M%SZ", gmtime(now))
            self._second = second, moment
        day = self._day
        if day is None or day[0] != moment[:8]:
            key = _Mac(signing_key(self._secret, moment[:8], self._region))
            day = moment[:8], f"{moment[:8]}/{self._region}/s3/aws4_request", key
            self._day = day
        headers["x-amz-date"] = moment
        headers["x-amz-content-sha256"] = EMPTY
        if self._token:
            headers["x-amz-security-token"] = self._token
        canonical, signed = canonical_request(path, query, headers)
        hashed = sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{moment}\n{day[1]}\n{hashed}"
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={self._key_id}/{day[1]}, SignedHeaders={signed}, "
            f"Signature={day[2].of(text.encode()).hexdigest()}"
        )
