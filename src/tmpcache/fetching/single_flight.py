"""Single flight: threads that want the same result at the same time make one call for it.

# Interrupts

A signal handler may raise after any call of the main thread, so the leader of a call may be gone
before it has released those who wait. A waiting thread therefore looks every 0.2 s whether the call
is still registered.
"""

from __future__ import annotations

from threading import Lock, get_ident

from ..errors import IntegrityError, OriginError, QuotaExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import TypeVar, TypeVarTuple

    from ..common.deadline import Deadline

    T = TypeVar("T")
    Arguments = TypeVarTuple("Arguments")


#: Seconds after which a waiting thread looks whether its deadline was cancelled or the leader gone.
_POLL = 0.2


class _Call:
    """A call under way, for the threads that wait for it."""

    __slots__ = ("_running", "error", "is_done", "result", "thread")

    def __init__(self) -> None:
        self.thread = get_ident()
        self._running = Lock()  # held during the call: made in a tenth of the time of an Event
        self._running.acquire()
        self.is_done = False
        self.result: object = None
        self.error: BaseException | None = None

    def wait(self, seconds: float) -> None:
        """Wait until the call is done, at most so long."""
        if self._running.acquire(timeout=seconds):
            self._running.release()

    def finish(self) -> None:
        """Wake the threads that wait."""
        self.is_done = True
        self._running.release()


#: Errors about the object, which every thread that asks for it would get.
_SHARED = OriginError, QuotaExceededError, IntegrityError


class SingleFlight:
    """Calls under way, by what they are for.

    A thread that comes while a call is under way gets its result, or its error if that is about the
    object rather than about the caller. Waiting ends with the call, and every wait inside a call is
    bounded. A leader that is interrupted, at whatever moment, leaves no thread waiting.
    """

    def __init__(self) -> None:
        self._calls: dict[Hashable, _Call] = {}

    def __len__(self) -> int:
        """Return the number of calls under way."""
        return len(self._calls)

    def share(
        self,
        key: Hashable,
        deadline: Deadline | None,
        call: Callable[[*Arguments], T],
        *arguments: *Arguments,
    ) -> tuple[T, bool]:
        """Return the result of this call or of another one with the same key, and whose it is.

        True if this thread made the call. It waits for another thread's call until the `deadline`
        at most.
        """
        while True:
            current, own = None, _Call()
            try:
                current = self._calls.setdefault(key, own)
                if current is own:
                    return self._lead(own, call, *arguments), True
            finally:
                # A signal handler may raise after any call here. Once `pop` has returned, the
                # threads that wait see that this call is not registered any more, and go on even
                # if `finish` is never reached.
                if current is own or self._calls.get(key) is own:
                    self._calls.pop(key, None)
                    own.finish()
                    current = None  # its error has this frame, and with it the caller's leases
                del own
            assert current is not None, "a leader has returned or raised"
            if current.thread == get_ident():  # a signal handler that interrupted this very call
                return call(*arguments), True
            self._wait(key, current, deadline)
            if isinstance(current.error, _SHARED):
                from copy import copy  # one error in several threads would mix their tracebacks

                raise copy(current.error) from current.error
            if current.is_done and current.error is None:
                return current.result, False  # type: ignore[return-value]
            if deadline is not None:  # the first call may have used up the time for a second one
                deadline.check("an answer that another thread is waiting for")

    def _wait(self, key: Hashable, current: _Call, deadline: Deadline | None) -> None:
        """Wait until the call is done, its leader is gone, or time is up."""
        while not current.is_done and self._calls.get(key) is current:
            left = _POLL if deadline is None else min(_POLL, deadline.remaining())
            if left <= 0:
                return
            current.wait(left)

    def _lead(self, own: _Call, call: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Make the call; keep its result or error for the threads that wait."""
        try:
            result = call(*arguments)
            own.result = result
            return result
        except BaseException as error:
            own.error = error
            raise
        finally:
            del own
