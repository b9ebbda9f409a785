"""One of the readers of a transfer: it reads range after range into the sink."""

from __future__ import annotations

import os
import time

from ...errors import (
    DeadlineExceededError,
    IntegrityError,
    ObjectChangedError,
    OriginError,
    OriginUnavailableError,
)
from .errors import HaltedError, UnusableRangeError, body_too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.deadline import Deadline
    from .. import Reply
    from .backoff import Backoff
    from .byte_ranges import ByteRange
    from .state import TransferState

#: The speed of the first reader is measured over this many seconds, again and again (what
#: is limited may begin with a burst). A connection with this many bytes per second is fast: no
#: limit slows it, and helpers only compete for the same cores.
_MEASURED, _FAST = 0.03, 400e6
#: Bytes of the first read, and of the largest. A read that fills its buffer doubles the next one.
#: 1 GiB from loopback takes two thirds of the time with 2 MiB.
_FIRST_READ, _MAX_READ = 256 * 1024, 2 * 1024 * 1024

#: Connections of this process that transfer objects, and threads that upload some.
open_connections: set[object] = set()
os.register_at_fork(after_in_child=open_connections.clear)


class RangeReader:
    """Sends one request after the other, and reads their responses into the sink.

    The first reader runs in the calling thread, and has `watch`: it calls that again and
    again, and says whether its range comes slowly. A helper has none, and runs in a thread of its
    own.
    """

    def __init__(
        self,
        state: TransferState,
        backoff: Backoff,
        deadline: Deadline | None,
        watch: Callable[[ByteRange, bool], None] | None = None,
    ) -> None:
        self._state, self._backoff, self._deadline = state, backoff, deadline
        self._watch = watch
        #: Whether it ends after its present range.
        self.is_leaving = False
        self._range: ByteRange | None = None
        self._seconds_per_byte: float | None = None
        self._reply: Reply | None = None
        self._buffer = memoryview(b"")

    def register(self) -> None:
        """Count this connection among those of the process."""
        self._state.connections.add(self)
        open_connections.add(self)

    def unregister(self) -> None:
        """Stop counting it."""
        self._state.receiving.discard(self)
        open_connections.discard(self)

    def run_as_helper(self) -> None:
        """Work in a thread of its own; an error that is this helper's alone gives its range back.

        Such are errors of the network, of a store that allows one connection, and of one that does
        not support ranges as S3 does. Errors of the disk, and a new version of the object, end all.
        """
        state = self._state
        try:
            self.work(None)
        except HaltedError:
            return
        except ObjectChangedError as error:
            state.halt(error)
        except (OriginError, IntegrityError, DeadlineExceededError, UnusableRangeError) as error:
            is_unusable = isinstance(error, UnusableRangeError)
            state.plan.give_back(self._range, disallow_helpers=is_unusable)
        except BaseException as error:  # of the disk
            state.halt(error)

    def work(self, reply: Reply | None) -> None:
        """Read range after range, as long as there are any, the first of them from `reply`."""
        self._reply = reply
        self._buffer = memoryview(bytearray(_FIRST_READ))
        at = 0
        try:
            self.register()
            while (byte_range := self._next_range()) is not None:
                if self._reply is not None and at != byte_range.at:
                    self._close_response()
                self._read_range(byte_range)
                at = byte_range.at
                self._finish(byte_range)
        finally:
            self.unregister()
            self._close_response()

    def _next_range(self) -> ByteRange | None:
        if self.is_leaving:
            return None
        self._range = self._state.plan.next_range(self, self._seconds_per_byte)
        return self._range

    def _finish(self, byte_range: ByteRange) -> None:
        self._state.plan.finish(byte_range)
        if not byte_range.is_taken_over:
            self._seconds_per_byte = byte_range.seconds_per_byte(time.monotonic())
            return
        self._close_response()  # of which more may have been read than the range has now
        self.is_leaving = self._watch is None  # a helper that is much slower helps no more

    def interrupt(self) -> None:
        """Make a read under way in another thread fail."""
        if (reply := self._reply) is not None:
            reply.body.interrupt()

    def _read_range(self, byte_range: ByteRange) -> None:
        """Read a range to its end, with as many requests as that takes."""
        state = self._state
        while True:
            if state.halted:
                raise HaltedError
            try:
                end = byte_range.end
                if byte_range.is_taken_over:
                    return None
                if self._reply is None:
                    self._reply = state.request(byte_range.at, end, self._deadline)
                return self._read_body(byte_range, self._reply)
            except OriginUnavailableError as error:
                is_refused = self._reply is None
                self._close_response()
                if state.halted:
                    raise HaltedError from error
                if byte_range.at == byte_range.end:  # taken over, or complete
                    return None
                if is_refused and self._watch is None and state.plan.can_spare_one():
                    raise
                state.pause(self._backoff, error)

    def _read_body(self, byte_range: ByteRange, reply: Reply) -> None:
        """Read up to the end of the range, which may move meanwhile."""
        state, sink, buffer, watch = self._state, self._state.sink, self._buffer, self._watch
        deadline, read = state.deadline, reply.body.read
        measured_at, measured_from = time.monotonic(), byte_range.at
        while byte_range.at != byte_range.end:
            if state.halted:
                raise HaltedError
            left = len(buffer) if byte_range.end is None else byte_range.end - byte_range.at
            data = read(buffer if left >= len(buffer) else buffer[:left])
            if not data:
                break
            if len(data) == len(buffer) < _MAX_READ:
                buffer = self._buffer = memoryview(bytearray(2 * len(buffer)))
            state.receiving.add(self)
            at = byte_range.at
            if not state.plan.take(byte_range, len(data)):
                return
            sink.write(data, at)
            if deadline is not None and byte_range.at != byte_range.end:
                deadline.check(state.name)
            if watch is None or (elapsed := (now := time.monotonic()) - measured_at) <= _MEASURED:
                continue
            watch(byte_range, byte_range.at - measured_from < _FAST * elapsed)
            measured_at, measured_from = now, byte_range.at
        if byte_range.is_taken_over:
            return
        if byte_range.end not in (None, byte_range.at):
            raise OriginUnavailableError(f"the body ended after {byte_range.at} bytes")
        if reply.end in (None, byte_range.at):
            if read(buffer):
                raise body_too_long(state.name, byte_range.at)
            self._close_response()

    def _close_response(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.body.close()
