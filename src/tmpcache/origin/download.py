"""Bringing a body home through whatever breaks on the way.

botocore retries a request until its headers are there, but never a body that breaks after that.
Here a broken body goes on where it broke, with a range under ``If-Match``: what comes back is one
version of the object or nothing.
"""

from __future__ import annotations

import random
import time

from ..errors import IntegrityError, ObjectChangedError, OriginUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..deadline import Deadline
    from ..objects import ObjectName
    from . import Origin, Reply

    class Sink(Protocol):
        """Where the bytes go; it may hold the beginning of an object from earlier."""

        received: int
        etag: str
        size: int

        def begin(self, etag: str, size: int | None, /) -> None:
            """Make room for an object."""

        def write(self, data: memoryview, /) -> None:
            """Append."""

        def rewind(self) -> None:
            """Start over."""


#: Bytes read at once. Larger ones bring no speed here and cost memory three times (urllib3 copies).
_CHUNK = 256 * 1024
_SMALL = 64 * 1024
#: How often a body may break with less than `_PROGRESS` bytes in between.
_TRIES = 5
_PROGRESS = 1024 * 1024
#: Seconds before the second try; doubled for each further one, and spread by half.
_PAUSE = 0.1


def resume(
    origin: Origin, name: ObjectName, sink: Sink, deadline: Deadline | None = None
) -> Reply | None:
    """The rest of the object that `sink` holds the start of; None if that was another version."""
    if sink.received:
        try:
            return _rest(origin, name, sink, deadline)
        except ObjectChangedError:
            sink.rewind()
    return None


def download(
    origin: Origin,
    name: ObjectName,
    reply: Reply,
    sink: Sink,
    deadline: Deadline | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Reply:
    """Write the object that `reply` begins, or goes on with, into `sink`; the reply it ended as.

    Raises :class:`OriginUnavailableError` if the body keeps breaking, :class:`ObjectChangedError`
    if the object is replaced twice meanwhile, :class:`DeadlineExceededError` if time runs out, and
    whatever `sink` raises.
    """
    # A small object gets a buffer that malloc need not map and unmap (20 µs).
    small = reply.size is not None and reply.size < _SMALL
    buffer = memoryview(bytearray(_SMALL if small else _CHUNK))
    current: Reply | None = reply
    breaks, mark, restarted = 0, sink.received, False
    while True:
        try:
            if current is None:
                current = _rest(origin, name, sink, deadline)
            _drain(name, current, sink, buffer, deadline)
            return current
        except OriginUnavailableError as error:
            if current is not None and sink.received == current.size:
                return current
            if sink.received >= mark + _PROGRESS:
                breaks, mark = 0, sink.received
            breaks += 1
            if breaks >= _TRIES:
                raise OriginUnavailableError(
                    f"{name}: the transfer broke {breaks} times, the last time after "
                    f"{sink.received} of {sink.size} bytes ({error}): try again",
                    bucket=name.bucket,
                    key=name.key,
                ) from error
            pause = _PAUSE * 2 ** (breaks - 1) * random.uniform(0.5, 1.5)
            if deadline is not None:
                deadline.check(name, needed=pause)
            sleep(pause)
        except ObjectChangedError:
            if restarted:
                raise
            restarted = True
            sink.rewind()
        finally:
            if current is not None:
                current.body.close()
                current = None


def _rest(origin: Origin, name: ObjectName, sink: Sink, deadline: Deadline | None) -> Reply:
    """The rest of the object that `sink` began to receive; with nothing received, the object."""
    bucket, key, version = name.bucket, name.key, name.version or None
    if not sink.etag:  # without an ETag nothing ties the rest to the start
        sink.rewind()
    if sink.received == 0:
        reply = origin.get(bucket, key, version, deadline=deadline)
    else:
        reply = origin.get(
            bucket, key, version, if_match=sink.etag, start=sink.received, deadline=deadline
        )
    assert reply is not None, "only if_none_match is answered without a body"
    if sink.received == 0:
        return reply
    if (reply.etag, reply.size) != (sink.etag, sink.size):
        reply.body.close()
        raise ObjectChangedError(
            f"{name} was replaced while it was read (ETag {sink.etag} became {reply.etag}), and "
            "again during the restart: fetch it when its writer has finished.",
            bucket=bucket,
            key=key,
        )
    if reply.start == 0:  # an origin that does not know ranges
        sink.rewind()
    elif reply.start != sink.received:
        reply.body.close()
        raise IntegrityError(
            f"{name}: asked for the bytes from {sink.received} on, the origin sent those from "
            f"{reply.start} on. Nothing was kept."
        )
    return reply


def _drain(
    name: ObjectName, reply: Reply, sink: Sink, buffer: memoryview, deadline: Deadline | None
) -> None:
    """Write the body into the sink; it must end where the object does."""
    size = reply.size
    sink.begin(reply.etag, size)
    while count := reply.body.readinto(buffer):
        if size is not None and sink.received + count > size:
            raise IntegrityError(f"{name}: the body is longer than the {size} bytes announced")
        sink.write(buffer[:count])
        if deadline is not None and sink.received != size:
            deadline.check(name)
    if size is not None and sink.received != size:
        raise OriginUnavailableError(
            f"the body ended after {sink.received} bytes", bucket=name.bucket, key=name.key
        )
