"""The public names: what a user sees of fetch, freshness, reports and closing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import tmpcache
from tmpcache import CachedFile, Outcome
from tmpcache.errors import ConfigError, OriginUnavailableError, TmpCacheError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR


class Clock:
    """Seconds since the epoch, turned by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(root: Path, bucket: Bucket, clock: Clock) -> tmpcache.Cache:
    bucket.put("e13b.npz", b"one")
    return tmpcache.Cache(root, quota="4 MiB", clock=clock)


def test_the_facts_of_a_fetch(cache: tmpcache.Cache, bucket: Bucket) -> None:
    etag = bucket.put("micr/e13b.npz", b"template")
    path = cache.fetch("models", "micr/e13b.npz")
    assert isinstance(path, CachedFile)
    assert path.read_bytes() == b"template"
    assert (path.bucket, path.key, path.etag, path.size) == ("models", "micr/e13b.npz", etag, 8)
    assert (path.outcome, path.version_id, path.suffix) == (Outcome.FETCHED, None, ".npz")
    assert len(path.digest) == 32
    assert path.is_absolute()


def test_without_max_age_every_fetch_asks(cache: tmpcache.Cache, bucket: Bucket) -> None:
    outcomes = [cache.fetch("models", "e13b.npz").outcome for _ in range(3)]
    assert outcomes == [Outcome.FETCHED, Outcome.REVALIDATED, Outcome.REVALIDATED]
    assert [request.status for request in bucket.gets("e13b.npz")] == [200, 304, 304]


def test_a_copy_is_fresh_for_max_age_and_not_a_second_longer(
    cache: tmpcache.Cache, clock: Clock
) -> None:
    def outcome() -> Outcome:
        return cache.fetch("models", "e13b.npz", max_age=60).outcome

    assert outcome() is Outcome.FETCHED
    clock.now += 59
    assert outcome() is Outcome.HIT
    clock.now += 1
    assert outcome() is Outcome.REVALIDATED
    clock.now += 59
    assert outcome() is Outcome.HIT
    clock.now -= 3600  # a clock that was set back makes nothing fresh
    assert outcome() is Outcome.REVALIDATED
    assert outcome() is Outcome.HIT


def test_freshness_is_on_disk(cache: tmpcache.Cache, root: Path, clock: Clock) -> None:
    cache.fetch("models", "e13b.npz")
    clock.now += 30
    other = tmpcache.Cache(root, max_age=60, clock=clock)
    assert other.fetch("models", "e13b.npz").outcome is Outcome.HIT
    assert other.fetch("models", "e13b.npz", max_age=10).outcome is Outcome.REVALIDATED


def test_a_changed_object_is_fetched_and_its_old_copy_stays_whole(
    cache: tmpcache.Cache, bucket: Bucket
) -> None:
    old = cache.fetch("models", "e13b.npz")
    etag = bucket.put("e13b.npz", b"two!")
    new = cache.fetch("models", "e13b.npz")
    assert (new.outcome, new.etag, new.read_bytes()) == (Outcome.FETCHED, etag, b"two!")
    assert old.read_bytes() == b"one"


def test_stale_if_error_bridges_an_outage_for_its_time(
    cache: tmpcache.Cache, bucket: Bucket, clock: Clock
) -> None:
    cache.fetch("models", "e13b.npz")
    bucket.inject("e13b.npz", INTERNAL_ERROR)
    clock.now += 100
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "e13b.npz")
    stale = cache.fetch("models", "e13b.npz", max_age=60, stale_if_error=60)
    assert (stale.outcome, stale.read_bytes()) == (Outcome.STALE, b"one")
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "e13b.npz", max_age=60, stale_if_error=40)
    clock.now += 20
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "e13b.npz", max_age=60, stale_if_error=60)


def test_the_null_version_goes_stale_as_any_object(
    cache: tmpcache.Cache, bucket: Bucket, clock: Clock
) -> None:
    """A bucket whose versioning is off or suspended overwrites it."""
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Suspended"}
    )
    bucket.put("v.bin", b"first")
    first = cache.fetch("models", "v.bin", version_id="null")
    assert (first.outcome, first.read_bytes()) == (Outcome.FETCHED, b"first")
    bucket.put("v.bin", b"second")
    second = cache.fetch("models", "v.bin", version_id="null")
    assert (second.outcome, second.read_bytes()) == (Outcome.FETCHED, b"second")
    later = cache.fetch("models", "v.bin", version_id="null", max_age=60)
    assert later.outcome is Outcome.HIT
    clock.now += 61
    later = cache.fetch("models", "v.bin", version_id="null", max_age=60)
    assert later.outcome is Outcome.REVALIDATED
    put = cache.put("models", "v.bin", b"third")
    assert put.version_id in (None, "null")
    assert cache.fetch("models", "v.bin").outcome is Outcome.REVALIDATED


def test_a_version_never_goes_stale(cache: tmpcache.Cache, bucket: Bucket, clock: Clock) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    versions = [
        bucket.client.put_object(Bucket="models", Key="v.bin", Body=body)["VersionId"]
        for body in (b"first", b"second")
    ]
    bucket.server.forget()
    first = cache.fetch("models", "v.bin", version_id=versions[0])
    latest = cache.fetch("models", "v.bin")
    assert (first.read_bytes(), first.version_id) == (b"first", versions[0])
    assert (latest.read_bytes(), latest.version_id) == (b"second", versions[1])
    clock.now += 10**8
    for _ in range(3):
        assert cache.fetch("models", "v.bin", version_id=versions[0]).outcome is Outcome.HIT
    assert len(bucket.gets("v.bin")) == 2


def test_the_default_cache(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put("a.txt", b"a")
    monkeypatch.setattr(tmpcache, "_default", None)
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    monkeypatch.setenv("TMPCACHE_MAX_AGE", "60")
    path = tmpcache.fetch("models", "a.txt")
    assert path.is_relative_to(root)
    assert tmpcache.fetch("models", "a.txt").outcome is Outcome.HIT
    tmpcache.configure(root=root.parent / "second")
    assert tmpcache.fetch("models", "a.txt", max_age=5).outcome is Outcome.FETCHED
    assert path.exists()
    tmpcache.default_cache().close()


def test_every_public_name_stays_what_it_is_when_all_is_imported() -> None:
    """A submodule of the same name would take a function's place when it is imported."""
    import pkgutil
    import types

    modules = {module.name for module in pkgutil.iter_modules(tmpcache.__path__)}
    assert modules & set(tmpcache.__all__) == {"errors", "events"}
    for name in set(tmpcache.__all__) - {"errors", "events"}:
        assert not isinstance(getattr(tmpcache, name), types.ModuleType)


def test_threads_make_one_default_cache(
    root: Path, monkeypatch: pytest.MonkeyPatch, environment: None
) -> None:
    monkeypatch.setattr(tmpcache, "_default", None)
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    found: list[tmpcache.Cache] = []
    threads = [
        threading.Thread(target=lambda: found.append(tmpcache.default_cache())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_reports(cache: tmpcache.Cache, bucket: Bucket, clock: Clock) -> None:
    bucket.put("b.txt", b"bb")
    first = cache.fetch("models", "e13b.npz")
    cache.fetch("models", "e13b.npz", max_age=60)
    clock.now += 5
    cache.fetch("models", "e13b.npz")
    cache.fetch("models", "b.txt")
    one, two = cache.entries()
    assert (one.bucket, one.key, one.etag, one.size) == ("models", "e13b.npz", first.etag, 3)
    assert (one.path, one.digest, one.allocated) == (Path(first), first.digest, 4096)
    assert (one.validated_at, one.used_at, one.pinned_version) == (clock.now, clock.now, None)
    assert two.key == "b.txt"
    stats = cache.stats()
    assert (stats.hits, stats.revalidated, stats.fetched, stats.stale) == (1, 1, 2, 0)
    assert (stats.bytes_fetched, stats.evicted, dict(stats.damaged)) == (5, 0, {})
    assert cache.usage().leased == 4096
    assert cache.verify().blobs == 2


def test_a_closed_cache_lets_go_but_paths_stay_protected(root: Path, cache: tmpcache.Cache) -> None:
    with cache:
        held = cache.fetch("models", "e13b.npz")
    assert len(list(root.glob("sessions/*"))) == 1
    other = tmpcache.Cache(root, quota="4 MiB")
    other.clear()
    assert held.read_bytes() == b"one"
    held.release()
    del held
    assert other.gc() > 0
    assert cache.fetch("models", "e13b.npz").outcome is Outcome.FETCHED  # it opens again


@pytest.mark.parametrize(
    ("bucket_name", "key", "options"),
    [
        ("", "key", {}),
        ("models", "", {}),
        ("models", None, {}),
        (None, "key", {}),
        ("models", b"key", {}),
        ("models", "key", {"max_age": -1}),
        ("models", "key", {"max_age": "soon"}),
        ("models", "key", {"stale_if_error": float("nan")}),
        ("models", "key", {"version_id": 3}),
        ("not a bucket name", "key", {}),
    ],
)
def test_arguments_that_cannot_be(
    cache: tmpcache.Cache, bucket_name: object, key: object, options: dict[str, object]
) -> None:
    with pytest.raises(ConfigError):
        cache.fetch(bucket_name, key, **options)  # type: ignore[arg-type]
    assert cache.usage().blobs == 0


def test_every_error_is_also_the_builtin_and_survives_pickling() -> None:
    import pickle

    from tmpcache import errors

    builtins = {
        "ConfigError": ValueError,
        "UnsafeRootError": PermissionError,
        "QuotaExceededError": OSError,
        "TooManyFilesError": OSError,
        "DeadlineExceededError": TimeoutError,
        "ObjectNotFoundError": FileNotFoundError,
        "AccessDeniedError": PermissionError,
        "OriginUnavailableError": ConnectionError,
    }
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, TmpCacheError):
            if issubclass(kind, BaseExceptionGroup):  # it has tests of its own
                continue
            error = kind("what happened")
            assert isinstance(error, builtins.get(name, Exception))
            again = pickle.loads(pickle.dumps(error))
            assert type(again) is kind
            assert str(again) == "what happened"
            assert again.__dict__ == error.__dict__
            assert getattr(again, "errno", None) == getattr(error, "errno", None)
