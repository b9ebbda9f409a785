"""Threads that want the same answer at the same time ask once."""

from __future__ import annotations

from threading import Lock, get_ident

from .errors import OriginError, QuotaExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeVar

    from .deadline import Deadline

    T = TypeVar("T")


#: Seconds after which one who waits looks whether its deadline was cancelled meanwhile.
_LOOK = 0.2


class _Flight:
    __slots__ = ("answer", "error", "landed", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()
        self.landed = Lock()  # held during the flight: made in a tenth of the time of an Event
        self.landed.acquire()
        self.answer: object = None
        self.error: BaseException | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for the landing; -1: as long as it takes."""
        if not self.landed.acquire(timeout=seconds):
            return False
        self.landed.release()
        return True


class Flights:
    """Calls under way, by what they ask for.

    Who comes while a call is under way gets its answer, or its error if that is about the object
    rather than about the caller. Waiting ends with the call, and every wait inside a call is
    bounded.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def share(
        self, subject: Hashable, call: Callable[[], T], deadline: Deadline | None = None
    ) -> tuple[T, bool]:
        """The answer of `call` or of one like it, and whether it was this thread that called.

        The other call is waited for until the `deadline` at most.
        """
        while True:
            with self._lock:
                flight = self._flights.get(subject)
                leads = flight is None
                if flight is None:
                    flight = self._flights[subject] = _Flight()
            if leads:
                try:
                    return self._lead(subject, flight, call), True
                finally:
                    del flight  # its error leads to this frame, and that to the caller's leases
            if flight.thread == get_ident():  # a signal handler that interrupted this very call
                return call(), True
            if deadline is None:
                flight.wait(-1)
            elif not flight.wait(min(max(0, deadline.remaining()), _LOOK)):
                deadline.check("an answer that another thread is waiting for")
                continue
            if isinstance(flight.error, (OriginError, QuotaExceededError)):
                from copy import copy  # one error in several threads would mix their tracebacks

                raise copy(flight.error) from flight.error
            if flight.error is None:
                return flight.answer, False  # type: ignore[return-value]

    def _lead(self, subject: Hashable, flight: _Flight, call: Callable[[], T]) -> T:
        try:
            answer = call()
            flight.answer = answer
            return answer
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._flights[subject]
            flight.landed.release()
            del flight
