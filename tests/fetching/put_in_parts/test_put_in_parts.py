"""A large upload goes in parts over several connections, and S3 keeps no part of one that fails."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.handmade import Answer, Asked, HandmadeS3, error
from support.origins import through_both_readers
from support.parts import BODY, MIB, PARTS, PartsStore, number_of, without_an_end
from support.processes import spawn

from tmpcache import Cache, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.fetching import put

pytestmark = through_both_readers


def test_the_parts_are_one_object(cache: Cache, store: PartsStore) -> None:
    path = cache.put("models", "a", BODY)
    assert store.objects == {"/models/a": BODY}
    assert sorted(store.steps) == ["complete", "create", *["part"] * PARTS]
    assert store.steps[0] == "create"
    assert store.steps[-1] == "complete"
    assert path.read_bytes() == BODY
    assert cache.fetch("models", "a").outcome is Outcome.HIT, "it has the scope of who put it"


def test_parts_are_sent_at_the_same_time(cache: Cache, store: PartsStore) -> None:
    together = threading.Barrier(PARTS)

    def before(step: str, asked: Asked) -> None:
        if step == "part":
            together.wait(30)

    store.before = before
    cache.put("models", "a", BODY).release()
    assert store.objects == {"/models/a": BODY}


def test_a_file_of_two_parts_is_sent_in_one_request(cache: Cache, store: PartsStore) -> None:
    cache.put("models", "a", BODY[: 2 * MIB]).release()
    cache.put("models", "b", BODY[: 2 * MIB + 1]).release()
    assert sorted(store.steps) == ["complete", "create", "part", "part", "part", "put"]


def test_without_more_threads_one_part_goes_after_the_other(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("tmpcache"):
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    cache.put("models", "a", BODY).release()
    assert store.objects == {"/models/a": BODY}
    assert store.steps == ["create", *["part"] * PARTS, "complete"]


def test_one_thread_is_enough(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, started = threading.Thread.start, list[str]()

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("tmpcache"):
            started.append(thread.name)
            if len(started) > 1:
                raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    cache.put("models", "a", BODY).release()
    assert store.objects == {"/models/a": BODY}
    assert len(started) == 2, "after one that cannot be started, no further one is tried"


def test_conditions_are_checked_when_the_upload_is_completed(
    cache: Cache, store: PartsStore, server: HandmadeS3
) -> None:
    cache.put("models", "a", BODY, if_none_match="*").release()
    cache.put("models", "a", BODY, if_match='"x"').release()
    for name, value in (("if-none-match", "*"), ("if-match", '"x"')):
        sent = [asked for asked in server.log if asked.headers.get(name) == value]
        assert [(asked.method, "uploadId" in asked.query) for asked in sent] == [("POST", True)]
    store.before = lambda step, asked: (
        error(412, "PreconditionFailed") if step == "complete" else None
    )
    with pytest.raises(ObjectChangedError, match="s3://models/a"):
        cache.put("models", "a", BODY, if_none_match="*")
    assert store.open == {}


@pytest.mark.parametrize(
    ("step", "answer", "kind"),
    [
        ("create", error(403, "AccessDenied"), AccessDeniedError),
        ("part", error(403, "AccessDenied"), AccessDeniedError),
        ("part", error(500, "InternalError"), OriginUnavailableError),
        ("part", without_an_end(), OriginUnavailableError),
        ("complete", error(400, "InvalidPart"), OriginError),
        ("complete", error(200, "InternalError"), OriginUnavailableError),
        ("complete", error(409, "ConditionalRequestConflict"), ObjectChangedError),
    ],
)
def test_a_step_that_fails_aborts_the_upload(
    cache: Cache, store: PartsStore, step: str, answer: Answer, kind: type[Exception]
) -> None:
    """A CompleteMultipartUpload may fail with status 200."""

    def before(asked_for: str, asked: Asked) -> Answer | None:
        fails = asked_for == step and (step != "part" or number_of(asked) == 4)
        return answer if fails else None

    store.before = before
    with pytest.raises(kind, match="s3://models/a"):
        cache.put("models", "a", BODY)
    assert (store.open, store.objects) == ({}, {})
    assert store.count("abort") == (step != "create")
    assert store.steps[-1] == ("abort" if step != "create" else "create")
    assert list((cache.root / "partial").iterdir()) == []


def test_a_part_that_fails_for_a_moment_is_sent_again(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    failing = iter([error(503, "SlowDown")])
    store.before = lambda step, asked: (
        next(failing, None) if step == "part" and number_of(asked) == 2 else None
    )
    cache.put("models", "a", BODY).release()
    assert store.objects == {"/models/a": BODY}
    assert store.count("part") == PARTS + 1


def test_an_abort_is_tried_once_and_hides_nothing(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    refusals = {"part": error(403, "AccessDenied"), "abort": error(503, "SlowDown")}
    store.before = lambda step, asked: refusals.get(step)
    with pytest.raises(AccessDeniedError, match="s3:PutObject"):
        cache.put("models", "a", BODY)
    assert store.count("abort") == 1


@pytest.mark.parametrize("attempts", ["1", "2"])
def test_an_upload_whose_last_answer_was_lost_is_said_to_be_unconfirmed(
    cache: Cache, store: PartsStore, monkeypatch: pytest.MonkeyPatch, attempts: str
) -> None:
    """S3 answers 404 to the second request: it knows no such upload any more."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", attempts)
    store.after = lambda step, asked: (
        without_an_end() if step == "complete" and store.count("complete") == 1 else None
    )
    with pytest.raises(OriginUnavailableError, match="the object may be in place, or not"):
        cache.put("models", "a", BODY)
    assert store.objects == {"/models/a": BODY}
    assert store.open == {}
    assert cache.fetch("models", "a").read_bytes() == BODY


# ---- the source, which is copied part by part ----------------------------------------------------


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is copied while it is uploaded."""
    monkeypatch.setattr(put, "_LARGE", MIB)
    path = tmp_path / "source"
    path.write_bytes(BODY)
    return path


def when_created(store: PartsStore, call: Callable[[], object]) -> None:
    """Call it when an upload begins."""

    def before(step: str, asked: Asked) -> None:
        if step == "create":
            call()

    store.before = before


def test_a_large_file_is_copied_while_it_is_sent(
    cache: Cache, store: PartsStore, source: Path
) -> None:
    other = os.urandom(len(BODY))
    when_created(store, lambda: source.write_bytes(other))
    path = cache.put("models", "a", source)
    assert path.read_bytes() == store.objects["/models/a"] == other
    assert path.size == len(BODY)
    assert cache.verify().damaged == ()


def test_a_file_that_is_cut_meanwhile_is_not_stored(
    cache: Cache, store: PartsStore, source: Path
) -> None:
    when_created(store, lambda: os.truncate(source, 3 * MIB))
    with pytest.raises(ConfigError, match=f"source had {len(BODY)} bytes .* ended after 3145728"):
        cache.put("models", "a", source)
    assert (store.open, store.objects) == ({}, {})
    assert store.steps[-1] == "abort"
    assert list((cache.root / "partial").iterdir()) == []


def test_a_file_that_cannot_be_read_is_no_failure_of_s3(
    cache: Cache, store: PartsStore, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "a bad block")

    monkeypatch.setattr(put, "_opened", lambda path: Broken(path))
    with pytest.raises(OSError, match="a bad block") as raised:
        cache.put("models", "a", source)
    assert type(raised.value) is OSError
    assert (store.open, store.objects) == ({}, {})


# ---- memory --------------------------------------------------------------------------------------


def test_a_large_upload_takes_little_memory(root: Path, server: HandmadeS3) -> None:
    """Eight connections with blocks of 1 MiB or less, not eight parts, nor the whole object."""
    big = root.parent / "big"
    big.write_bytes(bytes(64 * MIB))
    with spawn(
        """
        import re
        import tmpcache
        from tmpcache.origin.s3 import upload_body

        def peak():
            status = open("/proc/self/status").read()
            return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) * 1024

        cache = tmpcache.Cache(root, quota="200 MiB")
        cache.put("models", "small", bytes(3 << 20)).release()
        cache.put("models", "parts", bytes(17 << 20)).release()
        before = peak()
        cache.put("models", "big", big).release()
        say(peak() - before)
        """,
        root=str(root),
        big=str(big),
    ) as child:
        assert child.hear() < 24 * MIB
