"""Coroutines: the event loop goes on, and a task that is cancelled ends its transfer."""

from __future__ import annotations

import asyncio
import inspect
import threading
from pathlib import Path

import pytest
from support.content import content
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import ObjectNotFoundError
from tmpcache.fetching.threads import _MAX_THREADS
from tmpcache.testing import Bucket
from tmpcache.testing.faults import Fault

MIB = 1 << 20
LARGE = content("large", 20 * MIB)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> Cache:
    for key in ("a", "b"):
        bucket.put(key, key.encode() * 1000)
    return Cache(root, max_age=60, quota="64 MiB")


def test_each_method_has_a_coroutine(cache: Cache, bucket: Bucket) -> None:
    async def main() -> None:
        path = await cache.afetch("s3://models/a")
        assert (path.read_bytes(), path.outcome) == (b"a" * 1000, Outcome.FETCHED)
        both = await cache.afetch_many("models", ["a", "b"])
        assert [one.outcome for one in both] == [Outcome.HIT, Outcome.FETCHED]
        assert await cache.aload("models", "b", lambda file: file.size) == 1000
        assert (await cache.aput("models", "c", b"new")).read_bytes() == b"new"
        with pytest.raises(ObjectNotFoundError):
            await cache.afetch("models", "missing")
        async with cache.scratch() as work:
            image = work.fetch("models", "a")
        assert not Path(work).exists()
        assert not Path(image).exists()

    asyncio.run(main())
    assert bucket.client.get_object(Bucket="models", Key="c")["Body"].read() == b"new"


def test_the_default_cache_has_them_too(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmpcache, "_default", cache)
    assert asyncio.run(tmpcache.afetch("models", "a")).read_bytes() == b"a" * 1000
    for name in ("fetch", "fetch_many", "load", "put"):
        for of in (tmpcache, Cache):
            coroutine, plain = getattr(of, f"a{name}"), getattr(of, name)
            assert inspect.iscoroutinefunction(coroutine)
            assert coroutine.__name__ == f"a{name}"
            parameters = (inspect.signature(one).parameters for one in (coroutine, plain))
            assert len({tuple(map(str, some.values())) for some in parameters}) == 1


def test_requests_wait_at_the_same_time_and_the_loop_goes_on(cache: Cache, bucket: Bucket) -> None:
    """No request is answered before all have arrived, so one after the other would never end."""
    together = threading.Barrier(9)
    for key in "0123456789"[:8]:
        bucket.put(key, b"x")
        bucket.inject(key, Fault(before=lambda: together.wait(60)))

    async def main() -> None:
        fetches = asyncio.gather(*(cache.afetch("models", key) for key in "01234567"))
        while together.n_waiting < 8:
            await asyncio.sleep(0.01)
        together.wait()
        assert len(await fetches) == 8

    asyncio.run(main())


def test_threads_are_bounded(cache: Cache) -> None:
    async def main() -> None:
        await asyncio.gather(*(cache.afetch("models", "a") for _ in range(200)))
        names = [one.name for one in threading.enumerate() if one.name.startswith("tmpcache")]
        assert len(names) <= _MAX_THREADS

    asyncio.run(main())


def test_a_task_that_is_cancelled_ends_the_transfer_and_the_next_one_resumes_it(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("large", LARGE)
    cache = Cache(root, quota="64 MiB")
    proxy.set(Trouble(body="stall", after=12 * MIB))

    async def main() -> None:
        task = asyncio.create_task(cache.afetch("models", "large"))
        await asyncio.to_thread(proxy.wait_struck)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = threading.active_count()
    asyncio.run(main())
    assert cache.usage().leased == 0
    assert threading.active_count() - before <= _MAX_THREADS
    proxy.heal()
    bucket.server.forget()
    assert cache.fetch("models", "large").read_bytes() == LARGE
    ranges = [get.range or "" for get in bucket.gets("large")]
    assert ranges
    assert min(int(one.removeprefix("bytes=").split("-")[0]) for one in ranges) >= 8 * MIB


def test_a_task_that_is_cancelled_before_it_began_sends_no_request(
    cache: Cache, bucket: Bucket
) -> None:
    bucket.server.forget()

    async def main() -> None:
        tasks = [asyncio.create_task(cache.afetch("models", "a")) for _ in range(3)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert not bucket.server.requests


def test_a_task_that_waits_for_a_thread_is_cancelled_at_once(cache: Cache, bucket: Bucket) -> None:
    """All threads are at work, and go on: none would ever be free for it."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def stall() -> None:
        begun.release()
        go_on.wait(60)

    bucket.inject("a", Fault(before=stall))

    async def main() -> None:
        busy = [
            asyncio.create_task(cache.afetch("models", "a", version_id=str(number)))
            for number in range(_MAX_THREADS)
        ]
        for _ in busy:
            await asyncio.to_thread(begun.acquire)
        waiting = asyncio.create_task(cache.afetch("models", "b"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not any(task.done() for task in busy)
        go_on.set()
        await asyncio.gather(*busy, return_exceptions=True)

    asyncio.run(main())
    assert not bucket.gets("b")


def test_a_loader_that_fails_later_does_not_take_the_place_of_the_cancellation(
    cache: Cache,
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def loader(path: object) -> None:
        begun.set()
        go_on.wait(60)
        raise ValueError("too late")

    async def main() -> None:
        task = asyncio.create_task(cache.aload("models", "a", loader))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
