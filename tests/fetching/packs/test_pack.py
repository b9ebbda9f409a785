"""A pack in S3 warms a cold machine with two requests, and is no way to wrong bytes or rights."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from support.content import assert_accounts_balance, content
from support.fleet import LISTING, NOW, PACK, PREFIX, asked, keys, listing, put_objects
from support.processes import spawn

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import ObjectNotFoundError
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import ACCESS_DENIED, Fault

KIB = 1024


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def etags(bucket: Bucket) -> dict[str, str]:
    return put_objects(bucket, 20)


@pytest.fixture
def writer(root: Path, bucket: Bucket, clock: Clock) -> Iterator[Cache]:
    with Cache(root / "writer", clock=clock, quota="64 MiB") as cache:
        yield cache


@pytest.fixture
def cold(root: Path, bucket: Bucket, clock: Clock) -> Iterator[Cache]:
    with Cache(root / "cold", max_age=30, listings=[PREFIX], clock=clock, quota="64 MiB") as cache:
        yield cache


def pack(at: Any, bodies: dict[str, bytes], etags: dict[str, str] | None = None) -> bytes:
    """Return a pack written by hand, which may lie about ETags."""
    named = {key: f'"{md5(body).hexdigest()}"' for key, body in bodies.items()} | (etags or {})
    objects = [
        {"bucket": "models", "key": f"micr/{key}", "etag": named[key], "size": len(body)}
        for key, body in bodies.items()
    ]
    line = json.dumps({"tmpcache-manifest": 1, "at": at, "objects": objects}).encode()
    return line + b"\n" + b"".join(bodies.values())


def test_a_cold_machine_needs_two_requests_for_all(
    writer: Cache, cold: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    writer.put_pack("models", "micr/")
    writer.put_listing(PREFIX)
    asked(bucket.server)
    report = cold.warm(PREFIX)
    assert (report.fetched, report.skipped, report.problems) == (20, 0, ())
    assert asked(bucket.server) == {LISTING: 1, PACK: 1}
    paths = cold.fetch_many("models", keys(etags))
    assert [path.read_bytes() for path in paths] == [b"%03d" % number for number in range(20)]
    assert {path.outcome for path in paths} == {Outcome.HIT}
    assert [path.etag for path in paths] == [*etags.values()]
    assert bucket.server.requests == []
    assert_accounts_balance(cold)
    assert cold.warm(PREFIX).present == 20
    clock.advance(30)
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED


def test_the_hottest_come_first_as_far_as_they_fit(
    writer: Cache, cold: Cache, bucket: Bucket, clock: Clock
) -> None:
    for number in range(6):
        bucket.put(f"micr/{number}", content(number, 10 * KIB))
        writer.fetch("models", f"micr/{number}")
        clock.advance(1)
    writer.put_pack(PREFIX, max_bytes=30 * KIB)
    cold.warm(PREFIX)
    objects = [one["key"] for one in json.loads(cold.manifest())["objects"]]
    assert objects == ["micr/5", "micr/4", "micr/3"]


def test_progress_is_reported_while_it_is_packed(writer: Cache, etags: dict[str, str]) -> None:
    seen: list[tuple[int, int, int]] = []
    writer.put_pack(PREFIX, progress=lambda *now: seen.append(now))
    assert seen == [(done, 20, 3 * done) for done in range(1, 21)]
    with pytest.raises(tmpcache.ConfigError, match="progress=3"):
        writer.put_pack(PREFIX, progress=3)  # type: ignore[arg-type]


def test_a_manifest_says_what_is_packed(
    writer: Cache, cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    objects = [
        {"bucket": "models", "key": key, "etag": "", "size": 3}
        for key in ("micr/007.npz", "elsewhere/a", "micr/003.npz")
    ]
    writer.put_pack(PREFIX, manifest={"tmpcache-manifest": 1, "objects": objects})
    assert cold.warm(f"{PREFIX}.tmpcache-pack").fetched == 2
    assert {entry.key for entry in cold.entries()} == {"micr/007.npz", "micr/003.npz"}


def test_objects_of_several_parts_are_not_packed(
    writer: Cache, cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    client = bucket.client
    upload = client.create_multipart_upload(Bucket="models", Key="micr/parts")["UploadId"]
    part: Any = {"Bucket": "models", "Key": "micr/parts", "UploadId": upload}
    etag = client.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    client.complete_multipart_upload(**part, MultipartUpload=parts)
    writer.put_pack(PREFIX)
    assert cold.warm(PREFIX).fetched == 20


def test_large_bodies_are_unpacked_as_well(writer: Cache, cold: Cache, bucket: Bucket) -> None:
    bodies = {f"{number}.npz": content(number, 3_000_000 + number) for number in range(3)}
    for key, body in bodies.items():
        bucket.put(f"micr/{key}", body)
    writer.put_pack(PREFIX)
    assert cold.warm(PREFIX).fetched == 3
    for key, body in bodies.items():
        assert cold.peek("models", f"micr/{key}").read_bytes() == body  # type: ignore[union-attr]


def test_without_a_pack_all_below_the_prefix_is_fetched(
    cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    assert cold.warm(PREFIX).fetched == 20
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.HIT


def test_a_manifest_in_s3_is_read(
    writer: Cache, cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    writer.fetch("models", "micr/001.npz")
    bucket.put("warm.json", writer.manifest().encode())
    assert cold.warm("s3://models/warm.json").fetched == 1


def test_the_listing_dates_what_it_names(
    cold: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    bodies = {"001.npz": b"001", "002.npz": b"002"}
    bucket.put(PACK, pack(NOW - 86400, bodies))
    bucket.put(LISTING, listing(NOW - 20, {**etags, "002.npz": ""}))
    cold.warm(PREFIX)
    asked(bucket.server)
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    clock.advance(9)
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    assert asked(bucket.server) == {}
    clock.advance(1)
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED


def test_what_a_later_listing_contradicts_is_left_out(
    cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    bucket.put(PACK, pack(NOW - 1, {"001.npz": b"001", "002.npz": b"002", "gone": b"gone"}))
    etags["002.npz"] = bucket.put("micr/002.npz", b"new")
    bucket.put(LISTING, listing(NOW, etags))
    report = cold.warm(PREFIX)
    assert (report.fetched, report.changed) == (1, 2)
    assert cold.fetch("models", "micr/002.npz").read_bytes() == b"new"
    with pytest.raises(ObjectNotFoundError):
        cold.fetch("models", "micr/gone")


TWO = {"001.npz": b"001", "002.npz": b"002"}
SWAPPED = {key: f'"{md5(body).hexdigest()}"' for key, body in zip(TWO, reversed(TWO.values()))}  # noqa: B905
WRONG: dict[str, bytes] = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 40,
    "no line": b"{" * 100_000,
    "deep": b"[" * 200_000 + b"\n",
    "truncated in the line": pack(NOW, TWO)[:40],
    "truncated in a body": pack(NOW, TWO)[:-4],
    "tomorrow": pack(NOW + 86400, TWO),
    "no time": pack(None, TWO),
    "a number too large": pack(10**400, TWO),
    "swapped bodies": pack(NOW, TWO, SWAPPED),
    "a lying MD5": pack(NOW, TWO, {"001.npz": '"%032x"' % 7}),  # noqa: UP031
    "no MD5": pack(NOW, TWO, {"001.npz": '"abc"', "002.npz": ""}),
    "another bucket": pack(NOW, TWO).replace(b"models", b"secret"),
    "another prefix": pack(NOW, TWO).replace(b"micr/", b"rcim/"),
    "our own objects": pack(NOW, {".tmpcache-listing": listing(NOW, {})}),
    "a negative size": pack(NOW, TWO).replace(b'"size": 3', b'"size": -3'),
    "a size too large": pack(NOW, TWO).replace(b'"size": 3', b'"size": 99999999999999'),
    "a size that is none": pack(NOW, TWO).replace(b'"size": 3', b'"size": true'),
    "objects that are none": b'{"tmpcache-manifest": 1, "at": 1, "objects": [3, null, []]}\n',
    "a surrogate": pack(NOW, TWO).replace(b"micr/001", b"micr/\\ud800"),
    "an empty key": pack(NOW, TWO).replace(b"micr/001.npz", b""),
    "twice the same": pack(NOW, TWO).replace(b"micr/002.npz", b"micr/001.npz"),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_is_wrong_with_a_pack_costs_requests(
    name: str, cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    bucket.put(PACK, WRONG[name])
    cold.warm(PREFIX)
    for number, key in enumerate(keys(etags)):
        path = cold.fetch("models", key)
        assert (path.read_bytes(), path.etag) == (b"%03d" % number, etags[f"{number:03}.npz"])
    assert_accounts_balance(cold)
    assert not [*(cold.root / "partial").iterdir()]


def test_what_the_time_is_not_enough_for_is_left_out(
    writer: Cache, cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    writer.put_pack(PREFIX)

    def late(done: int, total: int, received: int) -> None:
        if done == 5:
            time.sleep(2.1)

    report = cold.warm(PREFIX, max_seconds=2, progress=late)
    assert (report.fetched + report.skipped, report.problems) == (20, ())
    assert report.fetched <= 5
    assert cold.warm(PREFIX, max_seconds=0).fetched == 0
    bucket.inject(PACK, Fault(before=lambda: time.sleep(1.5)))
    bucket.server.forget()
    [problem] = cold.warm(PREFIX, max_seconds=0.5).problems
    assert problem.startswith("DeadlineExceededError")
    assert {request.path for request in bucket.server.requests} <= {
        *(f"/models/{key}" for key in (LISTING, PACK))
    }
    assert_accounts_balance(cold)


def test_a_pack_from_tomorrow_is_never_fresh(
    cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    bucket.put(PACK, pack(NOW + 10, TWO))
    assert cold.warm(PREFIX).fetched == 2
    assert cold.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED


def test_a_pack_that_is_refused_gives_nothing(
    cold: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    bucket.put(PACK, pack(NOW, TWO))
    bucket.inject(PACK, ACCESS_DENIED)
    for key in keys(etags):
        bucket.inject(key, ACCESS_DENIED)
    assert cold.warm(PREFIX).denied == 20
    assert not [*cold.entries()]


def test_nothing_is_evicted_for_it_and_the_quota_holds(
    root: Path, writer: Cache, bucket: Bucket, clock: Clock
) -> None:
    for number in range(30):
        bucket.put(f"micr/{number:02}", content(number, 100 * KIB))
    writer.put_pack(PREFIX)
    with Cache(root / "small", quota="2 MiB", clock=clock) as small:
        bucket.put("kept", content(99, 200 * KIB))
        small.fetch("models", "kept")
        report = small.warm(PREFIX)
        assert report.fetched + report.skipped == 30
        assert 10 <= report.fetched < 20
        assert small.peek("models", "kept") is not None
        assert small.usage().used <= 2 * KIB * KIB
        assert small.stats().evicted == 0
        assert_accounts_balance(small)
    with Cache(root / "less", clock=clock, quota="64 MiB") as other:
        assert other.warm(PREFIX, max_bytes=500 * KIB).fetched == 5


def test_space_that_is_to_stay_free_stays_free(
    root: Path, writer: Cache, bucket: Bucket, clock: Clock
) -> None:
    for number in range(30):
        bucket.put(f"micr/{number:02}", content(number, 100 * KIB))
    writer.put_pack(PREFIX)
    free = shutil.disk_usage(root).free
    with Cache(root / "cold", quota="64 MiB", min_free=free * 2, clock=clock) as cache:
        assert cache.warm(PREFIX).skipped == 30


#: Unpacks, and is killed at the given piece that is written.
KILLED = """
import os, signal, tmpcache
from tmpcache.store.downloads.partial_file import Partial
left, write = [kill_at], Partial.write
def counted(self, data, at):
    for start in range(0, len(data), 5000):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, data[start : start + 5000], at + start)
Partial.write = counted
tmpcache.Cache(root, quota="64 MiB").warm("s3://models/micr/")
"""


def test_a_kill_during_unpacking_leaves_a_usable_store(
    root: Path, bucket: Bucket, writer: Cache
) -> None:
    bodies = [content(number, 400 * KIB) for number in range(12)]
    for number, body in enumerate(bodies):
        bucket.put(f"micr/{number:02}", body)
    writer.put_pack(PREFIX)
    for kill_at in (1, 40, 200, 400):
        with spawn(
            KILLED,
            root=str(root / "killed"),
            kill_at=kill_at,
        ) as child:
            assert child.wait() == -signal.SIGKILL
        with Cache(root / "killed", quota="64 MiB") as cache:
            for number, body in enumerate(bodies):
                assert cache.fetch("models", f"micr/{number:02}").read_bytes() == body
            assert_accounts_balance(cache)
            assert cache.verify().damaged == ()
            cache.clear()


def test_a_body_that_was_not_checked_is_never_resumed(root: Path, bucket: Bucket) -> None:
    """A process is killed in a forged body, behind what a download would have recorded."""
    true, forged = content(1, 20_000_000), content(2, 20_000_000)
    bucket.put("micr/a", true)
    bucket.put(PACK, pack(NOW, {"a": forged}, {"a": f'"{md5(true).hexdigest()}"'}))
    with spawn(KILLED, root=str(root), kill_at=19_000_000 // 5000) as child:
        assert child.wait() == -signal.SIGKILL
    with Cache(root, quota="64 MiB") as cache:
        assert cache.fetch("models", "micr/a").read_bytes() == true
        assert cache.stats().bytes_fetched == len(true)


def test_the_default_cache_has_the_verbs(root: Path, bucket: Bucket, etags: dict[str, str]) -> None:
    tmpcache.configure(root=root, max_age=60)
    assert tmpcache.put_pack("models", "micr/", max_bytes="1 MB").key == PACK
    tmpcache.default_cache().clear()
    assert tmpcache.warm(PREFIX).fetched == 20
