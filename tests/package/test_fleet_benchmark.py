"""The simulated fleet asks what real caches ask, and serves what they serve."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fleet import prices
from benchmarks.fleet.bucket import Bucket
from benchmarks.fleet.caches import Caches
from benchmarks.fleet.cold_start import cold_start
from benchmarks.fleet.fleet import play
from benchmarks.fleet.http_bucket import served
from benchmarks.fleet.machines import Simulated
from benchmarks.fleet.prices import GETS_A_SECOND
from benchmarks.fleet.processes import Processes, running
from benchmarks.fleet.timeline import Scenario
from benchmarks.peers.works import LATENCY

PLAIN = Scenario(machines=5, objects=20, size=200, overwritten_every=60.0)
WAYS = {
    "plain": PLAIN,
    "listing": replace(PLAIN, listing=True),
    "listing and pack": replace(PLAIN, listing=True, pack=True),
    "all start at once": replace(PLAIN, listing=True, pack=True, spread=10.0),
}


def _told(bucket: Bucket) -> tuple[object, ...]:
    """What was asked, how much of it brought something, what was served, and how stale."""
    served = bucket.served, bucket.stale, bucket.stale_sum, bucket.stale_most
    return bucket.asked, bucket.brought, served


@pytest.mark.parametrize("way", WAYS)
def test_simulated_machines_ask_what_real_caches_ask(way: str, tmp_path: Path) -> None:
    simulated, real = Bucket(WAYS[way]), Bucket(WAYS[way])
    play(WAYS[way], simulated, Simulated(WAYS[way], simulated, str(tmp_path)))
    caches = Caches(WAYS[way], real, str(tmp_path / "roots"))
    play(WAYS[way], real, caches)
    caches.close()
    print(_told(real))
    assert _told(simulated) == _told(real)
    assert simulated.by_second == real.by_second


def test_what_s3_refuses_is_asked_again_until_all_are_warm() -> None:
    few, many = cold_start(2, [20_000] * 200, 10.0), cold_start(100, [20_000] * 200, 10.0)
    assert (few.gets, few.refused, few.errors) == (400, 0, 0)
    assert 7 * LATENCY < few.half < few.all < 2.0  # 200 over 32 connections, all within a second
    assert many.gets == 20_000
    assert many.all > many.gets / GETS_A_SECOND
    assert many.refused > many.errors > 0
    assert many == cold_start(100, [20_000] * 200, 10.0)


def test_one_connection_takes_one_request_after_the_other() -> None:
    one, three = (cold_start(1, [0] * count, 10.0, connections=1) for count in (1, 3))
    assert three.all == pytest.approx(one.all + 2 * LATENCY)


def test_the_examples_of_the_prices_run() -> None:
    result = doctest.testmod(prices)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("way", ["plain", "listing", "listing and pack"])
def test_real_processes_ask_the_same_over_http(way: str, tmp_path: Path) -> None:
    scenario = replace(WAYS[way], machines=3, periods=1, spread=10.0)
    simulated = Bucket(scenario)
    play(scenario, simulated, Simulated(scenario, simulated, str(tmp_path)))
    real = Bucket(scenario)
    with served(real, 0.0) as endpoint, running(3, endpoint) as processes:
        fleet = Processes(scenario, real, str(tmp_path / "roots"), processes)
        play(scenario, real, fleet)
        fleet.close()
    assert _told(simulated) == _told(real)
