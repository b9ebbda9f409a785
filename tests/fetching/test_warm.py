"""A cold machine gets what is hot on another one, and no more than it has room and time for."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.content import assert_accounts_balance, content
from support.shelf import Shelf, etag_of

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.errors import ConfigError, IntegrityError
from tmpcache.testing import Bucket

KIB, MIB = 1024, 1024 * 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"{number:02}": content(number, 20 * KIB) for number in range(20)})


@pytest.fixture
def hot(root: Path, shelf: Shelf) -> Iterator[Cache]:
    """A cache that used all objects, 00 last."""
    with Cache(root / "hot", quota="8 MiB", origin=shelf) as cache:
        for key in sorted(shelf.objects, reverse=True):
            cache.fetch("models", key)
        shelf.asked.clear()
        shelf.sent.clear()
        yield cache


@pytest.fixture
def cold(root: Path, shelf: Shelf) -> Iterator[Cache]:
    with Cache(root / "cold", quota="8 MiB", origin=shelf) as cache:
        yield cache


def keys(cache: Cache) -> set[str]:
    return {entry.key for entry in cache.entries()}


def test_a_cold_machine_gets_the_working_set(hot: Cache, cold: Cache, shelf: Shelf) -> None:
    report = cold.warm(hot.manifest())
    assert (report.fetched, report.present, report.bytes) == (20, 0, 20 * 20 * KIB)
    assert (report.changed, report.missing, report.denied, report.skipped) == (0, 0, 0, 0)
    assert report.problems == ()
    assert report.seconds > 0
    assert keys(cold) == shelf.objects.keys()
    assert (cold.usage().leased, cold.stats().bytes_fetched) == (0, 20 * 20 * KIB)
    assert cold.stats().asked == 20
    assert_accounts_balance(cold)
    again = cold.warm(hot.manifest())
    assert (again.present, again.fetched, sum(shelf.asked.values())) == (20, 0, 20)
    assert cold.fetch("models", "00", max_age=60).outcome is Outcome.HIT
    assert cold.manifest() == hot.manifest(), "what was hottest there is hottest here"


def test_the_manifest_is_a_small_document_of_known_form(hot: Cache) -> None:
    hot.fetch("models", "07")
    document = json.loads(hot.manifest())
    assert document.keys() == {"tmpcache-manifest", "objects"}
    assert document["tmpcache-manifest"] == 1
    first = document["objects"][0]
    body = content(7, 20 * KIB)
    assert first == {"bucket": "models", "key": "07", "etag": etag_of(body), "size": 20 * KIB}
    assert [said["key"] for said in document["objects"][1:3]] == ["00", "01"]


def test_it_can_be_kept_in_s3_itself(bucket: Bucket, root: Path) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    version = bucket.client.put_object(Bucket="models", Key="ü/v", Body=b"old")["VersionId"]
    bucket.put("ü/v", b"new")
    here, there = Cache(root / "here", quota="8 MiB"), Cache(root / "there", quota="8 MiB")
    here.fetch("models", "ü/v", version_id=version)
    here.fetch("models", "ü/v")
    bucket.put("deploy.json", here.manifest().encode())
    report = there.warm(there.fetch("models", "deploy.json"), max_seconds=30)
    assert (report.fetched, report.changed, report.bytes) == (2, 0, 6)
    bucket.server.forget()
    assert there.fetch("models", "ü/v", version_id=version).read_bytes() == b"old"
    assert bucket.server.requests == []
    assert "testing" not in here.manifest(), "the credentials of these tests"


def test_every_way_to_give_a_manifest(hot: Cache, cold: Cache, tmp_path: Path) -> None:
    text = hot.manifest()
    file = tmp_path / "warm.json"
    file.write_text(text)
    assert cold.warm(json.loads(text)).fetched == 20
    for same in (text, f"\n{text}", text.encode(), bytearray(text.encode()), file, str(file)):
        assert cold.warm(same).present == 20  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        cold.warm(tmp_path / "nothing")


GOOD = {"bucket": "models", "key": "00", "etag": '"x"', "size": 1}


@pytest.mark.parametrize(
    "document",
    [
        "{",
        b"\xff\xfe\xfd",
        "{}",
        '{"tmpcache-manifest": 1}',
        '{"tmpcache-manifest": 2, "objects": []}',
        '{"tmpcache-manifest": true, "objects": 3}',
        '{"tmpcache-manifest": 1, "objects": {}}',
        '{"a":' * 100_000,
        *(
            {"tmpcache-manifest": 1, "objects": [GOOD, wrong]}
            for wrong in (
                "00",
                None,
                {**GOOD, "bucket": 3},
                {**GOOD, "key": ""},
                {**GOOD, "key": None},
                {**GOOD, "key": "\ud800"},
                {**GOOD, "version": 7},
                {**GOOD, "etag": None},
                {**GOOD, "size": -1},
                {**GOOD, "size": True},
                {**GOOD, "size": 1.5},
                {**GOOD, "size": "1"},
                {"key": "00"},
            )
        ),
        [GOOD],
        3,
        None,
    ],
    ids=repr,
)
def test_what_is_no_manifest_is_refused_before_anything_is_asked(
    cold: Cache, shelf: Shelf, document: Any
) -> None:
    with pytest.raises(ConfigError):
        cold.warm(document)
    assert shelf.asked == Counter()


@pytest.mark.parametrize(
    "options", [{"max_bytes": -1}, {"max_bytes": "much"}, {"max_seconds": -1}, {"threads": 0}]
)
def test_arguments_that_cannot_be(hot: Cache, cold: Cache, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        cold.warm(hot.manifest(), **options)


def test_the_hottest_come_first_within_the_budget(hot: Cache, cold: Cache, shelf: Shelf) -> None:
    report = cold.warm(hot.manifest(), max_bytes=105 * KIB)
    assert (report.fetched, report.skipped, report.bytes) == (5, 15, 100 * KIB)
    assert keys(cold) == {"00", "01", "02", "03", "04"}
    assert sum(shelf.asked.values()) == 5
    assert cold.warm(hot.manifest(), max_bytes=0).skipped == 15


def test_what_has_changed_gone_or_is_denied_is_counted(
    hot: Cache, cold: Cache, shelf: Shelf
) -> None:
    manifest = hot.manifest()
    shelf.objects["03"] = b"changed"
    del shelf.objects["04"], shelf.objects["05"]
    shelf.denied.add("06")

    def gate(key: str, deadline: object) -> None:
        if key == "07":
            raise IntegrityError("07 is damaged on the way")

    shelf.gate = gate
    report = cold.warm(manifest)
    assert (report.fetched, report.changed, report.missing, report.denied) == (16, 1, 2, 1)
    assert report.problems == ("IntegrityError: 07 is damaged on the way",)
    assert cold.fetch("models", "03", max_age=60).read_bytes() == b"changed"


def test_another_version_that_is_here_is_confirmed_or_replaced(
    hot: Cache, cold: Cache, shelf: Shelf
) -> None:
    manifest = hot.manifest()
    shelf.objects["03"] = b"changed"
    cold.fetch("models", "03")
    cold.fetch("models", "04")
    report = cold.warm(manifest)
    assert (report.fetched, report.changed, report.present) == (18, 0, 2)


def test_a_manifest_that_lies_about_sizes_does_not_exceed_the_budget(
    cold: Cache, shelf: Shelf
) -> None:
    shelf.objects = {"large": bytes(2 * MIB), "small": b"s" * 100}
    said = [{**GOOD, "key": key, "size": 1} for key in ("large", "small")]
    report = cold.warm({"tmpcache-manifest": 1, "objects": said}, max_bytes=MIB)
    assert (report.fetched, report.skipped, report.bytes) == (1, 1, 100)
    assert keys(cold) == {"small"}
    said[0]["size"] = 10**30
    assert cold.warm({"tmpcache-manifest": 1, "objects": said[:1] * 3}).skipped == 1


def test_nothing_is_evicted_for_it(hot: Cache, root: Path, shelf: Shelf) -> None:
    mine = Shelf({f"mine/{number}": content(f"mine {number}", 100 * KIB) for number in range(11)})
    shelf.objects |= mine.objects
    cache = Cache(root / "small", quota="1.5 MiB", origin=shelf)
    for key in mine.objects:
        cache.fetch("models", key)
    report = cache.warm(hot.manifest())
    assert report.fetched > 3
    assert report.skipped > 3
    assert keys(cache) >= mine.objects.keys()
    assert cache.stats().evicted == 0
    assert_accounts_balance(cache)
    # Lies about sizes change nothing about that.
    document = json.loads(hot.manifest())
    for said in document["objects"]:
        said["size"] = 0
    cache.warm(document)
    assert cache.stats().evicted == 0


def test_the_time_is_kept_and_what_was_begun_is_gone_on_with(
    hot: Cache, cold: Cache, shelf: Shelf
) -> None:
    body = content("large", 12 * MIB)
    shelf.objects["large"] = body
    said = {"bucket": "models", "key": "large", "etag": etag_of(body), "size": len(body)}
    document = json.loads(hot.manifest())
    document["objects"].insert(0, said)
    big = Cache(cold.root.parent / "big", quota="64 MiB", origin=shelf)

    def pace(key: str, at: int, halted: threading.Event) -> None:
        if at >= 10 * MIB:  # until the time is up; a busy machine may take most of it to get here
            halted.wait(2.5)

    def gate(key: str, deadline: Deadline | None) -> None:
        assert deadline is not None
        while key != "large" and deadline.remaining() > 0:
            time.sleep(0.01)
        deadline.check(key)

    shelf.pace, shelf.gate = pace, gate
    report = big.warm(document, max_seconds=2, threads=2)
    assert (report.fetched, report.skipped) == (0, 21)
    assert big.usage().reserved >= 8 * MIB
    assert sum(shelf.asked.values()) < 10
    shelf.pace = lambda key, at, halted: None
    shelf.gate = lambda key, deadline: None
    assert big.warm(document).bytes < 12 * MIB
    assert big.fetch("models", "large", max_age=60).read_bytes() == body
    assert_accounts_balance(big)


def test_a_budget_does_not_cost_what_an_earlier_download_left(root: Path, shelf: Shelf) -> None:
    """The origin is asked for the rest; that it is too much for now is no reason to lose it."""
    body = content("large", 12 * MIB)
    shelf.objects = {"large": body}
    cache = Cache(root, quota="64 MiB", origin=shelf)
    said = {"bucket": "models", "key": "large", "etag": etag_of(body), "size": 1}
    document = {"tmpcache-manifest": 1, "objects": [said]}
    shelf.pace = lambda key, at, halted: time.sleep(2.5 if at >= 10 * MIB else 0)
    assert cache.warm(document, max_seconds=2).skipped == 1
    left = cache.usage().reserved
    assert left >= 8 * MIB
    assert cache.warm(document, max_bytes=MIB).skipped == 1
    assert cache.usage().reserved == left


def test_progress_and_threads(hot: Cache, cold: Cache, shelf: Shelf) -> None:
    told: list[tuple[int, ...]] = []
    cold.warm(hot.manifest(), threads=1, progress=lambda *amounts: told.append(amounts))
    assert told[0] == (0, 20, 0)
    assert told[-1] == (20, 20, 20 * 20 * KIB)
    assert [one.name for one in threading.enumerate() if one.name.startswith("tmpcache ")] == []
