"""One object over as many connections as it takes: the first response, and ranges beside it.

A connection to S3 gives some 90 MB/s, whatever the network could; a server that gives its best on
the first one only loses by more of them. So the first response is read and watched: is it slow,
and is there much to come, then the rest is cut into parts that other threads fetch meanwhile. All
threads end with the call.

The other connections only help. If one fails (no more threads, a store that allows one connection
or answers ranges in ways of its own), its part goes back to the first, which reads on.
"""

from __future__ import annotations

import os
import time
from threading import Lock

from ...common.deadline import deadline_within
from ...common.threads import LOOK, Worker, join_all
from ...errors import (
    DeadlineExceededError,
    IntegrityError,
    ObjectChangedError,
    OriginError,
    OriginUnavailableError,
)
from .. import UNSAID, Reply
from .download import RetryBudget, UnusableRangeError, ask_anew, ask_for, is_strong, too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from .. import Origin
    from .download import Sink

_MIB = 1024 * 1024
#: Connections of one download; S3's own guide says 8 to 16.
CONNECTIONS = min(8, 4 * (os.cpu_count() or 1))
#: Connections of all downloads of this process together, as far as they are a second or further
#: one of their download: by then, many downloads bring as much as the network gives.
_TOGETHER = 2 * CONNECTIONS
#: Bytes of a part, at least and at most: each begins with a round trip (20 to 100 ms, in which a
#: connection could bring 2 to 9 MB), and each is in flight when a process is killed.
PART_LEAST, PART_MOST = 8 * _MIB, 32 * _MIB
#: Seconds after which it is looked at how fast the first response came, again and again (what is
#: limited may begin with a burst), and bytes per second that make it fast: no limit slows it then,
#: and more connections only compete for the same cores.
_WATCHED, _FAST = 0.03, 400e6
#: Bytes read at once; twice as many as long as so many are there, up to the second. 1 GiB from
#: loopback takes two thirds of the time with 2 MiB.
_CHUNK, _CHUNK_MOST = 256 * 1024, 2 * 1024 * 1024
#: How often in a row another connection may fail before its part goes back to the first, and
#: seconds until others are opened once all have failed.
_TRIES, _AGAIN = 2, 10.0


#: Connections of this process that bring parts of objects.
_open: set[_Connection] = set()
os.register_at_fork(after_in_child=_open.clear)


class _Halted(Exception):
    """Another connection has failed; this one shall end, too."""


class _Part:
    """A stretch of the object that one connection brings; `end` None: until the body ends."""

    __slots__ = ("at", "end")

    def __init__(self, at: int, end: int | None) -> None:
        self.at, self.end = at, end


class Transfer:
    """The download of one version of one object into a sink.

    `refused`: an ETag that the origin did not accept as a condition; if the object has it all the
    same, it is read in one. `splits`: whether other connections may help.
    """

    def __init__(
        self,
        origin: Origin,
        name: ObjectName,
        sink: Sink,
        deadline: Deadline | None,
        refused: str = "",
        *,
        splits: bool = True,
    ) -> None:
        self.origin, self.name, self.sink, self.deadline = origin, name, sink, deadline
        self.version_id: str | None = None
        #: Who signed the request for the first part that arrives here.
        self.scope: str | None = UNSAID
        #: Whether all connections shall end.
        self.halted = False
        self._note_refusal, self._splits = refused, splits
        self._lock = Lock()
        self._gaps: list[tuple[int, int | None]] = []
        self._part = 0  # bytes of a part; 0: what is missing is brought in one
        self._ranges = True  # whether the origin knows them
        self._connections: list[_Connection] = []  # all there were
        self._helpers: list[Worker] = []
        self._helping = 0
        self._split_at = 0.0  # on the clock of `time.monotonic`: not before
        self._retry_budget = RetryBudget(name, deadline)
        self._error: BaseException | None = None

    def run(self, reply: Reply | None) -> tuple[str, str | None, str | None]:
        """Bring all that is missing; the ETag and version id of the object, and who was told."""
        if self.deadline is not None:
            self.deadline.watch(self)
        try:
            while True:
                try:
                    self._work(self._begin(reply))
                    return self.sink.etag, self.version_id, self.scope
                except UnusableRangeError as answer:  # only the start of it is of use
                    reply, self._error, self.halted = answer.reply, None, False
                    self._ranges, self._part = False, 0
                    self.sink.rewind()
                    reply = reply or self._ask_patiently()
        finally:
            _open.difference_update(self._connections)
            if self.deadline is not None:
                self.deadline.forget(self)

    def _begin(self, reply: Reply | None) -> Reply | None:
        """Ask, unless that was done, and find out what is missing."""
        sink = self.sink
        if reply is None and is_strong(sink.etag):
            self._gaps = [*sink.gaps()]
            if self._gaps:
                return None
            reply = self._still()
            if reply is None:  # all here, and still what it was
                return None
        if sink.etag:
            sink.rewind()
        reply = reply or ask_anew(self.origin, self.name, self.deadline)
        self.version_id, self.scope = reply.version_id, reply.scope
        try:
            sink.begin(reply.etag, reply.size, reply.checksum)
        except BaseException:
            reply.body.close()
            raise
        self._gaps = [(0, reply.size)]
        self._ranges = self._ranges and is_strong(reply.etag) and reply.etag != self._note_refusal
        return reply

    def _still(self) -> Reply | None:
        """The object as it is now; None if that is what the sink holds."""
        name = self.name
        answer = self.origin.get(
            name.bucket,
            name.key,
            name.version or None,
            if_none_match=self.sink.etag,
            deadline=self.deadline,
        )
        if isinstance(answer, Reply):
            return answer
        self.scope = UNSAID if answer is None else answer.scope
        return None

    def ask_for(self, part: _Part, deadline: Deadline | None) -> Reply:
        """The bytes of a part, of no other version."""
        if not self._ranges:
            raise UnusableRangeError
        return ask_for(self.origin, self.name, self.sink, part.at, part.end, deadline)

    def _ask_patiently(self) -> Reply:
        while True:
            try:
                return ask_anew(self.origin, self.name, self.deadline)
            except OriginUnavailableError as error:
                self.pause(self._retry_budget, error)

    def pause(self, read_timeout: RetryBudget, error: OriginUnavailableError) -> None:
        """Wait before the next try, unless all connections shall end."""
        size = self.sink.size
        missing = sum(end - start for start, end in self.sink.gaps())
        here = self.sink.received if size is None else size - missing
        until = time.monotonic() + read_timeout.pause(error, here, size)
        while not self.halted and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))

    def _work(self, reply: Reply | None) -> None:
        """Be the first connection, wait for the others, and fail as the first that failed did."""
        try:
            while self._gaps:  # again, if another connection gave its part back
                _Connection(self, self._retry_budget, self.deadline, leads=True).work(reply)
                self._join()
                reply = None
        except BaseException as error:
            self.halt(error)
            self._join()
            if isinstance(error, _Halted):
                raise self._error or error from None
            raise
        if self._error is not None:
            raise self._error

    def _join(self) -> None:
        join_all(self._helpers)
        self._helpers.clear()
        self._helping = 0

    def halt(self, error: BaseException) -> None:
        """End all connections because of an error that is not just one connection's."""
        with self._lock:
            self._error = self._error or error
            self.halted = True
        self.interrupt()

    def interrupt(self) -> None:
        """Let no connection wait any longer."""
        for line in [*self._connections]:
            line.interrupt()

    def enter(self, line: _Connection) -> None:
        """Another connection is open."""
        self._connections.append(line)
        _open.add(line)

    def leave(self, line: _Connection) -> None:
        """It is not any more."""
        _open.discard(line)

    def next_part(self) -> _Part | None:
        """The next part to bring; None if nothing is left."""
        with self._lock:
            if not self._gaps:
                return None
            start, end = self._gaps.pop(0)
            if self._part and end is not None and end - start > self._part * 3 // 2:
                self._gaps.insert(0, (start + self._part, end))
                end = start + self._part
            return _Part(start, end)

    def give_back(self, part: _Part | None, error: Exception) -> None:
        """Let the first connection bring what another could not; without the others for a while."""
        with self._lock:
            if part is not None and part.at != part.end:
                self._gaps = sorted([*self._gaps, (part.at, part.end)], key=lambda gap: gap[0])
            self._helping -= 1
            if not self._helping:
                self._part, self._split_at = 0, time.monotonic() + _AGAIN
            if isinstance(error, UnusableRangeError):
                self._splits = False

    def may_split(self, part: _Part) -> bool:
        """Whether others could bring the end of a part that comes too slowly."""
        return (
            not self._part
            and self._ranges
            and self._splits
            and part.end is not None
            and part.end - part.at >= 2 * PART_LEAST
            and time.monotonic() >= self._split_at
        )

    def split(self, part: _Part) -> None:
        """Leave most of a part to other connections, if this process may have more of them."""
        if len(_open) >= _TOGETHER:
            return
        whole = part.end
        assert whole is not None
        with self._lock:
            missing = whole - part.at + sum(end - at for at, end in self._gaps if end)
            part_size = -(-missing // (4 * CONNECTIONS * _MIB)) * _MIB
            self._part = max(PART_LEAST, min(PART_MOST, part_size))
            part.end = min(part.at + self._part, whole)
            rest = part.end, whole
            self._gaps.insert(0, rest)
        self._get_help(min(CONNECTIONS - 1, -(-missing // self._part) - 1))
        with self._lock:
            if not self._helpers:
                self._gaps.remove(rest)
                part.end, self._part, self._split_at = whole, 0, time.monotonic() + _AGAIN

    def _get_help(self, most: int) -> None:
        """Open other connections, as many as this process may have and there are threads for."""
        deadline = deadline_within(self.deadline, asks_once=True)
        for _ in range(most):
            line = _Connection(
                self, RetryBudget(self.name, deadline, _TRIES), deadline, leads=False
            )
            self.enter(line)  # first: of two downloads that look then, at least one sees too many
            if len(_open) > _TOGETHER:
                return self.leave(line)
            helper = Worker(line.run, "tmpcache connection")
            self._helpers.append(helper)
            with self._lock:
                self._helping += 1
            if not helper.start():
                self._helpers.remove(helper)
                with self._lock:
                    self._helping -= 1
                return self.leave(line)
        return None


class _Connection:
    """One connection, and what it reads from it; the first (`leads`) in the calling thread."""

    def __init__(
        self,
        transfer: Transfer,
        read_timeout: RetryBudget,
        deadline: Deadline | None,
        *,
        leads: bool,
    ) -> None:
        self._transfer, self._retry_budget, self._deadline = transfer, read_timeout, deadline
        self._leads = leads
        self._part: _Part | None = None
        self._reply: Reply | None = None
        self._buffer = memoryview(b"")

    def run(self) -> None:
        """Help, in a thread of its own."""
        transfer = self._transfer
        try:
            self.work(None)
        except _Halted:
            return
        except ObjectChangedError as error:
            transfer.halt(error)
        except (OriginError, IntegrityError, DeadlineExceededError, UnusableRangeError) as error:
            transfer.give_back(self._part, error)
        except BaseException as error:  # of the disk
            transfer.halt(error)

    def work(self, reply: Reply | None) -> None:
        """Bring part after part, as long as there are any; `reply` is the answer to go on with."""
        transfer = self._transfer
        self._reply = reply
        self._buffer = memoryview(bytearray(_CHUNK))
        at = 0
        try:
            transfer.enter(self)
            while (part := transfer.next_part()) is not None:
                self._part = part
                if self._reply is not None and at != part.at:
                    self._close_response()
                self._bring(part)
                at = part.at
        finally:
            transfer.leave(self)
            self._close_response()

    def interrupt(self) -> None:
        """Called by another thread: wait for nothing any more."""
        if (reply := self._reply) is not None:
            reply.body.interrupt()

    def _bring(self, part: _Part) -> None:
        """Bring a part, whatever breaks."""
        transfer = self._transfer
        while True:
            if transfer.halted:
                raise _Halted
            try:
                if self._reply is None:
                    self._reply = self._ask(part)
                return self._drain(part, self._reply)
            except OriginUnavailableError as error:
                self._close_response()
                if transfer.halted:
                    raise _Halted from error
                if part.at == part.end:
                    return None
                transfer.pause(self._retry_budget, error)

    def _ask(self, part: _Part) -> Reply:
        transfer = self._transfer
        reply = transfer.ask_for(part, self._deadline)
        transfer.version_id = reply.version_id or transfer.version_id
        transfer.scope = transfer.scope or reply.scope
        return reply

    def _drain(self, part: _Part, reply: Reply) -> None:
        """Read up to the end of the part, which may come nearer meanwhile."""
        transfer, sink, buffer = self._transfer, self._transfer.sink, self._buffer
        deadline, read = transfer.deadline, reply.body.read
        began, start = time.monotonic(), part.at
        while part.at != part.end:
            if transfer.halted:
                raise _Halted
            left = len(buffer) if part.end is None else part.end - part.at
            data = read(buffer if left >= len(buffer) else buffer[:left])
            if not data:
                break
            if len(data) == len(buffer) < _CHUNK_MOST:
                buffer = self._buffer = memoryview(bytearray(2 * len(buffer)))
            sink.write(data, part.at)
            part.at += len(data)
            if deadline is not None and part.at != part.end:
                deadline.check(transfer.name)
            if self._leads and (elapsed := (now := time.monotonic()) - began) > _WATCHED:
                if part.at - start < _FAST * elapsed and transfer.may_split(part):
                    transfer.split(part)
                began, start = now, part.at
        if part.end not in (None, part.at):
            raise OriginUnavailableError(f"the body ended after {part.at} bytes")
        if reply.end in (None, part.at):
            if read(buffer):
                raise too_long(transfer.name, part.at)
            self._close_response()

    def _close_response(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.body.close()
