"""Reads the extent and the checksum of a body from headers, by the names that botocore has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
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
