"""A batch as an operator starts it, the account that it ends with, and uploads left by others."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from examples.check_scanner.notify import LEASE
from examples.check_scanner.receive import Upload
from examples.check_scanner.records import Records
from examples.check_scanner.result import Findings, State, Verdict
from examples.check_scanner.services import connect
from support.cloud import BUCKET

ROOT = Path(__file__).parents[2]


def start(*arguments: str) -> subprocess.Popen[str]:
    """The batch as an operator starts it; a group of its own, to be killed whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "examples.check_scanner", "batch", "--bucket", BUCKET, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def account(printed: str) -> dict[str, int]:
    """The table that a batch ends with, and how many were decided before."""
    rows = re.findall(r"^([a-z ]+?) +([0-9,]+)$", printed, re.MULTILINE)
    counts = {name: int(count.replace(",", "")) for name, count in rows}
    (before,) = re.findall(r"^([0-9]+) were decided before", printed, re.MULTILINE)
    return {**counts, "before": int(before)}


def sending(upload: Upload, since: float) -> None:
    """Leave ``upload`` as a process does that has claimed its mail ``since`` seconds ago."""
    records: Records = connect().records
    entry = records.receive(upload, time.time())
    verdict = Verdict(State.REJECTED, "For this test.")
    findings = Findings(verdict=verdict, email="ann@example.com", copies={"original": "kept"})
    entry = records.decide(entry, findings, "another run", time.time())
    assert records.claim_mail(entry, time.time() - since, LEASE)
