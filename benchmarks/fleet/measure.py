"""Simulates fleets, has real processes do the same, and writes both into ``docs/fleet.md``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

from ..machine import facts
from ..measure import progress
from ..peers.roster import TREE
from ..peers.works import LATENCY
from ..report import Mark, Result
from ..server import Server
from .bucket import Bucket
from .figures import simulated, simulated_bucket, simulated_cold_start
from .fleet import play
from .http_bucket import HttpBucket, serving
from .page import tables, with_tables
from .picture import picture
from .processes import Process, Processes, running
from .record import Record, Run, Way, save
from .timeline import Scenario

DOCS = os.path.join(TREE, "docs")
WAYS: dict[Way, Scenario] = {
    "without": Scenario(machines=1),
    "listing": Scenario(machines=1, listing=True),
    "listing and pack": Scenario(machines=1, listing=True, pack=True),
}
#: Fleets for which a listing does little or nothing.
OTHERS = {
    "1 machine": Scenario(machines=1),
    "5 machines": Scenario(machines=5),
    "100 machines, `max_age` 15 minutes": Scenario(machines=100, max_age=900, every=60),
    "10,000 machines, 1 object": Scenario(machines=10_000, objects=1),
    "10,000 machines, 2 objects": Scenario(machines=10_000, objects=2),
    "100 machines, each object changes every minute": Scenario(machines=100, overwritten_every=60),
}


def measure(directory: str, server: Server, quick: bool) -> Iterator[Result]:
    """Measure all; write page and picture. If it is `quick`, print what little was measured."""
    sizes, processes = ((5, 20), 3) if quick else ((10, 100, 1000, 10_000), 50)
    record = Record(time.strftime("%Y-%m-%d"), facts("benchmarks.fleet", directory))
    for way, scenario in WAYS.items():
        fleets = [replace(scenario, machines=machines) for machines in sizes]
        progress(f"  {way}: {', '.join(map(str, sizes))} machines")
        record.fleets[way] = [simulated(fleet, _new(directory)) for fleet in fleets]
        record.cold_starts[way] = [simulated_cold_start(one, _new(directory)) for one in fleets]
    progress(f"  {processes} processes")
    record.runs = runs(processes, directory)
    for what, scenario in ({} if quick else OTHERS).items():
        progress(f"  {what}")
        one, two = (replace(scenario, listing=listing) for listing in (False, True))
        record.others[what] = simulated(one, _new(directory)), simulated(two, _new(directory))
    if quick:
        print("\n\n".join(tables(record).values()))
        return
    write(record, DOCS)
    yield from _results(record)


def runs(count: int, directory: str) -> dict[Way, Run]:
    """Have processes do what each scenario says, all starting at once, for one `max_age`."""
    with serving(LATENCY) as server, running(count, server.endpoint) as processes:
        # The first time is not counted: it imports what is needed.
        run(replace(WAYS["listing and pack"], objects=2), server, processes, _new(directory))
        return {
            way: run(scenario, server, processes, _new(directory)) for way, scenario in WAYS.items()
        }


def run(scenario: Scenario, server: HttpBucket, processes: list[Process], directory: str) -> Run:
    """Have processes do what a scenario says, for one `max_age`; each begins with an empty root."""
    count = len(processes)
    scenario = replace(scenario, machines=count, spread=scenario.every, periods=1)
    server.bucket = bucket = Bucket(scenario)
    fleet = Processes(scenario, bucket, directory, processes)
    play(scenario, bucket, fleet)
    fleet.close()
    same = simulated_bucket(scenario, _new(directory)).asked == bucket.asked
    return Run(
        processes=count,
        cold_gets=bucket.asked["machines", "start", "GET"],
        gets=bucket.asked["machines", "watched", "GET"],
        written=sum(count for (who, *_), count in bucket.asked.items() if who == "writer"),
        is_as_simulated=same,
        seconds=fleet.started_in,
        worked=fleet.worked,
    )


def write(record: Record, directory: str) -> None:
    """Write the tables into the page, the picture beside it, and the numbers of both."""
    save(record, os.path.join(directory, "fleet.json"))
    page = os.path.join(directory, "fleet.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for path, new in ((page, with_tables(text, record)), ("fleet.svg", picture(record))):
        with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
            file.write(new)


def _results(record: Record) -> Iterator[Result]:
    """Yield how old the stalest copy was, and whether processes did as simulated."""
    for way, fleets in record.fleets.items():
        stalest = [figures.stale_most for figures in fleets]
        yield Result(
            "fleet", f"stalest copy, {way}", Mark("ours", fleets[0].max_age), [max(stalest)]
        )
    listed, plain = (record.fleets[way][-1].gets for way in ("listing", "without"))
    yield Result("fleet", "GETs with a listing", Mark("ratio", 0.05), [listed], [plain], "modules")
    wrong = [float(not run.is_as_simulated) for run in record.runs.values()]
    yield Result("fleet", "runs unlike simulated", Mark("ours", 0), wrong, unit="modules")


def _new(directory: str) -> str:
    return tempfile.mkdtemp(dir=directory)
