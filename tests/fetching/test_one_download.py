"""One download for all who want the object at the same time, threads or processes."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from support.content import content
from support.processes import crowd, release, spawn, wait_until

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.testing import Bucket

MIB = 1 << 20
BODY = content("body", 3 * MIB)


def test_16_threads_share_one_download(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    barrier = Barrier(16)

    def fetch_and_read(_: int) -> tuple[Path, Outcome]:
        barrier.wait()
        path = cache.fetch("models", "a", max_age=60)
        assert path.read_bytes() == BODY
        return path, path.outcome

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(fetch_and_read, range(16)))
    assert len({path for path, _ in found}) == 1
    assert Counter(outcome for _, outcome in found) == {Outcome.FETCHED: 1, Outcome.HIT: 15}
    assert [get.sent for get in bucket.gets("a")] == [len(BODY)]


def test_8_processes_share_one_download(bucket: Bucket, root: Path) -> None:
    etag = bucket.put("a", BODY)
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB", lock_timeout=30)
        say(); hear()
        path = cache.fetch("models", "a", max_age=60)
        say([path.outcome.name, path.etag, len(path.read_bytes())]); hear()
    """
    with crowd(8, code, root=str(root)) as children:
        release(children)
        found = [child.hear() for child in children]
    assert sorted(found) == [["FETCHED", etag, len(BODY)], *[["HIT", etag, len(BODY)]] * 7]
    assert [get.sent for get in bucket.gets("a")] == [len(BODY)]


def test_threads_that_share_a_failed_download_all_hear_of_it(bucket: Bucket, cache: Cache) -> None:
    barrier = Barrier(8)

    def is_refused(_: int) -> bool:
        barrier.wait()
        try:
            cache.fetch("models", "missing")
        except tmpcache.errors.ObjectNotFoundError as error:
            return error.key == "missing"
        return False

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(is_refused, range(8)))


def test_what_is_published_between_the_look_and_the_lock_is_not_missed(
    bucket: Bucket, cache: Cache, root: Path
) -> None:
    bucket.put("a", BODY)
    code = """
        import os, tmpcache
        opened = os.open
        def late(path, *rest, **options):
            if "/partial/" in str(path):
                os.open = opened
                say("has found nothing"); hear()
            return opened(path, *rest, **options)
        os.open = late
        say(tmpcache.Cache(root, quota="64 MiB").fetch("models", "a", max_age=60).outcome.name)
    """
    with spawn(code, root=str(root)) as late:
        assert late.hear() == "has found nothing"
        assert cache.fetch("models", "a").outcome is Outcome.FETCHED
        late.say()
        assert late.hear() == "HIT"
    assert [get.sent for get in bucket.gets("a")] == [len(BODY)]


@pytest.mark.parametrize("size", [3 * MIB, 10_000])
@pytest.mark.parametrize("call", ["fetch", "fetch_many"])
def test_nobody_comes_between_the_file_and_its_row(
    bucket: Bucket, root: Path, call: str, size: int
) -> None:
    """A partial that is gone because it was renamed, its transaction still open, is no free way."""
    bucket.put("a", BODY[:size])
    code = """
        import os, tmpcache
        rename = os.rename
        def renamed(*paths):
            rename(*paths)
            say("renamed"); hear()
        if index == 0:
            os.rename = renamed
        cache = tmpcache.Cache(root, quota="64 MiB")
        cache.usage()
        say(); hear()
        if call == "fetch":
            path = cache.fetch("models", "a", max_age=60)
        else:
            (path,) = cache.fetch_many("models", ["a"], max_age=60)
        say(path.outcome.name)
    """
    with (
        spawn(code, root=str(root), call=call, index=0) as first,
        spawn(code, root=str(root), call=call, index=1) as second,
    ):
        second.hear()  # it has a cache, for which it writes
        release([first])
        assert first.hear() == "renamed"
        second.say()
        wait_until(lambda: any((root / "partial").iterdir()))  # second has found the way free
        time.sleep(0.2)  # it would ask now
        first.say()
        assert (first.hear(), second.hear()) == ("FETCHED", "HIT")
    assert [get.sent for get in bucket.gets("a")] == [size]
