"""Reads extent and checksum of a body, and the date, from headers, by botocore's names."""

from __future__ import annotations

from .. import Listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


def extent_of(response: Mapping[str, Any]) -> tuple[int, int | None, int | None]:
    """Return where the body begins and ends in the object, and the size of the object."""
    length = response.get("ContentLength")
    unit, _, content_range = str(response.get("ContentRange") or "").partition(" ")
    if unit != "bytes":
        return 0, length, length
    byte_range, _, total = content_range.partition("/")
    first, _, last = byte_range.partition("-")
    if not (first.isdigit() and last.isdigit()):
        return 0, length, length
    return int(first), int(last) + 1, int(total) if total.isdigit() else None


def announced_checksum(response: Mapping[str, Any]) -> str:
    """Return the checksum of the whole object in a response; "" if there is none.

    A checksum of the parts' checksums (COMPOSITE, or with a ``-``) is not one of the bytes.
    """
    from ...common.checksum import ALGORITHMS, can_verify

    if response.get("ChecksumType") != "COMPOSITE":
        for algorithm in ALGORITHMS:
            value = response.get(f"Checksum{algorithm.upper()}")
            if value and "-" not in value and can_verify(algorithm):
                return f"{algorithm}:{value}"
    return ""


def listed_in(page: Mapping[str, Any], scope: str | None) -> Iterator[Listed]:
    """Yield the objects in one page of a listing, which `scope` requested."""
    date = date_of(page)
    for found in page.get("Contents", ()):
        yield Listed(found["Key"], found.get("ETag", ""), found.get("Size", 0), scope, date)


def date_of(response: Mapping[str, Any]) -> float | None:
    """Return the ``Date`` header in seconds since the epoch; None if there is none."""
    from email.utils import parsedate_to_datetime

    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
