"""``tmpcache doctor``: each fault is found, and what is said about it helps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
from support.commands import Terminal, run
from support.fleet import listing
from support.shelf import Shelf
from support.wire import Wire

import tmpcache
from tmpcache.store.diagnosis import file_system, mounted_at
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED


def doctor(*arguments: str, **env: str) -> tuple[int, dict[str, tuple[bool | None, str, str]]]:
    """Return the exit code, and for each subject whether it is well, what was found, the advice."""
    done = run("doctor", "--json", *arguments, **env)
    findings = json.loads(done.out)
    return done.code, {
        one["subject"]: (one["is_well"], one["found"], one["advice"]) for one in findings
    }


def test_where_all_is_well_nothing_is_to_be_done(root: Path, bucket: Bucket) -> None:
    code, found = doctor("s3://models/micr/e13b.npz")
    assert code == 0
    assert not [name for name, (is_well, _, _) in found.items() if is_well is False]
    assert not [advice for _, _, advice in found.values() if advice]
    expected = "root, owner, file system, locks, index locks, hard links, reflinks, file times"
    expected += ", index, free space, credentials, origin, endpoint, clock, bucket"
    assert list(found) == expected.split(", ")
    assert found["origin"][1] == "direct: all is plain"
    assert found["credentials"][1] == "access key …ting, from the environment"
    assert bucket.server.endpoint in found["endpoint"][1]
    assert "testing" not in str(found["credentials"])


def test_it_fetches_and_evicts_nothing(root: Path) -> None:
    with tmpcache.Cache(root, quota="2 MiB", origin=Shelf({"k": bytes(900_000)})) as cache:
        cache.fetch("models", "k")
    assert doctor("s3://models/")[0] == 0
    assert len(run("ls").lines) == 1
    assert not [*(root / "scratch").glob("*/*")]


def test_signs_in_a_pipe_and_on_a_terminal() -> None:
    done = run("doctor")
    assert (done.code, done.err) == (0, "")
    assert done.rows[0][:2] == ["✓", "root"]
    assert {len(row) for row in done.rows} == {4}
    terminal = Terminal("doctor", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    code, shown = terminal.finish()
    assert code == 1
    assert "✗ endpoint     http://127.0.0.1:9 does not answer" in shown
    assert "→ check network" in shown
    assert "\x1b[31m✗" in terminal.raw


def test_a_root_that_others_may_enter(root: Path) -> None:
    root.mkdir(mode=0o755)
    code, found = doctor()
    assert code == 1
    assert found["root"][0] is False
    assert f"chmod 700 {root}" in found["root"][1]
    assert "locks" not in found
    assert found["endpoint"][0] is True


def test_credentials_endpoint_and_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor(TMPCACHE_ORIGIN="ftp")[1]["origin"][0] is False
    assert doctor(TMPCACHE_ORIGIN="boto3")[1]["origin"][1] == "boto3: TMPCACHE_ORIGIN says so"
    _, found = doctor(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9", AWS_CSM_PORT="1")
    assert found["origin"][1] == "boto3: AWS_CSM_PORT"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    code, found = doctor()
    assert code == 1
    assert found["credentials"][:2] == (False, "none are found")
    assert "AWS_ACCESS_KEY_ID" in found["credentials"][2]


def test_a_cache_that_is_offline_asks_nothing(bucket: Bucket) -> None:
    code, found = doctor("s3://models/", TMPCACHE_OFFLINE="1")
    assert code == 0
    assert found["origin"][1] == "offline: S3 is never asked (TMPCACHE_OFFLINE)"
    assert bucket.server.requests == []


def test_an_endpoint_behind_a_proxy_is_not_tried() -> None:
    _, found = doctor(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert found["endpoint"][0] is None
    assert found["origin"][1] == "boto3: a proxy"


def test_a_bucket_that_is_not_there_and_one_that_is_denied(bucket: Bucket) -> None:
    code, found = doctor("s3://none")
    assert (code, found["bucket"][0]) == (1, False)
    bucket.inject("micr/e13b.npz", ACCESS_DENIED)
    code, found = doctor("s3://models/micr/e13b.npz")
    assert (code, found["bucket"][0]) == (1, False)
    assert "s3:GetObject" in found["bucket"][1]
    assert doctor("s3://models/empty/")[1]["bucket"][1].endswith("and nothing is there")


def test_a_clock_that_is_wrong() -> None:
    date = formatdate(time() + 3600, usegmt=True)
    wire = Wire()
    wire.answer = lambda: f"HTTP/1.1 403 No\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
    code, found = doctor(AWS_ENDPOINT_URL_S3=wire.endpoint)
    wire.stop()
    assert code == 1
    assert found["endpoint"][0] is True
    assert found["clock"][0] is False
    assert "behind the server's" in found["clock"][1]


def listings(*prefixes: str, **env: str) -> tuple[int, list[list[str]]]:
    """Return the exit code, and the lines about the listings of some prefixes."""
    urls = " ".join(f"s3://models/{prefix}" for prefix in prefixes)
    done = run("doctor", TMPCACHE_LISTINGS=urls, **{"TMPCACHE_MAX_AGE": "60", **env})
    return done.code, [row for row in done.rows if row[1] == "listing"]


def test_the_age_of_each_listing(bucket: Bucket, root: Path) -> None:
    bucket.put("micr/.tmpcache-listing", listing(time() - 12, {"a": "b"}))
    bucket.put("ocr/.tmpcache-listing", listing(time() - 3610, {}))
    code, [good, old] = listings("micr/", "ocr/")
    assert code == 1
    assert re.fullmatch("s3://models/micr/: 1[2-9] s old, 1 objects", good[2])
    assert (good[0], good[3], old[0]) == ("✓", "", "✗")
    assert old[2].startswith("s3://models/ocr/: too old (361")
    assert "every half of max_age (60 s)" in old[3]
    assert run("ls").lines == []
    assert listings("micr/")[0] == 0


@pytest.mark.parametrize(
    ("content", "reason", "advice"),
    [
        (None, "missing", "tmpcache put-listing s3://models/micr/"),
        (b"garbage", "garbage", "put it anew"),
        (b" " * (17 << 20), "too large", "each prefix below"),
        (listing(1e12, {}), "from the future", "NTP"),
    ],
)
def test_a_listing_that_cannot_be_used(
    bucket: Bucket, content: bytes | None, reason: str, advice: str
) -> None:
    if content is not None:
        bucket.put("micr/.tmpcache-listing", content)
    code, [line] = listings("micr/")
    assert (code, line[0]) == (1, "✗")
    assert line[2].startswith(f"s3://models/micr/: {reason}")
    assert advice in line[3]


def test_a_listing_that_is_refused_not_used_or_not_asked_for(bucket: Bucket) -> None:
    bucket.put("micr/.tmpcache-listing", listing(time() - 12, {}))
    code, [line] = listings("micr/", TMPCACHE_MAX_AGE="0")
    assert (code, line[0]) == (0, "-")
    assert "TMPCACHE_MAX_AGE" in line[3]
    assert listings("micr/", TMPCACHE_OFFLINE="1") == (0, [])
    code, [line] = listings("micr/", AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")
    assert (code, line[0], "not received" in line[2]) == (1, "✗", True)
    bucket.inject("micr/.tmpcache-listing", ACCESS_DENIED)
    code, [line] = listings("micr/")
    assert (code, "forbidden" in line[2]) == (1, True)
    assert "s3:GetObject on s3://models/micr/.tmpcache-listing" in line[3]


def test_a_disk_with_less_room_than_the_quota_has_left() -> None:
    code, found = doctor(TMPCACHE_QUOTA="900 PB")
    assert (code, found["free space"][0]) == (1, False)
    assert "lower the quota to what fits" in found["free space"][2]


def test_a_file_system_in_memory_is_told(small_disk: Callable[[str], Path]) -> None:
    mountpoint = small_disk("size=8m")
    mountpoint.chmod(0o755)
    _, found = doctor(TMPCACHE_ROOT=str(mountpoint / "cache"), TMPCACHE_QUOTA="4 MiB")
    assert found["file system"][1] == f"tmpfs, mounted at {mountpoint}: in memory"


def test_the_mount_point_nearest_to_a_path_counts(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/vda / ext4 rw 0 0\n"
        "server:/home /home nfs4 rw 0 0\n"
        "tmpfs /home/with\\040space tmpfs rw 0 0\n"
    )
    assert mounted_at("/home/me/cache", str(table)) == ("nfs4", "/home")
    assert mounted_at("/homes", str(table)) == ("ext4", "/")
    assert mounted_at("/home/with space/x", str(table)) == ("tmpfs", "/home/with space")
    assert mounted_at("/", str(tmp_path / "none")) == ("", "")
    remote, local = file_system("/home/me", str(table)), file_system("/homes", str(table))
    assert (remote.is_well, local.is_well) == (False, True)
    assert "TMPCACHE_ROOT" in remote.advice
