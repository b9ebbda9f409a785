"""What the headers of an answer say of its body, by the names that botocore has for them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def span(response: Mapping[str, Any]) -> tuple[int, int | None, int | None]:
    """Where the body begins and ends in the object, and how long the object is."""
    length = response.get("ContentLength")
    kind, _, span = str(response.get("ContentRange") or "").partition(" ")
    if kind != "bytes":
        return 0, length, length
    place, _, total = span.partition("/")
    first, _, last = place.partition("-")
    if not (first.isdigit() and last.isdigit()):
        return 0, length, length
    return int(first), int(last) + 1, int(total) if total.isdigit() else None


def announced(response: Mapping[str, Any]) -> str:
    """The checksum of the whole object that came along; one of its parts' checksums is none."""
    from ...common.checksum import ALGORITHMS, can_verify

    if response.get("ChecksumType") != "COMPOSITE":
        for algorithm in ALGORITHMS:
            value = response.get(f"Checksum{algorithm.upper()}")
            if value and "-" not in value and can_verify(algorithm):
                return f"{algorithm}:{value}"
    return ""
