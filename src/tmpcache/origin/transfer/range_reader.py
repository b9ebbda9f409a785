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

    The first reader runs in the calling thread, and has `split`: it calls that when a range
    comes too slowly. A helper has none, and runs in a thread of its own.
    """

    def __init__(
        self,
        state: TransferState,
        backoff: Backoff,
        deadline: Deadline | None,
        split: Callable[[ByteRange], None] | None = None,
    ) -> None:
        self._state, self._backoff, self._deadline = state, backoff, deadline
        self._split = split
        self._range: ByteRange | None = None
        self._reply: Reply | None = None
        self._buffer = memoryview(b"")

    def register(self) -> None:
        """Count this connection among those of the process."""
        self._state.connections.append(self)
        open_connections.add(self)

    def unregister(self) -> None:
        """Stop counting it."""
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
        state = self._state
        self._reply = reply
        self._buffer = memoryview(bytearray(_FIRST_READ))
        at = 0
        try:
            self.register()
            while (byte_range := state.plan.next_range()) is not None:
                self._range = byte_range
                if self._reply is not None and at != byte_range.at:
                    self._close_response()
                self._read_range(byte_range)
                at = byte_range.at
        finally:
            self.unregister()
            self._close_response()

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
                if self._reply is None:
                    self._reply = state.request(byte_range, self._deadline)
                return self._read_body(byte_range, self._reply)
            except OriginUnavailableError as error:
                self._close_response()
                if state.halted:
                    raise HaltedError from error
                if byte_range.at == byte_range.end:
                    return None
                state.pause(self._backoff, error)

    def _read_body(self, byte_range: ByteRange, reply: Reply) -> None:
        """Read up to the end of the range, which `split` may move meanwhile."""
        state, sink, buffer, split = self._state, self._state.sink, self._buffer, self._split
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
            sink.write(data, byte_range.at)
            byte_range.at += len(data)
            if deadline is not None and byte_range.at != byte_range.end:
                deadline.check(state.name)
            if split is None or (elapsed := (now := time.monotonic()) - measured_at) <= _MEASURED:
                continue
            is_slow = byte_range.at - measured_from < _FAST * elapsed
            if is_slow and state.plan.may_split(byte_range):
                split(byte_range)
            measured_at, measured_from = now, byte_range.at
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
