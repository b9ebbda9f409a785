"""``put-listing`` and ``put-pack``, and ``warm`` of what they wrote, as other machines find it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Terminal, run
from support.fleet import LISTING, PACK, PREFIX, asked, put_objects

from tmpcache import Cache
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED


@pytest.fixture(autouse=True)
def objects(bucket: Bucket) -> None:
    put_objects(bucket, 20)


def size_of(bucket: Bucket, key: str) -> int:
    size: int = bucket.client.head_object(Bucket="models", Key=key)["ContentLength"]
    return size


def test_a_listing_is_put_and_confirms_the_copies_of_another_machine(
    bucket: Bucket, tmp_path: Path
) -> None:
    with Cache(tmp_path / "machine") as cache:
        cache.fetch_prefix("models", "micr/")
    done = run("put-listing", PREFIX)
    assert (done.code, done.rows) == (
        0,
        [[f"s3://models/{LISTING}", "21", str(size_of(bucket, LISTING))]],
    )
    assert done.err.startswith("tmpcache: 21 objects listed in ")
    asked(bucket.server)
    where = {"TMPCACHE_ROOT": str(tmp_path / "machine"), "TMPCACHE_LISTINGS": PREFIX}
    urls = [f"{PREFIX}{number:03}.npz" for number in range(20)]
    assert run("fetch", "--max-age", "600", *urls, **where).code == 0
    assert asked(bucket.server) == {}  # just confirmed by S3 itself
    assert run("fetch", "--max-age", "0.001", urls[0], **where).code == 0


def test_the_json_of_both_has_all(bucket: Bucket) -> None:
    for command, key in (("put-listing", LISTING), ("put-pack", PACK)):
        found = json.loads(run(command, "s3://models/micr", "--json").out)
        etag = bucket.client.head_object(Bucket="models", Key=key)["ETag"]
        assert found.pop("at") > 1_700_000_000
        expected = {"url": f"s3://models/{key}", "objects": 21, "size": size_of(bucket, key)}
        assert found == expected | {"etag": etag}


def test_a_pack_is_put_within_its_limit_and_warms_another_machine(
    bucket: Bucket, tmp_path: Path
) -> None:
    run("fetch", f"{PREFIX}007.npz")
    done = run("put-pack", PREFIX, "--max-bytes", "31 B")
    assert (done.code, done.rows[0][:2]) == (0, [f"s3://models/{PACK}", "10"])
    assert int(done.rows[0][2]) == size_of(bucket, PACK)
    assert done.err.startswith("tmpcache: 10 objects packed (")
    run("put-listing", PREFIX)
    asked(bucket.server)
    done = run("--root", tmp_path / "cold", "warm", PREFIX)
    assert (done.code, done.out) == (0, "")
    assert "10 fetched (" in done.err
    assert asked(bucket.server) == {LISTING: 1, PACK: 1}
    assert f"{PREFIX}007.npz" in run("--root", tmp_path / "cold", "ls", "-q").lines


@pytest.mark.parametrize("source", ["URL", "FILE", "-"])
def test_a_manifest_says_what_is_packed(bucket: Bucket, tmp_path: Path, source: str) -> None:
    with Cache(tmp_path / "other") as other:
        other.fetch_many("models", ["micr/001.npz", "micr/003.npz"])
        document = other.manifest()
    bucket.put("warm.json", document.encode())
    (tmp_path / "warm.json").write_text(document)
    places = {"URL": "s3://models/warm.json", "FILE": str(tmp_path / "warm.json"), "-": "-"}
    done = run("put-pack", PREFIX, "--manifest", places[source], input=document)
    assert (done.code, done.rows[0][1]) == (0, "2")


def test_a_terminal_shows_how_far_it_is() -> None:
    code, shown = Terminal("put-pack", PREFIX).finish()
    assert code == 0
    assert "packing" in shown
    assert "21/21" in shown
    assert "OBJECTS" in shown


@pytest.mark.parametrize(("command", "key"), [("put-listing", LISTING), ("put-pack", PACK)])
def test_what_goes_wrong_has_its_exit_code(bucket: Bucket, command: str, key: str) -> None:
    assert run(command, "models/micr/").code == 2
    assert run(command).code == 2
    assert run(command, "s3://none/").code == 3
    bucket.server.inject(f"/models/{key}", ACCESS_DENIED, method="PUT")
    done = run(command, PREFIX)
    assert (done.code, done.out, len(done.err.splitlines())) == (4, "", 1)
    assert run(command, PREFIX, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9").code == 5
    assert run("put-pack", PREFIX, "--max-bytes", "much").code == 2
    assert run("put-pack", PREFIX, "--manifest", "none.json").code == 1


def test_a_whole_bucket_is_warmed_by_its_name(bucket: Bucket, tmp_path: Path) -> None:
    for number, url in enumerate(["s3://models", "s3://models/"]):
        done = run("--root", tmp_path / str(number), "warm", url)
        assert (done.code, done.err.count("21 fetched")) == (0, 1)
    assert run("put-pack", "s3://models").rows[0][:2] == ["s3://models/.tmpcache-pack", "21"]
    done = run("--root", tmp_path / "2", "warm", "s3://models/.tmpcache-pack")
    assert (done.code, done.err.count("21 fetched")) == (0, 1)


def test_a_machine_that_may_read_nothing_is_told_so(bucket: Bucket) -> None:
    for path in (f"/models/{LISTING}", f"/models/{PACK}", "/models", "/models/"):
        bucket.server.inject(path, ACCESS_DENIED, times=99)
    done = run("warm", PREFIX)
    assert (done.code, done.out) == (4, "")
    assert "refuses" in done.err
