"""What runs in the new process of a cold start."""

from __future__ import annotations

import pickle
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import Any

import tmpcache


def main(path: str) -> None:
    """Call the function that stdin names, and write the outcome to `path`.

    stdin has a pickled triple: settings of the default cache, function and arguments. The outcome
    is one, too: whether the function returned; its result, or its exception if that can be pickled;
    and the stack trace.
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
    """Return a function, or make one of the source text of its body."""
    if not isinstance(work, str):
        return work
    names: dict[str, Any] = {}
    exec("def work(*args):\n" + textwrap.indent(work, "    "), names)  # noqa: S102 - the test's own
    return names["work"]  # type: ignore[no-any-return]


def _returned(result: Any) -> bytes:
    """Pickle the outcome of a function that returned."""
    try:
        return pickle.dumps((True, result, ""))
    except Exception as error:
        trace = f"the result cannot be handed over ({error}): return something that pickles"
        return pickle.dumps((False, None, trace))


def _raised(error: Exception) -> bytes:
    """Pickle the outcome of a function that raised."""
    trace = "In the fresh process:\n" + "".join(traceback.format_exception(error))
    try:
        outcome = pickle.dumps((False, error, trace))
        pickle.loads(outcome)  # noqa: S301 - some exceptions can be pickled and not unpickled
    except Exception:
        outcome = pickle.dumps((False, None, trace))
    return outcome
