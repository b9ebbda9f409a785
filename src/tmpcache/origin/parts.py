"""One object over as many connections as it takes: the first response, and ranges beside it.

A connection to S3 gives some 90 MB/s, whatever the network could; a server that gives its best on
the first one only loses by more of them. So the first response is read and watched: is it slow,
and is there much to come, then the rest is cut into parts that other threads fetch meanwhile. All
threads end with the call.
"""

from __future__ import annotations

import os
import time
from threading import Event, Lock, Thread

from ..errors import OriginUnavailableError
from . import UNSAID, Reply
from .download import Patience, ask_anew, ask_for, too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..objects import ObjectName
    from . import Origin
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


#: Connections of this process that bring parts of objects.
_open: set[_Line] = set()
os.register_at_fork(after_in_child=_open.clear)


class _Halted(Exception):
    """Another connection has failed; this one shall end, too."""


class _NoRanges(Exception):
    """The origin answered a range with the whole object."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class _Part:
    """A stretch of the object that one connection brings; `end` None: until the body ends."""

    __slots__ = ("at", "end")

    def __init__(self, at: int, end: int | None) -> None:
        self.at, self.end = at, end


class Transfer:
    """The download of one version of one object into a sink."""

    def __init__(
        self,
        origin: Origin,
        name: ObjectName,
        sink: Sink,
        deadline: Deadline | None,
    ) -> None:
        self.origin, self.name, self.sink, self.deadline = origin, name, sink, deadline
        self.version_id: str | None = None
        #: Who signed the request for the first part that arrives here.
        self.scope: str | None = UNSAID
        #: Set when all connections shall end.
        self.halted = Event()
        self._lock = Lock()
        self._gaps: list[tuple[int, int | None]] = []
        self._part = 0  # bytes of a part; 0: what is missing is brought in one
        self._ranges = True  # whether the origin knows them
        self._lines: list[_Line] = []
        self._threads: list[tuple[Thread, Event]] = []
        self._error: BaseException | None = None

    def run(self, reply: Reply | None) -> tuple[str, str | None, str | None]:
        """Bring all that is missing; the ETag and version id of the object, and who was told."""
        while True:
            try:
                self._work(self._begin(reply))
                return self.sink.etag, self.version_id, self.scope
            except _NoRanges as answer:  # only the start of it is of use
                reply, self._ranges, self._part = answer.reply, False, 0
                self._error = None
                self.halted.clear()
                self.sink.rewind()

    def _begin(self, reply: Reply | None) -> Reply | None:
        """Ask, unless that was done, and find out what is missing."""
        sink = self.sink
        if reply is None and sink.etag:
            self._gaps = [*sink.gaps()]
            if self._gaps:
                return None
            reply = self._still()
            if reply is None:  # all here, and still what it was
                return None
            sink.rewind()
        reply = reply or ask_anew(self.origin, self.name, self.deadline)
        self.version_id, self.scope = reply.version_id, reply.scope
        try:
            sink.begin(reply.etag, reply.size, reply.checksum)
        except BaseException:
            reply.body.close()
            raise
        self._gaps = [(0, reply.size)]
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

    def _work(self, reply: Reply | None) -> None:
        """Be the first connection, wait for the others, and fail as the first that failed did."""
        try:
            while self._gaps:  # again, if another connection gave its part back
                _Line(self, leads=True).work(reply)
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
        # Not by Thread.join alone: one that Ctrl-C interrupts takes a thread that runs for one that
        # has ended (https://github.com/python/cpython/issues/90882).
        while self._threads:
            thread, ended = self._threads[-1]
            ended.wait()
            thread.join()
            self._threads.pop()

    def halt(self, error: BaseException) -> None:
        """End all connections because one of them has failed."""
        with self._lock:
            self._error = self._error or error
            self.halted.set()
            lines = [*self._lines]
        for line in lines:
            line.interrupt()

    def enter(self, line: _Line) -> None:
        """Another connection is open."""
        _open.add(line)
        if self.deadline is not None:
            self.deadline.watch(line)
        with self._lock:
            self._lines.append(line)

    def leave(self, line: _Line) -> None:
        """It is not any more."""
        _open.discard(line)
        if self.deadline is not None:
            self.deadline.forget(line)
        with self._lock:
            self._lines.remove(line)

    def take(self) -> _Part | None:
        """The next part to bring; None if nothing is left."""
        with self._lock:
            if not self._gaps:
                return None
            start, end = self._gaps.pop(0)
            if self._part and end is not None and end - start > self._part * 3 // 2:
                self._gaps.insert(0, (start + self._part, end))
                end = start + self._part
            return _Part(start, end)

    def give_back(self, part: _Part) -> None:
        """Let another connection bring it: the origin sends this one the object from the start."""
        with self._lock:
            self._ranges = False
            self._gaps = sorted([*self._gaps, (part.at, part.end)], key=lambda gap: gap[0])

    def may_split(self, part: _Part) -> bool:
        """Whether it is worth watching how fast a part comes."""
        return (
            not self._part
            and self._ranges
            and self.sink.etag != ""
            and part.end is not None
            and part.end - part.at >= 2 * PART_LEAST
        )

    def split(self, part: _Part) -> None:
        """Leave most of a part to other connections, if this process may have more of them."""
        if len(_open) >= _TOGETHER:
            return
        assert part.end is not None
        with self._lock:
            missing = part.end - part.at + sum(end - at for at, end in self._gaps if end)
            part_size = -(-missing // (4 * CONNECTIONS * _MIB)) * _MIB
            self._part = max(PART_LEAST, min(PART_MOST, part_size))
            end = min(part.at + self._part, part.end)
            if end < part.end:
                self._gaps.insert(0, (end, part.end))
                part.end = end
            more = min(CONNECTIONS - 1, -(-missing // self._part) - 1)
        for _ in range(more):
            line = _Line(self, leads=False)
            _open.add(line)  # first: of two downloads that look then, at least one sees too many
            if len(_open) > _TOGETHER:
                _open.discard(line)
                return
            thread = Thread(target=line.run, name="tmpcache connection", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                _open.discard(line)
                raise
            self._threads.append((thread, line.ended))


class _Line:
    """One connection, and the thread that reads from it."""

    def __init__(self, transfer: Transfer, *, leads: bool) -> None:
        self._transfer, self._leads = transfer, leads
        self.ended = Event()
        self._reply: Reply | None = None
        self._buffer = memoryview(b"")

    def run(self) -> None:
        """Work in a thread of its own."""
        try:
            self.work(None)
        except _Halted:
            return
        except BaseException as error:
            self._transfer.halt(error)
        finally:
            self.ended.set()

    def work(self, reply: Reply | None) -> None:
        """Bring part after part, as long as there are any; `reply` is the answer to go on with."""
        transfer = self._transfer
        self._reply = reply
        self._buffer = memoryview(bytearray(_CHUNK))
        at = 0
        transfer.enter(self)
        try:
            while (part := transfer.take()) is not None:
                if self._reply is not None and at != part.at:
                    self._hang_up()
                if not self._bring(part):
                    return
                at = part.at
        except _NoRanges:
            self._reply = None  # goes on with it
            raise
        finally:
            transfer.leave(self)
            self._hang_up()

    def interrupt(self) -> None:
        """Called by another thread: wait for nothing any more."""
        if (reply := self._reply) is not None:
            reply.body.interrupt()

    def _bring(self, part: _Part) -> bool:
        """Bring a part, whatever breaks; False if this connection cannot."""
        transfer = self._transfer
        patience = Patience(transfer.name, transfer.deadline, part.at)
        while True:
            if transfer.halted.is_set():
                raise _Halted
            try:
                if self._reply is None:
                    self._reply = reply = self._ask(part)
                    if reply.start != part.at:
                        if self._leads:
                            raise _NoRanges(reply)
                        transfer.give_back(part)
                        return False
                self._drain(part, self._reply)
                return True
            except OriginUnavailableError as error:
                self._hang_up()
                if transfer.halted.is_set():
                    raise _Halted from error
                if part.at == part.end:
                    return True
                transfer.halted.wait(patience.pause(error, part.at, transfer.sink.size))

    def _ask(self, part: _Part) -> Reply:
        transfer = self._transfer
        sink, deadline = transfer.sink, transfer.deadline
        if sink.etag:
            reply = ask_for(transfer.origin, transfer.name, sink, part.at, part.end, deadline)
            transfer.version_id = reply.version_id or transfer.version_id
            transfer.scope = transfer.scope or reply.scope
            return reply
        # Nothing ties the rest to the start.
        raise _NoRanges(ask_anew(transfer.origin, transfer.name, deadline))

    def _drain(self, part: _Part, reply: Reply) -> None:
        """Read up to the end of the part, which may come nearer meanwhile."""
        transfer, sink, buffer = self._transfer, self._transfer.sink, self._buffer
        deadline, read = transfer.deadline, reply.body.read
        watched = self._leads and transfer.may_split(part)
        began, start = time.monotonic() if watched else 0.0, part.at
        while part.at != part.end:
            if transfer.halted.is_set():
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
            if watched and (elapsed := (now := time.monotonic()) - began) > _WATCHED:
                if part.at - start < _FAST * elapsed:
                    transfer.split(part)
                began, start, watched = now, part.at, transfer.may_split(part)
        if part.end not in (None, part.at):
            raise OriginUnavailableError(f"the body ended after {part.at} bytes")
        if reply.end in (None, part.at):
            if read(buffer):
                raise too_long(transfer.name, part.at)
            self._hang_up()

    def _hang_up(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.body.close()
