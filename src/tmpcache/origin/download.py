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

    from ..objects import ObjectName
    from . import Origin, Reply

    class Sink(Protocol):
        """Where the bytes go."""

        received: int

        def reserve(self, total: int, /) -> None:
            """Make room for an object of `total` bytes."""

        def write(self, data: memoryview, /) -> None:
            """Append."""

        def rewind(self) -> None:
            """Start over."""


#: Bytes read at once. Larger ones bring no speed here and cost memory three times (urllib3 copies).
_CHUNK = 256 * 1024
#: How often a body may break with less than `_PROGRESS` bytes in between.
_TRIES = 5
_PROGRESS = 1024 * 1024
#: Seconds before the second try; doubled for each further one, and spread by half.
_PAUSE = 0.1


def download(
    origin: Origin,
    name: ObjectName,
    reply: Reply,
    sink: Sink,
    sleep: Callable[[float], None] = time.sleep,
) -> Reply:
    """Write the object that `reply` begins into `sink`; the reply that the bytes belong to.

    Raises :class:`OriginUnavailableError` if the body keeps breaking, :class:`ObjectChangedError`
    if the object is replaced twice meanwhile, and whatever `sink` raises.
    """
    buffer = memoryview(bytearray(_CHUNK))
    first, breaks, mark, restarted = reply, 0, 0, False
    current: Reply | None = reply
    while True:
        try:
            if current is None:
                current = _go_on(origin, name, first, sink)
                first = current if sink.received == 0 else first
            _drain(name, current, first.size, sink, buffer)
            return first
        except OriginUnavailableError as error:
            if sink.received == first.size:
                return first
            if sink.received >= mark + _PROGRESS:
                breaks, mark = 0, sink.received
            breaks += 1
            if breaks >= _TRIES:
                raise OriginUnavailableError(
                    f"{name}: the transfer broke {breaks} times, the last time after "
                    f"{sink.received} of {first.size} bytes ({error}). Nothing was kept: try again",
                    bucket=name.bucket,
                    key=name.key,
                ) from error
            sleep(_PAUSE * 2 ** (breaks - 1) * random.uniform(0.5, 1.5))
        except ObjectChangedError:
            if restarted:
                raise
            restarted = True
            sink.rewind()
        finally:
            if current is not None:
                current.body.close()
                current = None


def _go_on(origin: Origin, name: ObjectName, first: Reply, sink: Sink) -> Reply:
    """The rest of the object that `first` began, or, with nothing received yet, the object."""
    if sink.received == 0 or not first.etag:  # without an ETag nothing ties the rest to the start
        sink.rewind()
        reply = origin.get(name.bucket, name.key, name.version or None)
    else:
        reply = origin.get(
            name.bucket,
            name.key,
            name.version or None,
            if_match=first.etag,
            start=sink.received,
        )
    assert reply is not None, "only if_none_match is answered without a body"
    if sink.received == 0:
        return reply
    if (reply.etag, reply.size) != (first.etag, first.size):
        reply.body.close()
        raise ObjectChangedError(
            f"{name} was replaced while it was read (ETag {first.etag} became {reply.etag}), and "
            "again during the restart: fetch it when its writer has finished.",
            bucket=name.bucket,
            key=name.key,
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
    name: ObjectName, reply: Reply, size: int | None, sink: Sink, buffer: memoryview
) -> None:
    """Write the body into the sink; it must end where the object does."""
    if size is not None:
        sink.reserve(size)
    while count := reply.body.readinto(buffer):
        if size is not None and sink.received + count > size:
            raise IntegrityError(f"{name}: the body is longer than the {size} bytes announced")
        sink.write(buffer[:count])
    if size is not None and sink.received != size:
        raise OriginUnavailableError(
            f"the body ended after {sink.received} bytes", bucket=name.bucket, key=name.key
        )
