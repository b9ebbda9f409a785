"""Lets an exception that a signal handler raised reach the code that installed the handler.

A time limit is often an exception that a signal handler raises at any point of the main thread:
celery's ``SoftTimeLimitExceeded``, a ``TimeoutError`` of an alarm. A library that was interrupted
may take it for an error of its own: urllib3 takes a TimeoutError for a socket's, botocore wraps any
exception and sends the request again. So before tmpcache translates, retries or stores an error, it
looks in the traceback whether a signal handler raised it.
"""

from __future__ import annotations

import sys
from threading import get_ident, main_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType


def reraise_from_handler(error: BaseException, frame: FrameType | None = None) -> None:
    """Raise the exception that a signal handler raised inside the caller's ``try``, if one did.

    `error` is what the ``except`` clause caught: the handler's exception, or what a library made of
    it. `frame` is the frame that has that clause; default: the caller's.
    """
    if get_ident() != main_thread().ident:  # signal handlers run in the main thread only
        return
    found = _raised_by_handler(error, frame or sys._getframe(1))
    if found is not None:
        raise found


def _raised_by_handler(error: BaseException, frame: FrameType) -> BaseException | None:
    """Return the first error among an error and its causes that a signal handler raised, if any.

    Libraries give an error of theirs the traceback of its cause, as urllib3 does: of those that
    came through the same call of the handler, it is the innermost.
    """
    seen: BaseException | None = error
    found, call = None, None
    passed: set[int] = set()  # causes may lead in a circle: ``raise error from error``
    while seen is not None and id(seen) not in passed:
        passed.add(id(seen))
        traceback = seen.__traceback__
        if traceback is None or not _is_within(traceback.tb_frame, frame):
            break  # it was caught before the `try`
        of_handler = _call_of_a_handler(traceback)
        if of_handler is not None and call in (None, of_handler):
            found, call = seen, of_handler
        seen = seen.__cause__ or seen.__context__
    return found


def _is_within(frame: FrameType | None, outer: FrameType) -> bool:
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def _call_of_a_handler(traceback: TracebackType) -> TracebackType | None:
    """Return the entry of a traceback that is a signal handler's, if it has one.

    A handler is recognised by its frame argument: the frame that was interrupted, and so called it.
    """
    above = traceback
    while (below := above.tb_next) is not None:
        if any(one is above.tb_frame for one in _arguments(below.tb_frame)):
            return below
        above = below
    return None


def _arguments(frame: FrameType) -> list[object]:
    code, values = frame.f_code, frame.f_locals
    found = [values.get(name) for name in code.co_varnames[: code.co_argcount + 1]]
    rest = next((one for one in found if type(one) is tuple), ())
    return [*found, *rest]
