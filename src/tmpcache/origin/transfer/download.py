"""Bringing an object home through whatever breaks on the way.

botocore retries a request until its headers are there, but never a body that breaks after that.
Here a broken body goes on where it broke, with a range under ``If-Match``: what comes back is one
version of the object or nothing. Of a large object the first response is part one; if it comes
slowly, other connections bring the rest, in parts, at the same time (:mod:`.parts`).
"""

from __future__ import annotations

import random

from ...errors import IntegrityError, ObjectChangedError, OriginUnavailableError
from .. import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from .. import Origin

    class Sink(Protocol):
        """Where the bytes go; it may hold parts of an object from earlier.

        Threads may write different parts at the same time.
        """

        #: Bytes from the start that are here without a gap.
        received: int
        etag: str
        size: int | None

        def begin(self, etag: str, size: int | None, checksum: str, /) -> None:
            """Make room for an object."""

        def write(self, data: memoryview, at: int, /) -> None:
            """Put `data` at byte `at`."""

        def gaps(self) -> list[tuple[int, int]]:
            """What is missing of the object, as pairs of start and end."""

        def check(self, name: ObjectName, /) -> None:
            """Raise :class:`IntegrityError` if the object is not what its checksum says."""

        def rewind(self) -> None:
            """Start over."""


#: Bytes that are read without further ado; malloc need not map a buffer of that size (20 µs).
_SMALL = 64 * 1024
#: How often a body may break with less than `_PROGRESS` bytes in between.
_TRIES = 5
_PROGRESS = 1024 * 1024
#: Seconds before the second try; doubled for each further one, and spread by half.
_PAUSE = 0.1


def download(
    origin: Origin,
    name: ObjectName,
    reply: Reply | None,
    sink: Sink,
    deadline: Deadline | None = None,
) -> tuple[str, str | None, str | None]:
    """Write the object that `reply` begins into `sink`; its ETag, version id and who was told.

    With no `reply`, what is missing in the sink is brought, if the object is still what it was;
    else all of it.

    Raises :class:`OriginUnavailableError` if the body keeps breaking, :class:`ObjectChangedError`
    if the object is replaced twice meanwhile, :class:`IntegrityError` if it is not what its
    checksum says, :class:`DeadlineExceededError` if time runs out, and whatever `sink` raises.
    """
    restarts = 2 if reply is None and sink.etag else 1  # what is here from earlier is no try
    if reply is None and not sink.etag:
        reply = ask_anew(origin, name, deadline)
    if reply is not None and reply.size is not None and reply.size <= _SMALL:
        try:
            return _at_once(name, reply, sink, deadline)
        except OriginUnavailableError:  # with all the patience there is
            if deadline is not None:
                deadline.check(name)
            reply = None
            if not sink.etag:
                sink.rewind()
    from .parallel import Transfer

    refused = ""
    while True:
        # The last try reads in one: nothing ties it to what may change in the meantime.
        transfer = Transfer(origin, name, sink, deadline, refused, splits=restarts > 0)
        try:
            described = transfer.run(reply)
            sink.check(name)
            return described
        except ObjectChangedError:
            if not restarts:
                raise
            restarts -= 1
            refused, reply = sink.etag, None
            sink.rewind()


def _at_once(
    name: ObjectName, reply: Reply, sink: Sink, deadline: Deadline | None
) -> tuple[str, str | None, str | None]:
    """Read a small body that nothing happens to: most are (25 µs less than with a transfer)."""
    if deadline is not None:
        deadline.watch(reply.body)
    try:
        assert reply.size is not None
        sink.begin(reply.etag, reply.size, reply.checksum)
        buffer, at = memoryview(bytearray(reply.size + 1)), 0
        while data := reply.body.read(buffer):
            at += len(data)
            if at > reply.size:
                raise too_long(name, reply.size)
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


def too_long(name: ObjectName, size: int) -> IntegrityError:
    """The error for a body that goes on where it should end."""
    return IntegrityError(f"{name}: the body is longer than the {size} bytes announced")


class RetryBudget:
    """How often a download may break without getting on before it is given up."""

    def __init__(self, name: ObjectName, deadline: Deadline | None, tries: int = _TRIES) -> None:
        self._name, self._deadline, self._tries = name, deadline, tries
        self._most = self._breaks = 0

    def pause(self, error: OriginUnavailableError, here: int, size: int | None) -> float:
        """Seconds to wait before the next try; or the error that ends it.

        `here`: bytes of the object that have arrived; less than before after a new start, and only
        what comes on top of what there was is progress.
        """
        if here >= self._most + _PROGRESS:
            self._breaks, self._most = 0, here
        self._breaks += 1
        if self._breaks >= self._tries:
            raise OriginUnavailableError(
                f"{self._name}: the transfer broke {self._breaks} times, the last time with "
                f"{here} of {size} bytes here ({error}): try again",
                bucket=self._name.bucket,
                key=self._name.key,
            ) from error
        pause: float = _PAUSE * 2 ** (self._breaks - 1) * random.uniform(0.5, 1.5)
        if self._deadline is not None:
            self._deadline.check(self._name, needed=pause)
        return pause


class UnusableRangeError(Exception):
    """The answer to a range is not known to be a piece of the object that the rest is of.

    Such an object is read in one.
    """

    def __init__(self, reply: Reply | None = None) -> None:
        #: The whole object, if the origin sent that instead.
        self.reply = reply


def is_strong(etag: str) -> bool:
    """Whether it stands for the very bytes: ``If-Match`` takes no other (RFC 9110)."""
    return bool(etag) and not etag.startswith("W/")


def ask_anew(origin: Origin, name: ObjectName, deadline: Deadline | None) -> Reply:
    """The object as it is now."""
    reply = origin.get(name.bucket, name.key, name.version or None, deadline=deadline)
    assert isinstance(reply, Reply), "only if_none_match is answered without a body"
    return reply


def ask_for(
    origin: Origin,
    name: ObjectName,
    sink: Sink,
    start: int,
    end: int | None,
    deadline: Deadline | None,
) -> Reply:
    """A range of the object that `sink` holds a part of, and of no other version.

    Raises :class:`ObjectChangedError` if the origin has another version now, and
    :class:`UnusableRangeError` if it does not say of which version its answer is, or does not know
    ranges.
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
