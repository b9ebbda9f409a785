"""No finalizer of ours runs in a call that is not interrupted.

Python drops what a signal handler raises in a finalizer: it prints "Exception ignored in". So
finalizers are for what an interrupt left behind, and for what the caller drops.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType

import pytest

from tmpcache import Cache
from tmpcache.errors import ObjectNotFoundError
from tmpcache.testing import Bucket

KEYS = [f"tree/{number:02}" for number in range(12)]


class Finalizers:
    """Notes which finalizers written in Python run in the calling thread, where handlers run.

    A weak reference's callback is one, too: of `WeakSet` and the other weak collections, and of
    `weakref.finalize`.
    """

    def __init__(self) -> None:
        self.seen = set[str]()

    def in_call(self, call: Callable[[], object]) -> object:
        """Return what the call returns. What is garbage by then is collected."""
        gc.collect()
        gc.disable()
        sys.setprofile(self._note)
        try:
            result = call()
            gc.collect()
            return result
        finally:
            sys.setprofile(None)
            gc.enable()

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and _is_finalizer(frame.f_code):
            above = frame.f_back
            assert above is not None
            place = f"{above.f_code.co_qualname} ({above.f_code.co_filename}:{above.f_lineno})"
            self.seen.add(f"{frame.f_code.co_qualname} in {place}")


def _is_finalizer(code: CodeType) -> bool:
    if code.co_name in ("_remove", "remove", "__call__"):
        return code.co_filename.endswith(("_weakrefset.py", "weakref.py"))
    return code.co_name == "__del__" and "tmpcache" in code.co_filename


def _scratch(cache: Cache) -> object:
    with cache.scratch() as work:
        linked = work.fetch("models", KEYS[0])
        copied = work.fetch("models", KEYS[1], writable=True)
        return linked, copied, cache.fetch_prefix("models", "tree/", into=work)


def _mirror(cache: Cache) -> object:
    return cache.fetch_prefix("models", "tree/", into=cache.root.parent / "mirror")


def _with(cache: Cache) -> None:
    with cache.fetch("models", KEYS[0]):
        pass


def _not_there(cache: Cache) -> None:
    with pytest.raises(ObjectNotFoundError):
        cache.fetch("models", "none")


def _invocation(cache: Cache) -> object:
    with cache.invocation():
        return [cache.fetch("models", KEYS[0]) for _ in range(2)]


VERBS: dict[str, Callable[[Cache], object]] = {
    "fetch": lambda cache: cache.fetch("models", KEYS[0]),
    "with fetch": _with,
    "fetch a large object": lambda cache: cache.fetch("models", "large"),
    "fetch what is not there": _not_there,
    "fetch_many": lambda cache: cache.fetch_many("models", KEYS, threads=4),
    "fetch_prefix": lambda cache: cache.fetch_prefix("models", "tree/", threads=4),
    "fetch_prefix into a directory": _mirror,
    "load": lambda cache: cache.load("models", KEYS[0], Path.read_bytes),
    "put": lambda cache: cache.put("models", "new", b"new"),
    "scratch": _scratch,
    "invocation": _invocation,
}


@pytest.fixture
def filled(bucket: Bucket) -> Bucket:
    for key in KEYS:
        bucket.put(key, key.encode() * 1000)
    bucket.put("large", bytes(9_000_000))
    return bucket


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("origin", ["boto3", "direct", "obstore"], indirect=True)
def test_no_finalizer_runs_in_a_call(verb: str, origin: str, filled: Bucket, root: Path) -> None:
    finalizers, kept = Finalizers(), []
    cache = Cache(root, quota="64 MiB", max_age=0)

    def first_second_and_after_a_change() -> None:
        kept.append(VERBS[verb](cache))
        kept.append(VERBS[verb](cache))
        filled.put(KEYS[0], b"another version")
        kept.append(VERBS[verb](cache))

    finalizers.in_call(first_second_and_after_a_change)
    cache.close()
    assert finalizers.seen == set()
