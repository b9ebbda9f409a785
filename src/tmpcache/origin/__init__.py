"""Requests to where objects come from. Nothing in this package knows of the disk.

An origin sends conditional GETs: it returns the object as it is now, or says that it still has the
ETag of the copy on disk. Its protocol is :class:`Origin`, in :mod:`.protocol`. :mod:`.s3` sends
requests to S3 through boto3, :mod:`.direct` over connections of its own, and :mod:`.obstore`
through obstore; :mod:`.choice` decides between them. :mod:`.transfer` downloads a body, and resumes
it where it breaks. :mod:`.scope` hashes the credentials that a request is signed with.

Another origin is a class of your own that fits the protocol; docs/write-an-origin.md shows one.
"""

from __future__ import annotations

from .replies import UNSAID, Listed, Reply, Unchanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .body import Body
    from .protocol import GetOptions, ListableOrigin, Origin, WritableOrigin

__all__ = [
    "UNSAID",
    "Body",
    "GetOptions",
    "ListableOrigin",
    "Listed",
    "Origin",
    "Reply",
    "Unchanged",
    "WritableOrigin",
    "scope_of",
]


def scope_of(origin: Origin, answered: str | None) -> str | None:
    """Return the scope that came with a response, or that `origin` has now if none did."""
    return origin.scope if answered == UNSAID else answered


def __getattr__(name: str) -> Any:
    # The protocols need `typing`, which takes 3 ms to import: a hit does without.
    if name == "Body":
        from . import body

        return body.Body
    if name in ("GetOptions", "ListableOrigin", "Origin", "WritableOrigin"):
        from . import protocol

        return getattr(protocol, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
