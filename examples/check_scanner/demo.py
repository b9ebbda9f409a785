"""The demo: the same checks scanned five times, and what reached S3 each time.

Every run is a new process, so nothing of the run before is left but the disk.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import boto3

from examples.check_scanner import model, specimen
from examples.check_scanner.receive import PREFIX
from examples.check_scanner.report import Run, size, table
from examples.check_scanner.s3 import Meter, local_s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKS, MODELS, MODEL_KEY = "checks", "models", "micr/e13b.npz"
AMPLE_QUOTA, SMALLEST_QUOTA = "64 MB", 1 << 20
FEWEST = 8
FIRST_MODEL, SECOND_MODEL = model.build("e13b-1", 4), model.build("e13b-2", 6)

LEGEND = """\
1  Nothing is on disk: the model and every check are downloaded, once each. The model is asked for
   again with each check (max_age=0), and S3 answers "304 Not Modified", without a body.
2  The same events again, in a new process over the same disk: S3 confirms each copy by its ETag.
3  Other bytes under the model's key: they alone are downloaded, and the very next check sees them.
4  max_age=300: what S3 confirmed in the last five minutes is used without asking. No GET at all.
5  Room for half of it: what was used longest ago is evicted before the next download begins. The
   checks come in the same order again, so each is gone when its turn comes; the model, used all
   the time, stays. The quota counts all that the cache keeps on disk, its own index included.
   PUTs are the archived copies, two per check; time is all the work on them, decoding included."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all runs share: the events, the bytes of the checks behind them, the meter on S3."""

    meter: Meter
    events: list[str]
    check_bytes: int

    def run(self, title: str, **settings: str) -> Run:
        """Handle all events in a new process, with ``settings`` in its environment."""
        progress(f"{title} …")
        self.meter.take()
        worker = subprocess.run(
            [sys.executable, "-m", "examples.check_scanner.worker"],
            input="\n".join(self.events),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"TMPCACHE_QUOTA": AMPLE_QUOTA} | settings,
        )
        return Run(title, json.loads(worker.stdout), *self.meter.take())


def main() -> int:
    """Run the demo; the exit status is 1 if the cache did not do what the legend says."""
    parser = argparse.ArgumentParser(prog="python -m examples.check_scanner", description=__doc__)
    parser.add_argument("--checks", type=int, default=24, help="how many to scan; default 24")
    count = parser.parse_args().checks
    if count < FEWEST:
        parser.error(f"give at least {FEWEST} checks: fewer fit into the smallest quota")
    with local_s3() as (url, meter), TemporaryDirectory(prefix="check-scanner-demo-") as home:
        isolate(url, Path(home))
        s3 = boto3.client("s3")
        stage = set_up(s3, meter, count)
        runs = list(five_runs(s3, stage))
        leftovers = os.listdir(os.environ["TMPDIR"])
    progress("")
    print(f"{count} checks ({size(stage.check_bytes)}) scanned five times, each in a new process.")
    print(f"\n{table(runs)}\n\n{LEGEND}")
    broken = [promise for promise, kept in promises(runs, stage) if not kept]
    broken += [f"scratch directories are left: {leftovers}"] if leftovers else []
    for promise in broken:
        print(f"NOT KEPT: {promise}", file=sys.stderr)
    return 1 if broken else 0


def isolate(url: str, home: Path) -> None:
    """Point this process and its children at the local S3, and away from the user's settings."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "TMPCACHE_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    (home / "tmp").mkdir()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": url,
        "MODEL_BUCKET": MODELS,
        "MODEL_KEY": MODEL_KEY,
        "TMPCACHE_ROOT": str(home / "cache"),
        "TMPDIR": str(home / "tmp"),
    }


def set_up(s3: "S3Client", meter: Meter, count: int) -> Stage:
    """Fill the buckets with a model and ``count`` checks, and write the events S3 would send."""
    for bucket in (CHECKS, MODELS):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=MODELS, Key=MODEL_KEY, Body=FIRST_MODEL)
    events = []
    total = 0
    for seed in range(count):
        progress(f"Drawing check {seed + 1} of {count} …")
        check = specimen.invent(seed)
        key, jpeg = PREFIX + check.file_name, specimen.draw_jpeg(check)
        s3.put_object(Bucket=CHECKS, Key=key, Body=jpeg)
        record = {"s3": {"bucket": {"name": CHECKS}, "object": {"key": quote_plus(key, safe="/")}}}
        events.append(json.dumps({"Records": [record]}))
        total += len(jpeg)
    return Stage(meter, events, total)


def five_runs(s3: "S3Client", stage: Stage) -> Iterator[Run]:
    """Scan everything cold, warm, with another model, without asking, and with too little room."""
    yield stage.run("1 cold")
    yield stage.run("2 warm")
    s3.put_object(Bucket=MODELS, Key=MODEL_KEY, Body=SECOND_MODEL)
    yield stage.run("3 new model")
    yield stage.run("4 max_age=300", MODEL_MAX_AGE="300", CHECK_MAX_AGE="300")
    half = max(SMALLEST_QUOTA, stage.check_bytes // 2)
    yield stage.run("5 small quota", TMPCACHE_QUOTA=str(half))


def promises(runs: list[Run], stage: Stage) -> Iterator[tuple[str, bool]]:
    """What the legend says, and whether it was so."""
    count = len(stage.events)
    cold, warm, replaced, trusting, tight = runs
    for run in runs:
        scanned = len(run.report["scanned"]) == count and not run.report["rejected"]
        yield f"{run.title}: every check is scanned", scanned
        yield f"{run.title}: two copies per check", run.requests["PUT 200"] == 2 * count
        usage = run.report["usage"]
        yield f"{run.title}: within its quota", usage["used"] <= usage["quota"]
    every = stage.check_bytes + len(FIRST_MODEL)
    once = (cold.requests["GET 200"], cold.downloaded) == (count + 1, every)
    yield "cold: all is downloaded once", once
    yield "warm: nothing is downloaded", warm.downloaded == 0
    yield "warm: S3 is asked about everything", warm.requests["GET 304"] == 2 * count
    yield "replaced: only the model is downloaded", replaced.downloaded == len(SECOND_MODEL)
    yield "replaced: every check sees the new model", replaced.models == {"e13b-2"}
    yield "max_age: S3 is not asked", not any("GET" in asked for asked in trusting.requests)
    yield "max_age: all are hits", trusting.report["stats"]["hits"] == 2 * count
    yield "small quota: something is evicted", tight.report["stats"]["evicted"] > 0
    yield "small quota: the model stays", tight.requests["GET 200"] == refetched(tight)


def refetched(run: Run) -> int:
    """How many checks were downloaded again."""
    return sum(check["outcome"] == "fetched" for check in run.report["scanned"])


def progress(line: str) -> None:
    """Show one line in place of the last one, to people only."""
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)
