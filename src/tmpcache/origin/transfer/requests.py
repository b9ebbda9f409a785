"""The two requests of a transfer: the object as it is now, and a range of a known version."""

from __future__ import annotations

from ...errors import ObjectChangedError
from .. import Reply
from .errors import UnusableRangeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from .. import Origin
    from .sink import Sink


def is_strong(etag: str) -> bool:
    """Return whether an ETag stands for the very bytes: ``If-Match`` takes no other (RFC 9110)."""
    return bool(etag) and not etag.startswith("W/")


def request_object(origin: Origin, name: ObjectName, deadline: Deadline | None) -> Reply:
    """Request the whole object as it is now."""
    reply = origin.get(name.bucket, name.key, name.version or None, deadline=deadline)
    assert isinstance(reply, Reply), "only if_none_match is answered without a body"
    return reply


def request_range(
    origin: Origin,
    name: ObjectName,
    sink: Sink,
    start: int,
    end: int | None,
    deadline: Deadline | None,
) -> Reply:
    """Request bytes `start` to `end` of the version whose ETag `sink` has.

    Raises :class:`ObjectChangedError` if the origin has another version now, and
    :class:`UnusableRangeError` if its response does not say which version it belongs to, or if the
    origin does not support ranges.
    """
    if not is_strong(sink.etag):
        raise UnusableRangeError
    reply = origin.get(
        name.bucket,
        name.key,
        name.version or None,
        if_match=sink.etag,
        start=start,
        end=end,
        deadline=deadline,
    )
    assert isinstance(reply, Reply), "only if_none_match is answered without a body"
    if reply.etag == sink.etag and reply.start == start and reply.size in (None, sink.size):
        return reply
    if reply.etag == sink.etag and not reply.start and reply.size == sink.size:
        raise UnusableRangeError(reply)
    reply.body.close()
    if is_strong(reply.etag) and reply.etag != sink.etag:
        raise ObjectChangedError(
            f"{name} was replaced while it was read (ETag {sink.etag} became {reply.etag}), and "
            "again during the restart: fetch it when its writer has finished.",
            bucket=name.bucket,
            key=name.key,
        )
    raise UnusableRangeError
