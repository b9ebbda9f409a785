"""Loaded objects follow the content: loaded once, bounded in memory, with the rights of a fetch."""

from __future__ import annotations

import os
import threading
import warnings
from pathlib import Path

import pytest
from support.handmade import Answer, Asked, handmade, object_answer
from support.iam import Iam
from support.origins import of_user, through_each_origin

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import AccessDeniedError, ConfigError, QuotaExceededError, UnsafeRootError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED

pytestmark = through_each_origin

MIB = 1024 * 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("model", b"one")
    return tmpcache.Cache(root, quota="200 MiB")


class Loader:
    """Reads a file and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> bytearray:
        self.calls += 1
        return bytearray(path.read_bytes())


def test_what_is_loaded_stays_until_the_content_changes(
    cache: tmpcache.Cache, bucket: Bucket
) -> None:
    loader = Loader()
    one = cache.load("models", "model", loader)
    assert cache.load("models", "model", loader) is one
    bucket.put("model", b"two")
    two = cache.load("models", "model", loader)
    assert (bytes(one), bytes(two), loader.calls) == (b"one", b"two", 2)
    bucket.put("model", b"one")
    assert cache.load("models", "model", loader) is one, "the content is what counts"
    other = Loader()
    assert cache.load("models", "model", other) is not one
    assert cache.usage().leased == cache.usage().blob_bytes, "both are kept for their values"
    cache.clear()
    assert cache.usage().leased == 0


def test_threads_load_once(cache: tmpcache.Cache) -> None:
    begun, go_on = threading.Event(), threading.Event()
    calls: list[Path] = []
    found: list[object] = []

    def loader(path: Path) -> object:
        calls.append(path)
        begun.set()
        assert go_on.wait(30)
        return object()

    def work() -> None:
        found.append(cache.load("models", "model", loader, max_age=60))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_loader_that_fails_leaves_nothing(cache: tmpcache.Cache) -> None:
    answers = iter([ValueError("damaged"), b"fine"])

    def loader(path: Path) -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="damaged"):
        cache.load("models", "model", loader)
    assert cache.load("models", "model", loader) == b"fine"


def test_memory_is_bounded_by_count(root: Path, bucket: Bucket) -> None:
    cache, loader = tmpcache.Cache(root, loaded_most=2, max_age=60), Loader()
    for key in "abab":
        bucket.put(key, key.encode())
        cache.load("models", key, loader)
    assert loader.calls == 2
    bucket.put("c", b"c")
    cache.load("models", "c", loader)  # now a is gone
    cache.load("models", "b", loader)
    assert loader.calls == 3
    cache.load("models", "a", loader)
    assert loader.calls == 4


def test_memory_is_bounded_by_weight(root: Path, bucket: Bucket) -> None:
    loader = Loader()
    cache = tmpcache.Cache(root, loaded_weigher=len, loaded_weight=100, max_age=60)
    for key, size in (("a", 60), ("b", 40), ("c", 50), ("d", 101)):
        bucket.put(key, key.encode() * size)
    cache.load("models", "a", loader)
    cache.load("models", "b", loader)
    cache.load("models", "c", loader)
    cache.load("models", "b", loader)
    assert loader.calls == 3
    assert len(cache.load("models", "d", loader)) == 101  # too heavy to keep, not to have
    cache.load("models", "d", loader)
    assert loader.calls == 5
    with pytest.raises(ConfigError):
        tmpcache.Cache(root, loaded_weigher=len)


def test_memory_does_not_bypass_permissions(
    root: Path, bucket: Bucket, cache: tmpcache.Cache
) -> None:
    loader = Loader()
    cache.load("models", "model", loader)
    bucket.inject("model", ACCESS_DENIED)
    with pytest.raises(AccessDeniedError):
        cache.load("models", "model", loader)
    with pytest.raises(AccessDeniedError):
        cache.load("models", "model", loader, max_age=3600)


def test_another_role_is_refused_from_memory_and_disk(
    root: Path, bucket: Bucket, iam: Iam, origin: str
) -> None:
    loader = Loader()
    bucket.put("secret", b"secret")
    asking = []
    for name, key in (("reader", "secret"), ("stranger", "nothing")):
        rights = iam.user(
            name, actions=("s3:GetObject",), resources=(f"arn:aws:s3:::models/{key}",)
        )
        asking.append(of_user(origin, rights))
    iam.enforce()
    one, two = (tmpcache.Cache(root, max_age=3600, **settings) for settings in asking)
    assert one.load("models", "secret", loader) == b"secret"
    for ask in (
        lambda: two.load("models", "secret", loader),
        lambda: two.fetch("models", "secret"),
        lambda: two.fetch("models", "secret", stale_if_error=3600),
    ):
        with pytest.raises(AccessDeniedError):
            ask()
    assert one.fetch("models", "secret").outcome is Outcome.HIT


# ---- loaders that read later (xarray issue 6715, ripgrep-all issue 353)


class Lazy:
    """Keeps the path and opens it when it is used, as ``polars.scan_parquet`` does."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def collect(self) -> int:
        return len(Path(self.path).read_bytes())


def filled(bucket: Bucket, *keys: str) -> None:
    for key in keys:
        bucket.put(key, os.urandom(MIB))


def test_a_loader_that_opens_the_file_later_still_finds_it(root: Path, bucket: Bucket) -> None:
    filled(bucket, "lazy", *"abcdef")
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=60)
    with cache.invocation():  # at whose end all paths are released
        lazy = cache.load("models", "lazy", Lazy)
    for key in "abcdef":
        cache.fetch("models", key).release()
    assert lazy.collect() == MIB
    assert cache.usage().leased >= MIB
    cache.clear()
    assert cache.usage().leased == 0


def test_a_loader_may_release_the_path_that_it_was_given(root: Path, bucket: Bucket) -> None:
    filled(bucket, "lazy", *"abcdef")
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=60)

    def loader(path: tmpcache.CachedFile) -> Lazy:
        with path:
            return Lazy(path)

    lazy = cache.load("models", "lazy", loader)
    cache.fetch_many("models", ["a", "b"])
    for key in "cdef":
        cache.fetch("models", key).release()
    assert lazy.collect() == MIB


def test_values_go_before_a_fetch_finds_no_room(root: Path, bucket: Bucket) -> None:
    filled(bucket, *"abcdefgh")
    cache, loader = tmpcache.Cache(root, quota="4 MiB", max_age=60), Loader()
    for key in "abcdef":
        cache.load("models", key, loader)
    assert loader.calls == 6
    cache.load("models", "f", loader)
    assert loader.calls == 6, "the last ones are kept"
    cache.load("models", "a", loader)
    assert loader.calls == 7
    paths = cache.fetch_many("models", list("bcd"))
    assert cache.usage().leased >= 3 * MIB
    del paths
    assert len({cache.load("models", key, Lazy).path for key in "fgh"}) == 3
    cache.put("models", "new", bytes(2 * MIB))
    for key in "fgh":
        cache.load("models", key, Lazy)
    assert cache.make_room("3 MiB") > 0
    for key in "fgh":
        cache.load("models", key, Lazy)
    with cache.scratch() as work:
        work.reserve("3 MiB")


def test_what_no_quota_could_hold_costs_no_value(root: Path, bucket: Bucket) -> None:
    filled(bucket, "small")
    bucket.put("huge", bytes(5 * MIB))
    cache, loader = tmpcache.Cache(root, quota="4 MiB", max_age=60), Loader()
    cache.load("models", "small", loader)
    with pytest.raises(QuotaExceededError):
        cache.fetch("models", "huge")
    cache.load("models", "small", loader)
    assert loader.calls == 1


def test_a_forked_child_keeps_what_its_parent_loaded(root: Path, bucket: Bucket) -> None:
    filled(bucket, "lazy", *"abcdef")
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=60)
    lazy = cache.load("models", "lazy", Lazy)
    begin, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os.read(begin, 1)  # until the parent has given up the value and made room
        os._exit(0 if lazy.collect() == MIB else 1)
    cache._loaded.clear()
    for key in "abcdef":
        cache.fetch("models", key).release()
    os.close(end)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_value_that_goes_may_use_the_cache(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=60, loaded_most=1)
    filled(bucket, *"ab")

    class Farewell:
        def __init__(self, path: Path) -> None: ...

        def __del__(self) -> None:
            cache._loaded.clear()

    done = threading.Thread(
        target=lambda: [cache.load("models", key, Farewell) for key in "ab"], daemon=True
    )
    done.start()
    done.join(30)
    assert not done.is_alive()


# ---- put


def test_a_child_forked_while_another_thread_loads_can_load(cache: tmpcache.Cache) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> bytes:
        begun.set()
        assert go_on.wait(30)
        return path.read_bytes()

    thread = threading.Thread(target=lambda: cache.load("models", "model", slow, max_age=60))
    thread.start()
    assert begun.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: that is the point
        pid = os.fork()
    if pid == 0:
        go_on.set()
        loaded = cache.load("models", "model", slow, max_age=60) == b"one"
        os._exit(0 if loaded else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go_on.set()
    thread.join()


def test_a_fetch_whose_file_is_taken_again_and_again_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(asked: Asked) -> Answer:
        for file in (root / "partial").iterdir():
            file.unlink()
        return object_answer(asked, b"body" * MIB)

    with handmade(answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        with pytest.raises(UnsafeRootError, match="s3://models/swept .* deleted"):
            tmpcache.Cache(root).fetch("models", "swept")
