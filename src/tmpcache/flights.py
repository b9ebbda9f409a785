"""Threads that want the same answer at the same time ask once."""

from __future__ import annotations

from threading import Event, Lock, get_ident

from .errors import OriginError, QuotaExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeVar

    T = TypeVar("T")


class _Flight:
    __slots__ = ("answer", "error", "landed", "thread")

    def __init__(self) -> None:
        self.landed, self.thread = Event(), get_ident()
        self.answer: object = None
        self.error: BaseException | None = None


class Flights:
    """Calls under way, by what they ask for.

    Who comes while a call is under way gets its answer, or its error if that is about the object
    rather than about the caller. Waiting ends with the call, and every wait inside a call is
    bounded.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._flights: dict[Hashable, _Flight] = {}

    def share(self, subject: Hashable, call: Callable[[], T]) -> tuple[T, bool]:
        """The answer of `call` or of one like it, and whether it was this thread that called."""
        while True:
            with self._lock:
                flight = self._flights.get(subject)
                leads = flight is None
                if flight is None:
                    flight = self._flights[subject] = _Flight()
            if leads:
                return self._lead(subject, flight, call), True
            if flight.thread == get_ident():  # a signal handler that interrupted this very call
                return call(), True
            flight.landed.wait()
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
            flight.landed.set()
