"""Threads that want the same answer at the same time ask once."""

from __future__ import annotations

from threading import Lock, get_ident

from ..errors import IntegrityError, OriginError, QuotaExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeVar

    from ..common.deadline import Deadline

    T = TypeVar("T")


#: Seconds between two looks of one who waits: was its deadline cancelled, is the leader gone?
_LOOK = 0.2


class _Call:
    """A call under way, for those who wait for it."""

    __slots__ = ("answer", "error", "has_landed", "landed", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.landed = Lock()  # held during the flight: made in a tenth of the time of an Event
        self.landed.acquire()
        self.has_landed = False
        self.answer: object = None
        self.error: BaseException | None = None

    def wait(self, seconds: float) -> None:
        """Wait for the landing, at most so long."""
        if self.landed.acquire(timeout=seconds):
            self.landed.release()

    def land(self) -> None:
        """Wake who waits."""
        self.has_landed = True
        self.landed.release()


#: Errors about the object, which are the same for whoever asks for it.
_SHARED = OriginError, QuotaExceededError, IntegrityError


class SingleFlight:
    """Calls under way, by what they ask for.

    Who comes while a call is under way gets its answer, or its error if that is about the object
    rather than about the caller. Waiting ends with the call, and every wait inside a call is
    bounded. A caller that is interrupted at whatever moment leaves nobody waiting.
    """

    def __init__(self) -> None:
        self._single_flight: dict[Hashable, _Call] = {}

    def __len__(self) -> int:
        """The number of calls under way."""
        return len(self._single_flight)

    def share(
        self, subject: Hashable, call: Callable[[], T], deadline: Deadline | None = None
    ) -> tuple[T, bool]:
        """The answer of `call` or of one like it, and whether it was this thread that called.

        The other call is waited for until the `deadline` at most.
        """
        while True:
            flight, mine = None, _Call()
            try:
                flight = self._single_flight.setdefault(subject, mine)
                if flight is mine:
                    return self._lead(mine, call), True
            finally:
                # A signal handler may raise after any call, and the first is the one that counts:
                # who waits looks whether the flight is still there.
                if flight is mine or self._single_flight.get(subject) is mine:
                    self._single_flight.pop(subject, None)
                    mine.land()
                    flight = None  # its error leads to this frame, and that to the caller's leases
                del mine
            assert flight is not None, "who leads has returned or raised"
            if flight.thread == get_ident():  # a signal handler that interrupted this very call
                return call(), True
            self._wait(subject, flight, deadline)
            if isinstance(flight.error, _SHARED):
                from copy import copy  # one error in several threads would mix their tracebacks

                raise copy(flight.error) from flight.error
            if flight.has_landed and flight.error is None:
                return flight.answer, False  # type: ignore[return-value]
            if deadline is not None:  # not to call in turn when the first has used up the time
                deadline.check("an answer that another thread is waiting for")

    def _wait(self, subject: Hashable, flight: _Call, deadline: Deadline | None) -> None:
        """Until the flight has landed, its leader is gone, or time is up."""
        while not flight.has_landed and self._single_flight.get(subject) is flight:
            left = _LOOK if deadline is None else min(_LOOK, deadline.remaining())
            if left <= 0:
                return
            flight.wait(left)

    def _lead(self, flight: _Call, call: Callable[[], T]) -> T:
        try:
            answer = call()
            flight.answer = answer
            return answer
        except BaseException as error:
            flight.error = error
            raise
        finally:
            del flight
