"""A transfer of one object over as many connections as it takes.

A connection to S3 gives some 90 MB/s, whatever the network could carry. A server on loopback gives
its best on the first connection, and further ones only slow it. So the first reader reads the
first response and measures its speed. If it is slow and much is missing, the rest is cut into byte
ranges, which helper connections request in threads of their own. There are more helpers as long as
the last ones added their share (:mod:`.connection_count`). All threads end with the call.

Helpers are optional. If one fails (no more threads, a store that allows one connection or answers
ranges in ways of its own) or is much slower than the others, another connection reads its range.
"""

from __future__ import annotations

import time

from ...common.deadline import deadline_within
from ...common.threads import LOOK, Worker, join_all
from ...errors import OriginUnavailableError
from .. import UNSAID, Reply
from .backoff import Backoff
from .byte_ranges import RangePlan
from .connection_count import MAX_COUNT, ConnectionCount, count_for, remember
from .errors import HaltedError, UnusableRangeError
from .range_reader import RangeReader, open_connections
from .requests import is_strong, request_object
from .state import TransferState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from .. import Origin
    from .byte_ranges import ByteRange
    from .sink import Sink

#: Connections of this process beyond which no download starts helpers: by then, many downloads
#: together receive as much as the network gives.
MAX_CONNECTIONS = MAX_COUNT
#: How often in a row a helper may fail before it gives its range back.
_MAX_HELPER_BREAKS = 2


class Transfer:
    """The download of one version of one object into a sink.

    `refused_etag` is an ETag that the origin did not accept in ``If-Match``: if the object still
    has it, no ranges are requested. `allows_helpers`: whether other connections may help.
    """

    def __init__(
        self,
        origin: Origin,
        name: ObjectName,
        sink: Sink,
        deadline: Deadline | None,
        refused_etag: str = "",
        *,
        allows_helpers: bool = True,
    ) -> None:
        self._origin, self._name, self._sink, self._deadline = origin, name, sink, deadline
        self._refused_etag = refused_etag
        self._plan = RangePlan(allows_helpers=allows_helpers)
        self._state = TransferState(origin, name, sink, deadline, self._plan)
        self._helpers: list[Worker] = []
        self._count = ConnectionCount(1)
        #: The connections that were opened last.
        self._latest: list[RangeReader] = []
        self._backoff = Backoff(name, deadline)

    def run(self, reply: Reply | None) -> tuple[str, str | None, str | None]:
        """Download all that is missing; return the ETag, version id and scope of the object."""
        state = self._state
        if self._deadline is not None:
            self._deadline.watch(state)
        try:
            while True:
                try:
                    self._work(self._begin(reply))
                    return self._sink.etag, state.version_id, state.scope
                except UnusableRangeError as answer:  # what the sink holds cannot be completed
                    reply = answer.reply
                    state.resume()
                    self._plan.stop_using_ranges()
                    self._sink.rewind()
                    reply = reply or self._request_with_retries()
        finally:
            open_connections.difference_update(state.connections)
            if self._deadline is not None:
                self._deadline.forget(state)

    def _begin(self, reply: Reply | None) -> Reply | None:
        """Plan what is missing; return the response that it begins with, if there is one."""
        sink, state = self._sink, self._state
        if reply is None and is_strong(sink.etag):
            gaps = sink.gaps()
            self._plan.begin([*gaps])
            if gaps:
                return None
            reply = self._revalidate()
            if reply is None:
                return None
        if sink.etag:
            sink.rewind()
        reply = reply or request_object(self._origin, self._name, self._deadline)
        state.version_id, state.scope = reply.version_id, reply.scope
        try:
            sink.begin(reply.etag, reply.size, reply.checksum)
        except BaseException:
            reply.body.close()
            raise
        self._plan.begin([(0, reply.size)])
        if not is_strong(reply.etag) or reply.etag == self._refused_etag:
            self._plan.uses_ranges = False
        return reply

    def _revalidate(self) -> Reply | None:
        """Request the object that the sink holds in full; None if it is still that version."""
        name = self._name
        answer = self._origin.get(
            name.bucket,
            name.key,
            name.version or None,
            if_none_match=self._sink.etag,
            deadline=self._deadline,
        )
        if isinstance(answer, Reply):
            return answer
        self._state.scope = UNSAID if answer is None else answer.scope
        return None

    def _request_with_retries(self) -> Reply:
        while True:
            try:
                return request_object(self._origin, self._name, self._deadline)
            except OriginUnavailableError as error:
                self._state.pause(self._backoff, error)

    def _work(self, reply: Reply | None) -> None:
        """Run the first reader, wait for the helpers, and raise the first error there was."""
        state = self._state
        first = RangeReader(state, self._backoff, self._deadline, self._watch)
        try:
            while not self._plan.is_complete and not state.halted:
                first.work(reply)
                reply = None
                self._wait_for_helper()  # it may give its range back, or become overdue
            self._join_helpers()
        except BaseException as error:
            state.halt(error)
            self._join_helpers()
            if isinstance(error, HaltedError):
                raise state.error or error from None
            raise
        if state.error is not None:
            raise state.error
        self._settle_refused()
        if self._count.right:
            remember(self._origin.name, self._count.right)

    def _wait_for_helper(self) -> None:
        """Wait for a helper that has not ended yet, but only for a moment."""
        for helper in self._helpers:
            if not helper.has_ended(0):
                helper.has_ended(LOOK)
                return

    def _join_helpers(self) -> None:
        join_all(self._helpers)
        self._helpers.clear()

    def _watch(self, byte_range: ByteRange, is_slow: bool) -> None:
        """Start helpers if the first reader is slow, and more as long as they help."""
        if self._helpers:
            self._adapt()
        if is_slow and self._plan.may_split(byte_range):
            self._split(byte_range)

    def _split(self, byte_range: ByteRange) -> None:
        """Leave most of a range to helpers, if this process may have more connections."""
        if len(open_connections) >= MAX_CONNECTIONS:
            return
        count = count_for(self._origin.name)
        end, ranges = self._plan.split(byte_range, MAX_COUNT)
        if started := self._start_helpers(min(count.opened, ranges) - 1):
            self._count, count.opened = count, started + 1
        else:
            self._plan.undo_split(byte_range, end)

    def _adapt(self) -> None:
        """Start further helpers if the last ones added their share, or let those end."""
        count = self._count
        self._settle_refused()
        if count.is_settled:
            return
        receiving = len(self._state.receiving)
        change = count.change(time.monotonic(), self._plan.received, receiving)
        if change > 0:
            self._add_helpers(change)
        elif change < 0:
            self._plan.spare = 0
            for connection in self._latest:
                connection.is_leaving = True

    def _add_helpers(self, number: int) -> None:
        self._plan.spare = number
        if lacking := number - self._start_helpers(number):
            self._count.opened -= lacking
            self._count.is_settled = True

    def _settle_refused(self) -> None:
        """Note how many connections the origin accepts, if it refused some."""
        if self._plan.uses_ranges and self._plan.connections < self._count.opened:
            self._count.settle(self._plan.connections)

    def _start_helpers(self, count: int) -> int:
        """Start helpers, as many as this process may have, and has threads for; return how many."""
        deadline = deadline_within(self._deadline, asks_once=True)
        self._latest.clear()
        for _ in range(count):
            backoff = Backoff(self._name, deadline, _MAX_HELPER_BREAKS)
            connection = RangeReader(self._state, backoff, deadline)
            # Counted before the check: of two transfers that check at the same time, at least one
            # sees too many.
            connection.register()
            if len(open_connections) > MAX_CONNECTIONS:
                connection.unregister()
                break
            helper = Worker(connection.run_as_helper, "tmpcache connection")
            self._helpers.append(helper)  # before it starts, so that an interrupt finds it
            self._plan.add_helper()
            if not helper.start():
                self._helpers.remove(helper)
                self._plan.remove_helper()
                connection.unregister()
                break
            self._latest.append(connection)
        return len(self._latest)
