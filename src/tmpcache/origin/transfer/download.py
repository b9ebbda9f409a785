"""Download an object into a sink, whatever breaks on the way.

botocore retries a request until its response headers have arrived, but not a body that breaks after
that. Here a broken body is resumed at the byte where it broke, by a range request with
``If-Match``: the sink receives one version of the object, or the download fails.

A small body is read at once. Of a large object, the first response is read from its start. If it
comes slowly, further connections request ranges of the rest meanwhile (:mod:`.parallel`).
"""

from __future__ import annotations

from ...errors import ObjectChangedError, OriginUnavailableError
from .errors import body_too_long
from .requests import request_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from .. import Origin, Reply
    from .sink import Sink

#: Bytes of a body that is read at once: malloc need not map a buffer of that size (20 µs).
_SMALL = 64 * 1024


def download(
    origin: Origin,
    name: ObjectName,
    reply: Reply | None,
    sink: Sink,
    deadline: Deadline | None = None,
) -> tuple[str, str | None, str | None]:
    """Write the object that `reply` begins into `sink`; return its ETag, version id and scope.

    Without a `reply`, what is missing in the sink is requested if the object still has the sink's
    ETag, else all of it.

    Raises :class:`OriginUnavailableError` if the body keeps breaking, :class:`ObjectChangedError`
    if the object is replaced twice meanwhile, :class:`IntegrityError` if it does not have its
    checksum, :class:`DeadlineExceededError` if time runs out, and whatever `sink` raises.
    """
    is_resumed = reply is None and sink.etag != ""
    if reply is None and not is_resumed:
        reply = request_object(origin, name, deadline)
    if reply is not None and reply.size is not None and reply.size <= _SMALL:
        try:
            return _read_small(name, reply, sink, deadline)
        except OriginUnavailableError:  # the transfer below retries
            if deadline is not None:
                deadline.check(name)
            reply = None
            if not sink.etag:
                sink.rewind()
    # A resumed download may begin anew once more than others: when it finds that the object has
    # another version than the partial file, nobody has replaced it during this download.
    return _transfer(origin, name, reply, sink, deadline, restarts=2 if is_resumed else 1)


def _transfer(
    origin: Origin,
    name: ObjectName,
    reply: Reply | None,
    sink: Sink,
    deadline: Deadline | None,
    *,
    restarts: int,
) -> tuple[str, str | None, str | None]:
    """Download with retries; begin anew, `restarts` times at most, if the object is replaced."""
    from .parallel import Transfer

    refused_etag = ""
    while True:
        # The last attempt starts no helpers. Unless its one body breaks, it needs no further
        # request, so it succeeds even if the object is replaced meanwhile.
        transfer = Transfer(origin, name, sink, deadline, refused_etag, allows_helpers=restarts > 0)
        try:
            described = transfer.run(reply)
            sink.check(name)
            return described
        except ObjectChangedError:
            if not restarts:
                raise
            restarts -= 1
            refused_etag, reply = sink.etag, None
            sink.rewind()


def _read_small(
    name: ObjectName, reply: Reply, sink: Sink, deadline: Deadline | None
) -> tuple[str, str | None, str | None]:
    """Read a small body in the calling thread, without retries.

    Most bodies are small and do not break: this takes 25 µs less than a transfer.
    """
    if deadline is not None:
        deadline.watch(reply.body)
    try:
        assert reply.size is not None
        sink.begin(reply.etag, reply.size, reply.checksum)
        buffer, at = memoryview(bytearray(reply.size + 1)), 0
        while data := reply.body.read(buffer):
            at += len(data)
            if at > reply.size:
                raise body_too_long(name, reply.size)
            sink.write(data, at - len(data))
            if deadline is not None and at < reply.size:
                deadline.check(name)
        if at < reply.size:
            raise OriginUnavailableError(f"the body ended after {at} bytes")
        sink.check(name)
        return reply.etag, reply.version_id, reply.scope
    finally:
        if deadline is not None:
            deadline.forget(reply.body)
        reply.body.close()
