"""The examples of a cache that is warm before the first fetch: each costs two requests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed import Client, LocalCluster
from support.fleet import LISTING, PACK, PREFIX, asked, put_objects

import tmpcache
from examples.warm.dask_worker import WarmCache
from tmpcache import Cache, Outcome
from tmpcache.testing import Bucket, LambdaHarness

EXAMPLES = Path(__file__).parents[2] / "examples/warm"
TWO_REQUESTS = {LISTING: 1, PACK: 1}


@pytest.fixture(autouse=True)
def packed(bucket: Bucket, tmp_path: Path) -> Bucket:
    put_objects(bucket, 20)
    with Cache(tmp_path / "writer") as writer:
        writer.put_pack(PREFIX)
        writer.put_listing(PREFIX)
    asked(bucket.server)
    return bucket


def outcome(number: int) -> str:
    """Fetch an object on a worker; say how it was come by."""
    return tmpcache.fetch(f"{PREFIX}{number:03}.npz", max_age=600).outcome.value


def test_dask_s_workers_are_warm_before_their_first_task(
    packed: Bucket, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(WarmCache(PREFIX))
        found = client.gather(client.map(outcome, range(20)))
    assert found == ["hit"] * 20
    assert asked(packed.server) == TWO_REQUESTS


def test_a_pod_s_init_container_fills_the_volume_of_its_worker(
    packed: Bucket, tmp_path: Path
) -> None:
    document = yaml.safe_load((EXAMPLES / "deployment.yaml").read_text())
    pod = document["spec"]["template"]["spec"]
    as_tmp, warm = pod["initContainers"]
    [worker] = pod["containers"]
    assert (warm["env"], warm["volumeMounts"]) == (worker["env"], worker["volumeMounts"])
    assert document["spec"]["selector"]["matchLabels"] == {
        **document["spec"]["template"]["metadata"]["labels"]
    }
    assert {mount["name"] for mount in warm["volumeMounts"]} == {pod["volumes"][0]["name"]}
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    run_container(as_tmp, volume)
    settings = run_container(warm, volume)
    assert asked(packed.server) == TWO_REQUESTS
    with Cache(
        settings["TMPCACHE_ROOT"],
        max_age=float(settings["TMPCACHE_MAX_AGE"]),
        listings=settings["TMPCACHE_LISTINGS"],
        quota=settings["TMPCACHE_QUOTA"],
    ) as cache:
        paths = cache.fetch_many("models", [f"micr/{number:03}.npz" for number in range(20)])
    assert {path.outcome for path in paths} == {Outcome.HIT}
    assert asked(packed.server) == {}
    run_container(warm, volume, AWS_ENDPOINT_URL_S3="http://127.0.0.1:9")  # starts all the same


def run_container(container: dict[str, Any], volume: Path, **env: str) -> dict[str, str]:
    """Run a container's command with its volume elsewhere; return its environment."""
    commands = volume.parent / "bin"
    if not commands.exists():
        commands.mkdir()
        (commands / "tmpcache").write_text(f'#!/bin/sh\nexec {sys.executable} -m tmpcache "$@"\n')
        (commands / "tmpcache").chmod(0o755)
    [mount] = container["volumeMounts"]

    def moved(text: str) -> str:
        return text.replace(mount["mountPath"], str(volume))

    settings = {one["name"]: moved(one["value"]) for one in container.get("env", ())}
    path = f"{commands}:{os.environ['PATH']}"
    command = [*map(moved, container["command"])]
    subprocess.run(command, env={**os.environ, **settings, "PATH": path, **env}, check=True)
    return settings


def test_a_function_is_warm_after_its_init_phase(packed: Bucket) -> None:
    with LambdaHarness("examples.warm.function.handler", environ={"WARM_FROM": PREFIX}) as function:
        for number in range(3):
            answer = function.invoke({"key": f"{number:03}.npz"}).result
            assert answer == {"size": 3, "outcome": "hit", "warmed": 20}
    assert asked(packed.server) == Counter(TWO_REQUESTS)
