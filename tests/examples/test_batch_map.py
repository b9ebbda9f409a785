"""The example that maps a function over thousands of keys: each once a machine, and it resumes."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.s3.models import s3_backends

from examples import batch_map
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED

COUNT = 2_000
SOURCE, TARGET = "s3://models/scans/", "s3://models/words/"


@pytest.fixture
def scans(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Objects of a few bytes, and a machine of two processes."""
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    backend = s3_backends["123456789012"]["aws"]  # 20 times as fast as PUTs, and as moto's GETs
    for number in range(COUNT):
        body = b"word " * (number % 7)
        etag = backend.put_object("models", key(number), body).etag
        bucket.server.serve(bucket.path(key(number)), body, etag.strip(chr(34)))
    return bucket


def key(number: int) -> str:
    return f"scans/{number:05}"


def results(bucket: Bucket) -> dict[str, int]:
    """Return what all parts say, each key once."""
    found: dict[str, int] = {}
    pages = bucket.client.list_objects_v2(Bucket="models", Prefix="words/")
    for name in [one["Key"] for one in pages.get("Contents", ())]:
        part = json.loads(bucket.client.get_object(Bucket="models", Key=name)["Body"].read())
        assert not found.keys() & part.keys()
        found |= part
    return found


def asked_for(bucket: Bucket) -> Counter[str]:
    """Count the GETs of objects since this was last called."""
    found = Counter(
        one.path.removeprefix("/models/") for one in bucket.server.gets() if "/scans/" in one.path
    )
    bucket.server.forget()
    return found


def test_a_change_is_one_part_to_be_done_and_a_new_object_as_well() -> None:
    objects = [(key(number), "etag") for number in range(COUNT)]
    names = {batch_map._name(part) for part in batch_map._parts(objects)}
    for other in ([(key(7), "another"), *objects[:7], *objects[8:]], [*objects, ("z", "etag")]):
        assert len({batch_map._name(part) for part in batch_map._parts(other)} - names) == 1


def test_all_once_then_what_failed_and_then_nothing(
    scans: Bucket, capfd: pytest.CaptureFixture[str]
) -> None:
    scans.server.forget()
    scans.inject(key(1234), ACCESS_DENIED, times=99)
    assert batch_map.main(SOURCE, TARGET) == 1
    shown = capfd.readouterr()
    assert "1234" in shown.err
    assert "parts" in shown.out
    asked = asked_for(scans)
    assert asked.pop(key(1234)) == 3  # Dask tries it again
    assert (len(asked), {*asked.values()}) == (COUNT - 1, {1})
    done = results(scans)
    assert COUNT - 4 * batch_map.SIZE < len(done) < COUNT

    scans.server.heal()
    assert batch_map.main(SOURCE, TARGET) == 0
    assert asked_for(scans) == {key(1234): 1}  # the rest of its part is in the cache
    assert results(scans) == {key(number): number % 7 for number in range(COUNT)}

    assert batch_map.main(SOURCE, TARGET) == 0
    assert asked_for(scans) == {}


@pytest.fixture
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two processes of Ray, which has its sockets in a directory with a short name."""
    ray = pytest.importorskip("ray")
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as sockets:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 << 20,
            logging_level="ERROR",
            _temp_dir=sockets,
        )
        yield
        ray.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_ray_does_the_same(
    scans: Bucket, ray_cluster: None, capfd: pytest.CaptureFixture[str]
) -> None:
    from examples import ray_map

    scans.inject(key(1234), ACCESS_DENIED, times=99)
    assert ray_map.main(SOURCE, TARGET) == 1
    assert "1234" in capfd.readouterr().err
    asked = asked_for(scans)
    assert asked.pop(key(1234)) == 3
    assert (len(asked), {*asked.values()}) == (COUNT - 1, {1})
    scans.server.heal()
    assert ray_map.main(SOURCE, TARGET) == 0
    assert asked_for(scans) == {key(1234): 1}
    assert results(scans) == {key(number): number % 7 for number in range(COUNT)}
