"""Faults that a test can inject into the S3 server, some of them ready-made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .request import Request

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Fault:
    """How the server misbehaves; the fields that are set apply, in this order.

    >>> throttled = Fault(status=HTTPStatus.SERVICE_UNAVAILABLE, code="SlowDown")
    """

    before: Callable[[], object] | None = None  #: call this first, such as to overwrite the object
    drop: tuple[str, ...] = ()  #: ignore these request headers
    status: HTTPStatus | None = None  #: answer with this error, without asking the store
    code: str = ""  #: the S3 error code in that answer
    edit: Callable[[int, Headers], Headers] | None = None  #: change the answer's headers


def _without(name: str) -> Callable[[int, Headers], Headers]:
    return lambda _, headers: [(n, v) for n, v in headers if n.lower() != name]


def _wrong_checksum(status: int, headers: Headers) -> Headers:
    if status != 200:
        return headers
    return [*_without("x-amz-checksum-crc32")(0, headers), ("x-amz-checksum-crc32", "AAAAAA==")]


def _checksum_on_304(status: int, headers: Headers) -> Headers:
    return [*headers, ("x-amz-checksum-crc32", "AAAAAA==")] if status == 304 else headers


def _shift_content_range(_: int, headers: Headers) -> Headers:
    """Announce a range that begins one byte after the one that is sent."""
    found = {name.lower(): value for name, value in headers}.get("content-range")
    if found is None:
        return headers
    first, rest = found.removeprefix("bytes ").split("-", 1)
    return [
        *_without("content-range")(0, headers),
        ("Content-Range", f"bytes {int(first) + 1}-{rest}"),
    ]


SLOW_DOWN = Fault(status=HTTPStatus.SERVICE_UNAVAILABLE, code="SlowDown")
INTERNAL_ERROR = Fault(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="InternalError")
ACCESS_DENIED = Fault(status=HTTPStatus.FORBIDDEN, code="AccessDenied")
IGNORE_IF_NONE_MATCH = Fault(drop=("if-none-match",))
IGNORE_IF_MATCH = Fault(drop=("if-match",))
IGNORE_RANGE = Fault(drop=("range",))
WRONG_CONTENT_RANGE = Fault(edit=_shift_content_range)
CHECKSUM_ON_304 = Fault(edit=_checksum_on_304)
WRONG_CHECKSUM = Fault(edit=_wrong_checksum)
NO_ETAG = Fault(edit=_without("etag"))


@dataclass
class InjectedFault:
    """A fault, and which requests it applies to: of one method and path, after `skip` others."""

    path: str
    fault: Fault
    skip: int
    left: float
    method: str

    def applies_to(self, request: Request) -> bool:
        """Return whether the fault applies to this request, and count the request."""
        if (request.method, request.path) != (self.method, self.path) or self.left <= 0:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.left -= 1
        return True
