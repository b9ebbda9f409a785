"""Interrupts and deadlines end a large upload, and S3 keeps no part of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from support.handmade import Asked
from support.interrupts import Points, TimeIsUp, alarm, moments
from support.leftovers import descriptors, threads_of_ours
from support.origins import through_both_readers
from support.parts import BODY, PartsStore, number_of
from support.processes import wait_until

from tmpcache import Cache
from tmpcache.errors import DeadlineExceededError, OriginError

pytestmark = through_both_readers


class Context:
    """A function that is killed in 2.5 seconds: 2, less the margin."""

    def get_remaining_time_in_millis(self) -> int:
        return 2500


class Held:
    """Holds all parts but the first one until it is released."""

    def __init__(self, store: PartsStore) -> None:
        self.released, self.arrived = threading.Event(), threading.Event()
        store.before = self._before

    def _before(self, step: str, asked: Asked) -> None:
        if step == "part" and number_of(asked) > 1:
            self.arrived.set()
            self.released.wait(20)


def test_a_signal_handlers_exception_passes_and_the_upload_is_aborted(
    cache: Cache, store: PartsStore
) -> None:
    held, mine = Held(store), TimeIsUp("mine")

    def ring() -> None:
        held.arrived.wait(20)
        os.kill(os.getpid(), signal.SIGALRM)
        wait_until(lambda: mine.__traceback__ is not None)  # the handler has run
        held.released.set()

    ringer = threading.Thread(target=ring)
    ringer.start()
    with pytest.raises(TimeIsUp) as raised, alarm(60, mine):
        cache.put("models", "a", BODY)
    ringer.join()
    assert raised.value is mine
    assert (store.open, store.objects) == ({}, {})
    assert store.count("abort") == 1
    assert descriptors(cache.root) == []


@pytest.mark.parametrize("threads", [True, False])
def test_interrupted_at_any_moment_no_part_is_left_behind(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch, threads: bool
) -> None:
    if not threads:
        monkeypatch.setattr("tmpcache.origin.s3.multipart_upload.Worker.start", lambda self: False)
    cache.put("models", "a", BODY).release()
    counted = Points()
    counted.run(lambda: cache.put("models", "a", BODY).release())
    for moment in moments(counted.count, most=8, seed=int(time.time())):
        points = Points(moment)
        raised = outcome_of(lambda: cache.put("models", "a", BODY).release(), points)
        assert raised in (points.place, *(() if threads else DROPPED))
        assert threads_of_ours() == []
        assert store.open == {}, points.place


#: Of an http endpoint, awscrt reads the body to sign it, and drops what is raised meanwhile.
DROPPED = ("s3://models/a: AwsCrtError: AWS_ERROR_UNKNOWN: Unknown error.",)


def outcome_of(call: Callable[[], object], points: Points) -> str:
    """Return the text of what an interrupted call raises, "" for nothing."""
    try:
        points.run(call)
    except (TimeIsUp, OriginError) as error:
        return str(error)
    return ""


def test_a_deadline_ends_all_parts_and_aborts_the_upload(cache: Cache, store: PartsStore) -> None:
    cache.put("models", "b", b"imports boto3").release()
    held = Held(store)
    with cache.invocation(Context()), pytest.raises(DeadlineExceededError, match="did not confirm"):
        cache.put("models", "a", BODY)
    assert not held.released.is_set()
    assert threads_of_ours() == []
    assert store.open == {}
    assert list(store.objects) == ["/models/b"]
    assert store.count("abort") == 1
    held.released.set()
