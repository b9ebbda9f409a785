"""A batch of the sample, killed and answered late: each upload once, and the account true.

The batch is the command of `examples.check_scanner`, in processes of its own, on `batch_cloud`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.check_demo import specimen
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from tmpcache.testing.loopback import LoopbackServer
from tmpcache.testing.moto_server import KeepAliveHandler

from .batch_cloud import BUCKET, SETTINGS, Cloud, Services
from .measure import progress
from .report import Mark, Result
from .server import Server

_WORKERS = 2
#: Uploads of each drawing: the first may be deposited, the others may not.
_ALIKE = 25
#: One upload in this many is no picture. Reading is what takes time, and not what this is about.
_BROKEN = 3
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there when the last batch has ended, and what that had to do and said of it.

    ``left`` and ``before`` are the ids of the uploads that it found, and of those that were decided
    by then; ``ends`` has the rows of the final tables, ``mails`` how many each address got.
    """

    uploads: Sequence[Upload]
    left: set[str]
    before: set[str]
    account: Counter[str]
    ends: dict[str, list[dict[str, Any]]]
    mails: Counter[str]
    incoming: int

    @property
    def twice(self) -> int:
        """How many mails were sent again."""
        return self.mails.total() - len(self.mails)

    def true_account(self) -> Counter[str]:
        """Return what the last batch should have said."""
        ends = Counter(
            {state: sum(r["id"] in self.left for r in rows) for state, rows in self.ends.items()}
        )
        return ends + Counter(all=len(self.left), before=len(self.left & self.before))


def measure(directory: str, server: Server, checks: int = 300, kills: int = 2) -> Iterator[Result]:
    """Run a batch over ``checks`` uploads until it has come to its end, killed ``kills`` times."""
    cloud = Cloud()
    loopback = LoopbackServer(cloud, KeepAliveHandler)
    settings = _settings(loopback.endpoint, directory)
    try:
        seen = _seen(cloud, Services(loopback.endpoint), settings, checks, kills)
    finally:
        loopback.stop()
    yield from judge(seen, kills)


def judge(seen: Seen, kills: int) -> Iterator[Result]:
    """Count what must not be."""
    of = f"of {len(seen.uploads)} uploads"
    decided = Counter(row["id"] for rows in seen.ends.values() for row in rows)
    owed = {upload.name.partition("^")[0] for upload in seen.uploads}
    deposits = seen.ends["processed"]
    checks = {(row["routing"], row["from_account"], row["serial"]) for row in deposits}
    account, true = seen.account, seen.true_account()
    off = sum(abs(account[name] - true[name]) for name in account | true)
    yield _count(
        f"{of} not decided exactly once", sum(decided[one.id] != 1 for one in seen.uploads)
    )
    yield _count(f"{of} left under {INCOMING}", seen.incoming)
    yield _count(f"{of} whose sender was not told", len(owed - set(seen.mails)))
    # Each worker that is killed may have sent a mail and not noted it.
    yield _count(f"{of} whose sender was told twice", seen.twice, kills * _WORKERS)
    yield _count("deposits of a check that has another", len(deposits) - len(checks))
    yield _count("uploads that the account has wrong", off)


def account_of(printed: str) -> Counter[str]:
    """Return the numbers of the table that a batch ends with."""
    rows = re.findall(r"^([a-z ]+?) +([0-9,]+)$", printed, re.MULTILINE)
    rows += [("before", n) for n in re.findall(r"^([0-9,]+) were decided before", printed, re.M)]
    return Counter({name: int(count.replace(",", "")) for name, count in rows})


def _seen(
    cloud: Cloud, services: Services, settings: dict[str, str], checks: int, kills: int
) -> Seen:
    services.fill(_drawn(checks))
    uploads = services.incoming()
    progress(f"  {len(uploads)} uploads are there")
    began = time.monotonic()
    for number in range(kills):
        cloud.kill_at = cloud.decided + (checks - cloud.decided) // (kills + 1 - number)
        _batch(cloud, settings, ends=-signal.SIGKILL)
        time.sleep(1)  # what the dead have sent still arrives
        progress(f"  killed after {cloud.decided} decisions")
    left, before = {upload.id for upload in services.incoming()}, services.decided()
    account = account_of(_batch(cloud, settings, ends=0))
    seconds = time.monotonic() - began
    incoming = len(services.incoming())
    seen = Seen(uploads, left, before, account, services.ends(), services.mails(), incoming)
    _tell(seen, cloud.late, seconds)
    return seen


def _tell(seen: Seen, late: int, seconds: float) -> None:
    ends = ", ".join(f"{len(rows)} {state}" for state, rows in seen.ends.items())
    said = ", ".join(f"{count} {name}" for name, count in seen.account.items())
    print(f"{len(seen.uploads)} uploads in {seconds:.0f} s, {late} answers late: {ends}")
    print(f"the last batch's account: {said}; mails sent again: {seen.twice}", flush=True)


def _batch(cloud: Cloud, settings: dict[str, str], ends: int) -> str:
    """Run the batch until it ends with that status; return what it printed."""
    command = [sys.executable, "-m", "examples.check_scanner", "batch", "--bucket", BUCKET]
    with subprocess.Popen(
        [*command, "--workers", str(_WORKERS)],
        cwd=_ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        cloud.victim = process.pid
        printed, _ = process.communicate()
        cloud.victim = 0
    if process.returncode != ends:
        raise RuntimeError(f"The batch ended with {process.returncode}, not {ends}:\n{printed}")
    return printed


def _settings(endpoint: str, directory: str) -> dict[str, str]:
    return {
        **os.environ,
        **SETTINGS,
        "AWS_ACCESS_KEY_ID": "benchmarks",
        "AWS_SECRET_ACCESS_KEY": "benchmarks",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "TMPCACHE_ROOT": os.path.join(directory, "root"),
        "TMPCACHE_QUOTA": "64 MB",
    }


def _drawn(checks: int) -> Iterator[tuple[str, bytes]]:
    """Draw a check for every ``_ALIKE`` uploads, each of which has an address of its own."""
    for number in range(checks):
        if number % _ALIKE == 0:
            sample = specimen.sample(number // _ALIKE, "clean")
        rest = sample.file_name.partition("^")[2]
        body = b"no picture" if number % _BROKEN == 1 else sample.upload
        yield f"{INCOMING}sender{number}@example.com^{rest}", body


def _count(what: str, count: int, at_most: float = 0) -> Result:
    return Result("batch", what, Mark("ours", at_most), [float(count)], unit="modules")
