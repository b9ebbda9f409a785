"""Processes that are killed or frozen at any moment keep nobody from going on."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import psutil
import pytest
from support.content import assert_accounts_balance, content, holders
from support.disk import allocated
from support.processes import Child, release, spawn, wait_until
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache, Outcome
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


# ---- the quota --------------------------------------------------------------------------------


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


# ---- kill -------------------------------------------------------------------------------------


def killed_in_the_middle(root: Path, proxy: FaultProxy) -> None:
    """Kill a process that has begun to download `a` and reserved room for it."""
    proxy.set(Trouble(body="stall", after=MIB, times=1))
    with (
        spawn(DOWNLOAD, root=str(root), lock_timeout=30) as child,
        tmpcache.Cache(root, quota="64 MiB") as spectator,
    ):
        child.hear()
        child.say()
        proxy.wait_struck()
        wait_until(lambda: spectator.usage().reserved >= len(BODY))
        child.kill()
    proxy.heal()


def test_a_process_killed_during_a_download_leaves_nothing_in_the_way(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    etag = bucket.put("a", BODY)
    for _ in range(3):
        killed_in_the_middle(root, proxy)
    with spawn(DOWNLOAD, root=str(root), lock_timeout=30) as child:
        child.hear()
        child.say()
        assert child.hear() == ["FETCHED", etag, len(BODY)]
    cache = tmpcache.Cache(root, quota="64 MiB")
    assert len(holders(root, BODY)) == 1
    assert_accounts_balance(cache)


def test_leftovers_of_the_killed_go_when_their_room_is_needed(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    """By themselves: nobody calls `gc`, and the object that was not finished is not asked for."""
    bucket.put("a", BODY)
    bucket.put("b", content("b", 1000))
    killed_in_the_middle(root, proxy)
    cache = tmpcache.Cache(root, quota="64 MiB")
    cache.fetch("models", "b").release()
    assert holders(root, BODY) == []
    assert_accounts_balance(cache)


def test_a_process_killed_at_any_moment_leaves_a_store_that_just_works(
    bucket: Bucket, root: Path
) -> None:
    """Each round a process fetches and evicts as fast as it can until it is killed.

    One parent forks them all, with everything imported; the next one begins where the killed
    left off, and must neither fail nor find less room than there was.
    """
    code = """
        import random, time, tmpcache, boto3
        from support.content import content
        wait = random.Random(3)
        for round in range(rounds):
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                choose, done = random.Random(round), 0
                try:
                    cache = tmpcache.Cache(root, quota=quota)
                    while True:
                        key, size = choose.choice(objects)
                        with cache.fetch("models", key) as path:
                            assert path.read_bytes() == content(key, size)
                        os.write(writing, b".")
                except BaseException as error:
                    os.write(writing, b"!" + repr(error).encode())
                    os._exit(1)
            os.close(writing)
            os.read(reading, 1)
            time.sleep(wait.uniform(0, 0.05))
            os.kill(child, 9)
            os.waitpid(child, 0)
            said = os.read(reading, 1 << 16)
            os.close(reading)
            if b"!" in said:
                say(said.decode())
        say("done")
    """
    objects = churn(bucket, MIB, 60_000)
    with spawn(code, root=str(root), quota=MIB, rounds=40, objects=objects) as child:
        assert child.hear() == "done"
    cache = tmpcache.Cache(root, quota=MIB)
    cache.fetch("models", "o0.bin").release()
    assert_accounts_balance(cache)
    assert cache.verify().damaged == ()
    assert cache.stats().damaged == {}
    sizes = dict(objects)
    for entry in cache.entries():
        assert entry.path.read_bytes() == content(entry.key, sizes[entry.key])
    assert allocated(root) <= MIB


# ---- freeze -----------------------------------------------------------------------------------


def frozen_in_the_middle(child: Child, proxy: FaultProxy, spectator: Cache) -> None:
    """Stop a process that has begun to download `a`; the network is well again afterwards."""
    proxy.set(Trouble(rate=400_000))
    child.hear()
    child.say()
    wait_until(lambda: spectator.usage().reserved >= len(BODY))
    child.stop()
    proxy.heal()


def test_a_frozen_process_does_not_keep_others_waiting(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    etag = bucket.put("a", BODY)
    fetched, hit = ["FETCHED", etag, len(BODY)], ["HIT", etag, len(BODY)]
    cache = tmpcache.Cache(root, quota="64 MiB")
    with (
        spawn(DOWNLOAD, root=str(root), lock_timeout=30) as frozen,
        spawn(DOWNLOAD, root=str(root), lock_timeout=0.3) as other,
    ):
        frozen_in_the_middle(frozen, proxy, cache)
        release([other])
        assert other.hear() == fetched
        frozen.resume()
        assert frozen.hear() == fetched
        assert len(holders(root, BODY)) == 1
        with spawn(DOWNLOAD, root=str(root), lock_timeout=30) as later:
            release([later])
            assert later.hear() == hit
    assert_accounts_balance(cache)


@pytest.mark.parametrize("merged", [False, True], ids=["staged", "merged"])
def test_a_process_that_thaws_does_not_bring_the_past_back(
    bucket: Bucket, root: Path, proxy: FaultProxy, merged: bool
) -> None:
    old = bucket.put("a", BODY)
    cache = tmpcache.Cache(root, quota="64 MiB", lock_timeout=0.3)
    with spawn(DOWNLOAD, root=str(root), lock_timeout=30) as frozen:
        frozen_in_the_middle(frozen, proxy, cache)
        new = bucket.put("a", content("new", 3 * MIB))
        assert cache.fetch("models", "a", max_age=60).etag == new
        if merged:
            assert len(list(cache.entries())) == 1
        frozen.resume()
        assert frozen.hear() == ["FETCHED", old, len(BODY)]  # whole, and true when it was asked
        for one in (cache, tmpcache.Cache(root, quota="64 MiB")):  # that remembers, and that looks
            path = one.fetch("models", "a", max_age=60)
            assert (path.etag, path.outcome) == (new, Outcome.HIT)
        assert [entry.etag for entry in cache.entries()] == [new]
    assert cache.gc() == allocated_for(BODY)  # no object's any more


def allocated_for(body: bytes) -> int:
    """Bytes that a file with this content occupies."""
    return -(-len(body) // 4096) * 4096


def test_who_waits_for_a_download_keeps_no_hold_of_it(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    """Frozen while it waits, it would keep the blocks of what others publish and evict."""
    bucket.put("a", BODY)
    cache = tmpcache.Cache(root, quota="64 MiB")
    wait = """
        import time, tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB", lock_timeout=30)
        def frozen(seconds):
            say("frozen"); hear()
        time.sleep = frozen
        cache.fetch("models", "a", max_age=60)
    """
    proxy.set(Trouble(rate=400_000))
    with spawn(DOWNLOAD, root=str(root), lock_timeout=30) as downloading:
        release([downloading])
        wait_until(lambda: cache.usage().reserved >= len(BODY))
        with spawn(wait, root=str(root)) as waiting:
            assert waiting.hear() == "frozen"  # after it has looked whether the lock is free
            assert partials_open_in(waiting) == 0
            assert partials_open_in(downloading) == 1


def partials_open_in(child: Child) -> int:
    """How many downloads a process has open, its own or another's."""
    return sum("/partial/" in file.path for file in psutil.Process(child.pid).open_files())


def test_a_frozen_process_keeps_what_it_holds(bucket: Bucket, root: Path) -> None:
    for number in range(8):
        bucket.put(str(number), content(number, 300_000))
    code = """
        import tmpcache
        from support.content import content
        path = tmpcache.Cache(root, quota="1 MiB").fetch("models", "0")
        say(str(path))
        hear()
        say(path.read_bytes() == content(0, 300_000))
    """
    cache = tmpcache.Cache(root, quota="1 MiB")
    with spawn(code, root=str(root)) as frozen:
        path = Path(frozen.hear())
        frozen.stop()
        for number in range(1, 8):
            cache.fetch("models", str(number)).release()
        assert path.exists()
        frozen.resume()
        frozen.say()
        assert frozen.hear() is True
        assert frozen.wait() == 0
    for number in range(1, 8):
        cache.fetch("models", str(number)).release()
    assert not path.exists()
    assert_accounts_balance(cache)


def test_a_keyboard_interrupt_during_a_download_leaves_nothing(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.put("b", b"small")
    code = """
        import signal, tmpcache
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cache = tmpcache.Cache(root, quota="64 MiB")
        say()
        try:
            cache.fetch("models", "a")
        except KeyboardInterrupt:
            say([cache.usage().reserved, cache.fetch("models", "b").size])
            hear()
    """
    proxy.set(Trouble(body="stall", after=MIB, times=1))
    with spawn(code, root=str(root)) as child:
        child.hear()
        spectator = tmpcache.Cache(root, quota="64 MiB")
        proxy.wait_struck()
        wait_until(lambda: spectator.usage().reserved >= len(BODY))
        child.signal(signal.SIGINT)
        assert child.hear() == [0, 5]
        assert holders(root, BODY) == []
        child.say()
        assert child.wait() == 0
    assert_accounts_balance(spectator)
