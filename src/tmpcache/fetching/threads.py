"""Runs a call in a thread for a coroutine, and ends it when the coroutine is cancelled."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context

from ..common.deadline import deadline_within
from ..invocations.context import call_deadline, current_deadline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Calls at a time. The others wait.
_MAX_THREADS = 32
#: By process: a forked child has none of its parent's threads.
_executors: dict[int, ThreadPoolExecutor] = {}


async def in_thread(function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
    """Return what a function returns that runs in a thread, in the caller's context.

    If the task is cancelled, the function's deadline is, and the function has ended before this
    raises, or it never begins. A second cancellation does not wait for that.
    """
    deadline, context = deadline_within(current_deadline()), copy_context()

    def work() -> Any:
        call_deadline.set(deadline)
        return function(*arguments, **options)

    job = _executor().submit(context.run, work)
    result = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(result)
    except asyncio.CancelledError:
        deadline.cancel()
        if not job.cancel():
            with suppress(Exception):  # whatever it ends with, the task is cancelled
                await result
        raise


def _executor() -> ThreadPoolExecutor:
    pid = os.getpid()
    if pid not in _executors:
        _executors.clear()
        _executors[pid] = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="tmpcache")
    return _executors[pid]
