"""What the connections of one transfer share."""

from __future__ import annotations

import time
from threading import Lock

from ...common.threads import LOOK
from .. import UNSAID
from .errors import UnusableRangeError
from .requests import request_range

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline, Waiting
    from ...common.objects import ObjectName
    from ...errors import OriginUnavailableError
    from .. import Origin, Reply
    from .backoff import Backoff
    from .byte_ranges import RangePlan
    from .sink import Sink


class TransferState:
    """The object, its sink, the plan, and whether all connections must end."""

    def __init__(
        self,
        origin: Origin,
        name: ObjectName,
        sink: Sink,
        deadline: Deadline | None,
        plan: RangePlan,
    ) -> None:
        self.origin, self.name, self.sink, self.deadline = origin, name, sink, deadline
        self.plan = plan
        self.version_id: str | None = None
        #: The scope of the first response that said one. Later ranges do not change it.
        self.scope: str | None = UNSAID
        #: Whether all connections must end, and the error because of which.
        self.halted = False
        self.error: BaseException | None = None
        #: All connections of this transfer so far, ended ones included.
        self.connections: set[Waiting] = set()
        #: Those of them that have begun to receive and have not ended.
        self.receiving: set[Waiting] = set()
        self._lock = Lock()

    def request(self, start: int, end: int | None, deadline: Deadline | None) -> Reply:
        """Request bytes `start` to `end`, of no other version than the sink has."""
        if not self.plan.uses_ranges:
            raise UnusableRangeError
        reply = request_range(self.origin, self.name, self.sink, start, end, deadline)
        self.version_id = reply.version_id or self.version_id
        if self.scope == UNSAID:
            self.scope = reply.scope
        return reply

    def pause(self, backoff: Backoff, error: OriginUnavailableError) -> None:
        """Wait before the next retry; wait no longer once the transfer has halted.

        Raises if it broke too often.
        """
        size = self.sink.size
        missing = sum(end - start for start, end in self.sink.gaps())
        received = self.sink.received if size is None else size - missing
        until = time.monotonic() + backoff.pause(error, received, size)
        while not self.halted and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))

    def halt(self, error: BaseException) -> None:
        """End all connections because of an error that is not one connection's alone."""
        with self._lock:
            self.error = self.error or error
            self.halted = True
        self.interrupt()

    def resume(self) -> None:
        """Forget the error, and let connections work again."""
        self.error, self.halted = None, False

    def interrupt(self) -> None:
        """Interrupt all reads under way."""
        for connection in [*self.connections]:
            connection.interrupt()
