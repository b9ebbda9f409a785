"""One large object over several connections: whole, of one version, or not at all."""

from __future__ import annotations

import os
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from zlib import crc32

import pytest
import xxhash
from support.content import assert_accounts_balance, assert_nothing_is_left, content
from support.origins import through_both_readers
from support.processes import spawn
from support.proxy import FaultProxy, Trouble
from support.shelf import Shelf

from tmpcache import Cache
from tmpcache.errors import (
    IntegrityError,
    ObjectChangedError,
    OriginUnavailableError,
    QuotaExceededError,
)
from tmpcache.origin.transfer.connection_count import FIRST_COUNT as CONNECTIONS
from tmpcache.store.downloads.partial_file import Partial
from tmpcache.testing import Bucket
from tmpcache.testing.faults import (
    IGNORE_IF_MATCH,
    IGNORE_RANGE,
    SLOW_DOWN,
    WRONG_CHECKSUM,
    WRONG_CONTENT_RANGE,
    Fault,
)

pytestmark = through_both_readers

MIB = 1 << 20
BODY, OTHER = content("large", 40 * MIB), content("other", 40 * MIB)
QUOTA = "200 MiB"

#: As slow as a connection to S3: not enough for a large object.
SLOW = Trouble(rate=40e6)


@pytest.fixture
def cache(root: Path, bucket: Bucket, proxy: FaultProxy) -> Iterator[Cache]:
    """A cache behind a slow network that tries everything once; no thread survives a call."""
    proxy.set(SLOW)
    bucket.put("a", BODY)
    bucket.server.forget()
    with Cache(root, quota=QUOTA) as cache:
        yield cache
    assert "tmpcache connection" not in [thread.name for thread in threading.enumerate()]


def overwrite(bucket: Bucket, body: bytes = OTHER) -> Fault:
    """Right before the answer, the object gets other content."""
    return Fault(before=lambda: bucket.put("a", body))


def test_the_rest_comes_with_ranges_of_the_version_that_the_first_response_began(
    bucket: Bucket, cache: Cache
) -> None:
    path = cache.fetch("models", "a")
    assert path.read_bytes() == BODY
    assert path.digest == xxhash.xxh3_128_hexdigest(BODY)
    first, *others = bucket.gets("a")
    assert (first.range, first.etag_required) == (None, None)
    assert len(others) >= 2
    assert {(get.status, get.etag_required) for get in others} == {(206, path.etag)}
    assert cache.stats().bytes_fetched == len(BODY)
    path.release()
    assert_accounts_balance(cache)


def test_never_more_connections_than_announced(cache: Cache, proxy: FaultProxy) -> None:
    most = 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, proxy.open_links())

    done = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    cache.fetch("models", "a")
    done.set()
    watcher.join()
    assert 2 < most <= CONNECTIONS + 1  # the first one is closed while its successor opens


def test_a_fast_first_response_is_read_to_its_end(
    bucket: Bucket, cache: Cache, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.origin.transfer.range_reader._FAST", 0.0)
    assert cache.fetch("models", "a").read_bytes() == BODY
    assert [get.status for get in bucket.gets("a")] == [200]


def test_a_part_that_fails_for_good_keeps_the_others(bucket: Bucket, cache: Cache) -> None:
    body = content("larger", (CONNECTIONS + 3) * 8 * MIB)
    bucket.put("a", body)
    bucket.inject("a", SLOW_DOWN, skip=CONNECTIONS)
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a"):
        cache.fetch("models", "a")
    bucket.server.heal()
    bucket.server.forget()
    path = cache.fetch("models", "a")
    assert path.read_bytes() == body
    assert {get.etag_required for get in bucket.gets("a")} == {path.etag}
    assert sum(get.sent for get in bucket.gets("a")) <= len(body) // 2


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_an_object_replaced_in_the_middle_is_read_anew(
    bucket: Bucket, cache: Cache, skip: int
) -> None:
    bucket.inject("a", overwrite(bucket), skip=skip, times=1)
    path = cache.fetch("models", "a")
    assert path.read_bytes() == OTHER
    assert 412 in [get.status for get in bucket.gets("a")]


def test_an_object_that_is_replaced_again_and_again_is_read_in_one(
    bucket: Bucket, cache: Cache
) -> None:
    bodies = iter([OTHER, BODY] * 50)
    swap = Fault(before=lambda: bucket.put("a", next(bodies)))
    bucket.inject("a", swap, skip=1)
    assert cache.fetch("models", "a").read_bytes() in (BODY, OTHER)
    assert [get.range for get in bucket.gets("a")].count(None) == 2


def test_a_server_that_ignores_if_match_gives_no_mixture(bucket: Bucket, cache: Cache) -> None:
    bucket.inject("a", overwrite(bucket), skip=1, times=1)
    bucket.inject("a", IGNORE_IF_MATCH)
    assert cache.fetch("models", "a").read_bytes() == OTHER


def test_a_server_that_ignores_ranges_sends_it_in_one(bucket: Bucket, cache: Cache) -> None:
    bucket.inject("a", IGNORE_RANGE)
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_a_server_that_ignores_ranges_once_is_believed(bucket: Bucket, cache: Cache) -> None:
    bucket.inject("a", IGNORE_RANGE, skip=2, times=1)
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_bytes_from_another_place_are_not_taken(bucket: Bucket, cache: Cache) -> None:
    bucket.inject("a", WRONG_CONTENT_RANGE)
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_a_range_that_is_not_there_means_another_object(bucket: Bucket, cache: Cache) -> None:
    gone = Fault(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, code="InvalidRange")
    bucket.inject("a", gone, skip=1, times=1)
    assert cache.fetch("models", "a").read_bytes() == BODY
    bucket.put("a", OTHER)
    bucket.inject("a", gone, skip=1)
    with pytest.raises(ObjectChangedError, match="416"):
        cache.fetch("models", "a")
    assert_nothing_is_left(cache, OTHER)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_part_that_is_cut_goes_on_where_it_was(cache: Cache, proxy: FaultProxy, how: str) -> None:
    proxy.set(Trouble(body=how, after=3 * MIB, times=6, rate=40e6))  # type: ignore[arg-type]
    assert cache.fetch("models", "a").read_bytes() == BODY
    assert cache.stats().bytes_fetched < len(BODY) + 6 * MIB


def test_a_slow_first_byte_is_waited_for(cache: Cache, proxy: FaultProxy) -> None:
    proxy.set(Trouble(latency=0.3, rate=40e6))
    assert cache.fetch("models", "a").read_bytes() == BODY


# ---- kill and resume ---------------------------------------------------------------------------


KILLED = """
    import os, signal, threading, tmpcache
    write, left = os.pwrite, limit
    def counted(fd, data, at):
        global left
        left -= len(data)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(fd, data, at)
    os.pwrite = counted
    tmpcache.Cache(root, quota=quota).fetch("models", "a")
"""

#: So slow that a note is written before much more has come, however busy the machine is.
NOTED = Trouble(rate=8e6)


def test_killed_between_any_two_parts_and_gone_on_with(
    bucket: Bucket, cache: Cache, proxy: FaultProxy
) -> None:
    proxy.set(NOTED)
    kills = [9 * MIB, 10 * MIB, 12 * MIB]
    for limit in kills:
        with spawn(KILLED, root=str(cache.root), quota=QUOTA, limit=limit) as child:
            assert child.wait() == -9
    path = cache.fetch("models", "a")
    assert path.read_bytes() == BODY
    again = sum(kills) + cache.stats().bytes_fetched - len(BODY)
    assert again <= len(kills) * 9 * MIB, "more is lost by a kill than what was not noted yet"
    assert cache.stats().bytes_fetched <= len(BODY) - 3 * MIB
    path.release()
    assert_accounts_balance(cache)


def test_two_processes_that_go_on_with_one_download_bring_the_rest_once(
    bucket: Bucket, cache: Cache, proxy: FaultProxy
) -> None:
    proxy.set(NOTED)
    with spawn(KILLED, root=str(cache.root), quota=QUOTA, limit=20 * MIB) as child:
        assert child.wait() == -9
    bucket.server.forget()
    code = """
        import hashlib, tmpcache
        cache = tmpcache.Cache(root, quota=quota)
        say("ready"); hear()
        path = cache.fetch("models", "a")
        say([hashlib.sha256(path.read_bytes()).hexdigest(), cache.stats().bytes_fetched])
    """
    with (
        spawn(code, root=str(cache.root), quota=QUOTA) as one,
        spawn(code, root=str(cache.root), quota=QUOTA) as two,
    ):
        for child in (one, two):
            child.hear()
        for child in (one, two):
            child.say()
        (first, some), (second, more) = one.hear(), two.hear()
    assert first == second
    assert 0 < some + more <= 30 * MIB
    assert min(some, more) == 0
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_no_connection_waits_long_for_what_others_brought_to_be_hashed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who brings the byte that all others waited for reads on, before all of theirs is hashed."""
    read_again, write = os.preadv, Partial.write
    count, counts = [0], []

    def noted_read(fd: int, buffers: list[memoryview], at: int) -> int:
        count[0] += (found := read_again(fd, buffers, at))
        return found

    def noted_write(partial: Partial, data: memoryview, at: int) -> None:
        count[0] = 0
        write(partial, data, at)
        if threading.current_thread() is threading.main_thread():
            counts.append(count[0])

    def pace(key: str, at: int, halted: threading.Event) -> None:
        """The first part goes slowly until the others begin, and on when they have ended."""
        names = [thread.name for thread in threading.enumerate()]
        if threading.current_thread() is threading.main_thread() and at <= MIB:
            time.sleep(0.05)
            while at == MIB and "tmpcache connection" in names:
                names = [thread.name for thread in threading.enumerate()]

    monkeypatch.setattr(os, "preadv", noted_read)
    monkeypatch.setattr(Partial, "write", noted_write)
    shelf = Shelf({"a": BODY})
    shelf.pace = pace
    with Cache(root, quota=QUOTA, origin=shelf) as cache:
        assert cache.fetch("models", "a").read_bytes() == BODY
    assert max(counts) == 2 * MIB


# ---- the disk ------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_in_the_middle_is_said_and_nothing_is_left(
    bucket: Bucket, small_disk: Callable[[str], Path], proxy: FaultProxy
) -> None:
    disk = small_disk("size=64m")
    bucket.put("a", BODY)
    proxy.set(SLOW)
    cache = Cache(disk / "cache", quota="60 MiB")
    hog = disk / "hog"

    def fill() -> None:
        with hog.open("wb") as file:
            file.write(bytes(40 * MIB))

    bucket.inject("a", Fault(before=fill), times=1)  # before room is taken, after it was measured
    with pytest.raises(QuotaExceededError, match="free space on it"):
        cache.fetch("models", "a")
    assert_nothing_is_left(cache, BODY)
    hog.unlink()
    assert cache.fetch("models", "a").read_bytes() == BODY


# ---- checksums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_the_whole_is_verified_by_the_checksum_that_came_with_the_first_part(
    bucket: Bucket, cache: Cache, algorithm: str
) -> None:
    s3 = bucket.server.client()
    s3.put_object(Bucket="models", Key="a", Body=OTHER, ChecksumAlgorithm=algorithm)  # type: ignore[arg-type]
    assert cache.fetch("models", "a").read_bytes() == OTHER


def test_bytes_that_do_not_fit_the_checksum_are_not_published(bucket: Bucket, cache: Cache) -> None:
    bucket.inject("a", WRONG_CHECKSUM)
    with pytest.raises(IntegrityError, match="crc32:AAAAAA== was announced"):
        cache.fetch("models", "a")
    assert_nothing_is_left(cache, BODY)


def test_a_checksum_outlives_a_kill(bucket: Bucket, cache: Cache, proxy: FaultProxy) -> None:
    proxy.set(NOTED)
    right = b64encode(crc32(BODY).to_bytes(4, "big")).decode()
    bucket.inject("a", WRONG_CHECKSUM, times=1)  # told to the process that is killed
    with spawn(KILLED, root=str(cache.root), quota=QUOTA, limit=20 * MIB) as child:
        assert child.wait() == -9
    with pytest.raises(IntegrityError, match=f"crc32:{right} came"):
        cache.fetch("models", "a")
    assert cache.fetch("models", "a").read_bytes() == BODY
