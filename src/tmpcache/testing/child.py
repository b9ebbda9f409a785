"""The fresh process of a cold start, seen from inside."""

from __future__ import annotations

import pickle
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import Any

import tmpcache


def main(path: str) -> None:
    """Do what stdin says, and write to `path` what came of it.

    That is a pickled triple: whether it went well; the result, or the exception if it can be handed
    over; and the stack trace.
    """
    try:
        settings, work, args = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
        if settings:
            tmpcache.configure(**settings)
        outcome = _returned(_callable(work)(*args))
    except Exception as error:
        outcome = _raised(error)
    with open(path, "wb") as file:
        file.write(outcome)


def _callable(work: Callable[..., Any] | str) -> Callable[..., Any]:
    if not isinstance(work, str):
        return work
    names: dict[str, Any] = {}
    exec("def work(*args):\n" + textwrap.indent(work, "    "), names)  # noqa: S102 - the test's own
    return names["work"]  # type: ignore[no-any-return]


def _returned(result: Any) -> bytes:
    try:
        return pickle.dumps((True, result, ""))
    except Exception as error:
        trace = f"the result cannot be handed over ({error}): return something that pickles"
        return pickle.dumps((False, None, trace))


def _raised(error: Exception) -> bytes:
    trace = "In the fresh process:\n" + "".join(traceback.format_exception(error))
    try:
        outcome = pickle.dumps((False, error, trace))
        pickle.loads(outcome)  # noqa: S301 - some go in and do not come out
    except Exception:
        outcome = pickle.dumps((False, None, trace))
    return outcome
