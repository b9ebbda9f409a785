"""The simulated fleet asks what real caches ask, and serves what they serve."""

from __future__ import annotations

import doctest
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fleet import measure, page, prices
from benchmarks.fleet.bucket import Bucket
from benchmarks.fleet.caches import Caches
from benchmarks.fleet.cold_start import cold_start
from benchmarks.fleet.figures import simulated, simulated_cold_start
from benchmarks.fleet.fleet import play
from benchmarks.fleet.http_bucket import serving
from benchmarks.fleet.machines import Simulated
from benchmarks.fleet.page import tables, with_tables
from benchmarks.fleet.picture import picture
from benchmarks.fleet.prices import GETS_A_SECOND
from benchmarks.fleet.processes import Processes, running
from benchmarks.fleet.record import Record, Run, load
from benchmarks.fleet.timeline import Scenario
from benchmarks.peers.roster import TREE
from benchmarks.peers.works import LATENCY
from benchmarks.server import Server

DOCS = Path(TREE, "docs")
_SVG = "{http://www.w3.org/2000/svg}"
PLAIN = Scenario(machines=5, objects=20, size=200, overwritten_every=60.0)
WAYS = {
    "plain": PLAIN,
    "listing": replace(PLAIN, listing=True),
    "listing and pack": replace(PLAIN, listing=True, pack=True),
    "all start at once": replace(PLAIN, listing=True, pack=True, spread=10.0),
    "a job every second": replace(PLAIN, machines=2, every=1.0),
    "a job every second, listing": replace(PLAIN, machines=2, every=1.0, listing=True),
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


@pytest.mark.parametrize("module", [prices, page])
def test_the_examples_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_real_processes_ask_the_same_over_http(tmp_path: Path) -> None:
    with serving(0.0) as server, running(3, server.endpoint) as processes:
        for way in ("plain", "listing", "listing and pack"):
            scenario = replace(WAYS[way], machines=3, periods=1, spread=10.0)
            simulated = Bucket(scenario)
            play(scenario, simulated, Simulated(scenario, simulated, str(tmp_path)))
            server.bucket = real = Bucket(scenario)
            fleet = Processes(scenario, real, str(tmp_path / way), processes)
            play(scenario, real, fleet)
            fleet.close()
            assert _told(simulated) == _told(real)
            assert min(fleet.started_in, fleet.worked) > 0


def test_a_machine_that_fails_says_why(tmp_path: Path) -> None:
    with serving(0.0) as server, running(1, server.endpoint) as processes:
        server.bucket = bucket = Bucket(PLAIN)
        fleet = Processes(PLAIN, bucket, str(tmp_path), processes)
        bucket.keys.append("missing")
        fleet.start(0)
        with pytest.raises(RuntimeError, match="a machine failed: FetchManyError: 1 of 21"):
            fleet.settle()
        fleet.close()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What is measured, of fleets of 2 and of 20 machines."""
    record = Record("2026-01-01", {"tmpcache": "1.2.3"})
    for way, scenario in measure.WAYS.items():
        small = replace(scenario, objects=20, size=200, overwritten_every=60.0)
        fleets = [replace(small, machines=machines) for machines in (2, 20)]
        place = str(tmp_path_factory.mktemp("listings"))
        record.fleets[way] = [simulated(fleet, place) for fleet in fleets]
        record.cold_starts[way] = [simulated_cold_start(fleet, place) for fleet in fleets]
        record.runs[way] = Run(50, 10_000, 200, 6, True, 12.3, 4.5)
    record.others["few"] = record.fleets["without"][0], record.fleets["listing"][0]
    return record


def test_a_cold_machine_with_a_pack_sends_two_requests(record: Record) -> None:
    gets = {way: [cold.gets for cold in colds] for way, colds in record.cold_starts.items()}
    assert gets == {"without": [40, 400], "listing": [40, 400], "listing and pack": [4, 40]}


def test_a_listing_saves_requests_and_nothing_is_older_than_max_age(record: Record) -> None:
    for plain, listed in zip(record.fleets["without"], record.fleets["listing"], strict=True):
        assert plain.gets == 20 * plain.machines
        assert listed.gets < plain.gets
        assert plain.dollars == pytest.approx(plain.gets * 60 * 24 * 30 * 0.4e-6)
        assert 0 < plain.stale_mean < plain.stale_most < 60
        assert 0 < listed.stale_mean < listed.stale_most < 60


def test_what_is_more_than_s3_answers_in_a_second_is_told(tmp_path: Path) -> None:
    fleet = Scenario(machines=50, objects=200, spread=0.5, periods=1, size=20)
    assert simulated(fleet, str(tmp_path)).above == pytest.approx(0.45)


def test_tables_and_picture_are_written_into_their_places(record: Record, tmp_path: Path) -> None:
    (tmp_path / "fleet.md").write_text((DOCS / "fleet.md").read_text("utf-8"), "utf-8")
    measure.write(record, str(tmp_path))
    text = (tmp_path / "fleet.md").read_text("utf-8")
    assert "Measured on 2026-01-01 with tmpcache 1.2.3." in text
    assert "| 20 | without | 400 |" in text
    assert "| 20 | with a pack | 40 | 0 | 0 |" in text
    assert "| 50 | listing | 10,000 | 12 s | 4 s | 200 | 6 | as simulated |" in text
    assert "| few | 40 |" in text
    assert load(str(tmp_path / "fleet.json")) == record


def test_the_picture_has_a_dot_for_each_fleet_and_all_of_it_within_its_frame(
    record: Record,
) -> None:
    drawn = ET.fromstring(picture(record))
    dots = [*drawn.iter(f"{_SVG}circle")]
    assert len(dots) == 4 * 2 * 2
    for dot in dots:
        assert 0 < float(dot.get("cx", "")) < 460
        assert 0 < float(dot.get("cy", "")) < 250


def test_the_page_says_what_was_measured() -> None:
    kept = load(str(DOCS / "fleet.json"))
    text = (DOCS / "fleet.md").read_text("utf-8")
    assert with_tables(text, kept) == text
    assert (DOCS / "fleet.svg").read_text("utf-8") == picture(kept)
    for name, table in tables(kept).items():
        assert table in text, name


def test_quick_shows_that_all_works_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "DOCS", str(tmp_path / "docs"))
    server = Server("none", "", str(tmp_path))
    assert list(measure.measure(str(tmp_path), server, quick=True)) == []
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("| as simulated |") for line in lines) == 3
    assert not (tmp_path / "docs").exists()
