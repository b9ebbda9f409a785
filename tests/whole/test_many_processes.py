"""Many threads and processes on one root, forked, frozen and killed at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.content import assert_accounts_balance, content
from support.disk import Sampler, allocated, occupied
from support.processes import crowd, release, spawn, wait_until
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache.testing import Bucket

MIB = 1 << 20
BODY = content("body", 3 * MIB)

#: Downloads one object that is in the way of a fault, and says so first.
DOWNLOAD = """
    import tmpcache
    cache = tmpcache.Cache(root, quota="64 MiB", lock_timeout=lock_timeout)
    say()
    hear()
    path = cache.fetch("models", "a", max_age=60)
    say([path.outcome.name, path.etag, len(path.read_bytes())])
    hear()
"""


# ---- one root ------------------------------------------------------------------------------------


def test_processes_that_begin_together_make_one_root(tmp_path: Path) -> None:
    code = """
        import tmpcache
        from support.anywhere import MemoryOrigin
        origin = MemoryOrigin()
        for number in range(rounds):
            say()
            hear()
            with tmpcache.Cache(f"{root}-{number}", quota="1 MiB", origin=origin) as cache:
                assert cache.fetch("b", "5000-a").read_bytes() == origin.content("5000-a")
        say([cache.usage().objects, cache.stats().damaged])
    """
    with crowd(4, code, root=str(tmp_path / "cache"), rounds=40) as children:
        for _ in range(40):
            release(children)
        assert [child.hear() for child in children] == [[1, {}]] * 4
    for root in tmp_path.glob("cache-*"):
        assert (root / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172")


def test_a_reader_never_sees_a_half_written_file(bucket: Bucket, root: Path) -> None:
    """While the object is replaced all the time, each path holds one version, as its ETag says."""
    code = """
        import hashlib, tmpcache
        cache = tmpcache.Cache(root, quota="16 MiB")
        say()
        hear()
        seen = set()
        for _ in range(25):
            with cache.fetch("models", "a") as path:
                body = path.read_bytes()
            assert path.etag.strip('"') == hashlib.md5(body).hexdigest(), "mixed or cut"
            assert len(body) == path.size
            seen.add(path.etag)
        say(len(seen))
    """
    versions = [content(version, 600_000 + 50_000 * version) for version in range(4)]
    # moto closes what was replaced while it is still being read, unless it keeps versions.
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    bucket.put("a", versions[0])
    with crowd(4, code, root=str(root)) as children:
        release(children)
        for version in range(1, 30):
            bucket.put("a", versions[version % 4])
        assert max(child.hear() for child in children) >= 1
    assert_accounts_balance(tmpcache.Cache(root, quota="16 MiB"))


# ---- the quota --------------------------------------------------------------------------------


#: Fetches objects of all sizes in an order of its own, and checks every byte.
CHURN = """
    import random, tmpcache
    from support.content import content
    cache = tmpcache.Cache(root, quota=quota)
    say()
    hear()
    choose, refused = random.Random(index), 0
    for _ in range(rounds):
        key, size = choose.choice(objects)
        try:
            with cache.fetch("models", key) as path:
                assert path.read_bytes() == content(key, size)
        except tmpcache.errors.QuotaExceededError:
            refused += 1
    say([refused, cache.stats().evicted])
"""


def churn(bucket: Bucket, quota: int, largest: int) -> list[tuple[str, int]]:
    """Objects of five times the quota in all, small and large."""
    choose, total = random.Random(1), 0
    objects: list[tuple[str, int]] = []
    while total < 5 * quota:
        size = choose.choice([0, 1, 5000, largest // 4, largest // 2, largest])
        objects.append((f"o{len(objects)}.bin", size))
        total += size
    for key, size in objects:
        bucket.put(key, content(key, size))
    return objects


SMALL = [pytest.param(MIB, 60_000, 40, id="1M"), pytest.param(16 * MIB, 900_000, 30, id="16M")]

#: With ample room at first, when new rows are staged.
ROOMY = pytest.param(64 * MIB, 3_000_000, 30, id="64M")


@pytest.mark.parametrize(("quota", "largest", "rounds"), [*SMALL, ROOMY])
def test_8_processes_never_exceed_the_quota_together(
    bucket: Bucket, root: Path, quota: int, largest: int, rounds: int
) -> None:
    names = {"quota": quota, "rounds": rounds, "objects": churn(bucket, quota, largest)}
    with crowd(8, CHURN, root=str(root), **names) as children:
        release(children)
        with Sampler(lambda: allocated(root), children) as sampler:
            found = [child.hear() for child in children]
        assert sampler.peak <= quota
        assert sampler.samples > 20
        assert sum(refused for refused, _ in found) <= 8 * rounds // 20
        assert sum(evicted for _, evicted in found) > 0
    assert_accounts_balance(tmpcache.Cache(root, quota=quota))


@pytest.mark.parametrize(("quota", "largest", "rounds"), SMALL)
def test_the_file_system_agrees_at_every_instant(
    bucket: Bucket, small_disk: Callable[[str], Path], quota: int, largest: int, rounds: int
) -> None:
    """A file system of the cache's own says how full it is, in one number, while all run."""
    disk = small_disk("size=64m")
    names = {"quota": quota, "rounds": rounds, "objects": churn(bucket, quota, largest)}
    with crowd(8, CHURN, root=str(disk), **names) as children:
        release(children)
        with Sampler(lambda: occupied(disk)) as sampler:
            found = [child.hear() for child in children]
    assert sampler.peak <= quota
    assert sum(refused for refused, _ in found) <= 8 * rounds // 20


# ---- fork -------------------------------------------------------------------------------------


def test_a_forked_child_fetches_and_keeps_what_it_inherited(bucket: Bucket, root: Path) -> None:
    bucket.put("held", content("held", 300_000))
    for number in range(6):
        bucket.put(str(number), content(number, 300_000))
    code = """
        import tmpcache
        from support.content import content
        cache = tmpcache.Cache(root, quota="1 MiB")
        held = cache.fetch("models", "held")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(reading, 1)  # until the parent has let go and filled the quota
            right = held.read_bytes() == content("held", 300_000)
            right &= cache.fetch("models", "5").read_bytes() == content(5, 300_000)
            right &= cache.fetch("models", "held", max_age=60).outcome.name == "HIT"
            os._exit(0 if right else 1)
        held.release()
        for number in range(5):
            cache.fetch("models", str(number)).release()
        inherited = held.exists()
        os.write(writing, b".")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for number in range(5):
            cache.fetch("models", str(number)).release()
        say([inherited, status, held.exists()])
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear() == [True, 0, False]
    assert_accounts_balance(tmpcache.Cache(root, quota="1 MiB"))


def test_a_fork_during_another_threads_download_hangs_nobody(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    """The child has neither the thread nor its locks, and must not wait for either."""
    bucket.put("a", BODY)
    bucket.put("b", b"small")
    code = """
        import threading, tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB", lock_timeout=0.2)
        cache.fetch("models", "b").release()
        thread = threading.Thread(target=lambda: cache.fetch("models", "a").release())
        thread.start()
        say()
        hear()
        child = os.fork()
        if child == 0:
            fetched = [cache.fetch("models", key).size for key in ("b", "a")]
            os._exit(0 if fetched == [5, size] else 1)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        hear()
        thread.join()
        say(cache.fetch("models", "a").outcome.name)
    """
    proxy.set(Trouble(rate=200_000))
    with spawn(code, root=str(root), size=len(BODY)) as child:
        child.hear()
        spectator = tmpcache.Cache(root, quota="64 MiB")
        wait_until(lambda: spectator.usage().reserved > 0)
        # The thread's download goes on slowly, so that the child finds the lock taken.
        child.say()
        wait_until(lambda: len(bucket.gets("b")) == 2)
        proxy.heal()
        assert child.hear() == 0
        child.say()
        assert child.hear() == "REVALIDATED"
    assert_accounts_balance(spectator)


def test_a_child_does_not_keep_its_dead_parents_download_locked(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    etag = bucket.put("a", BODY)
    code = """
        import threading, tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB")
        threading.Thread(target=lambda: cache.fetch("models", "a")).start()
        hear()
        if os.fork() == 0:
            say()
            hear()  # lives on until the test ends
            os._exit(0)
        hear()
    """
    proxy.set(Trouble(rate=200_000))
    with spawn(code, root=str(root)) as parent:
        spectator = tmpcache.Cache(root, quota="64 MiB")
        wait_until(lambda: spectator.usage().reserved > 0)
        parent.say()
        parent.hear()
        parent.kill()
        proxy.heal()
        with spawn(DOWNLOAD, root=str(root), lock_timeout=3600) as other:
            release([other])
            assert other.hear() == ["FETCHED", etag, len(BODY)]
