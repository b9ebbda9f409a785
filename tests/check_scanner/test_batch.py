"""A batch over a backlog: everything once, whoever dies, and an account that adds up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psutil
import pytest
from moto.s3.models import s3_backends
from rich.console import Console
from support.cloud import BUCKET, MODELS, PREFIX, SENDER, Cloud, Late, running
from support.processes import spawn
from werkzeug.wrappers import Response

from examples.check_demo import specimen
from examples.check_scanner import batch, handler
from examples.check_scanner.__main__ import main
from examples.check_scanner.notify import LEASE
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from examples.check_scanner.records import Records
from examples.check_scanner.result import Findings, State, Verdict
from examples.check_scanner.services import connect
from examples.check_scanner.tally import BUSY, FAILED, Outcome, Tally

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROOT = Path(__file__).parents[2]
FINAL = ("processed", "review", "rejected")


@pytest.fixture(scope="module")
def server() -> Iterator[Cloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def cloud(
    server: Cloud, environment: None, monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path
) -> Iterator[Cloud]:
    """Buckets and tables, a model, and the settings that a batch finds in its environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "MODEL_BUCKET": MODELS,
        "MAIL_FROM": SENDER,
        "TABLE_PREFIX": PREFIX,
        "TMPCACHE_ROOT": str(root),
        "TMPCACHE_QUOTA": "64 MB",
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(server, "app", server.app)
    server.reset()
    with server.unseen():
        server.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
    yield server
    handler.services.cache_clear()


@pytest.fixture(scope="module")
def samples() -> list[specimen.Sample]:
    return [specimen.sample(seed, "clean") for seed in range(8)]


def fill(cloud: Cloud, samples: Iterable[specimen.Sample]) -> dict[str, Upload]:
    """Upload each sample twice under two names, things that are no checks, and a folder; by key."""
    bodies = {}
    for sample in samples:
        bodies[INCOMING + sample.file_name] = sample.upload
        bodies[INCOMING + "again." + sample.file_name] = sample.upload
    for number in range(3):
        bodies[f"{INCOMING}holiday {number}.jpg"] = b"no picture"
        bodies[f"{INCOMING}ann@example.com^1234^19.99^{number}.png"] = b"no picture either"
    cloud.put(INCOMING, b"")
    return {
        key: Upload(BUCKET, key, cloud.put(key, body), len(body)) for key, body in bodies.items()
    }


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


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, int], str]:
    """Exit status, account and what was told, once it has ended; the account adds up."""
    printed, told = process.communicate(timeout=120)
    counts = account(printed)
    ends = [count for name, count in counts.items() if name not in ("all", "before")]
    assert sum(ends) == counts["all"], printed + told
    return process.returncode, counts, told


def assert_each_is_done_once(cloud: Cloud, uploads: dict[str, Upload]) -> None:
    """Every upload is in exactly one of the final tables, its sender told, nothing is left."""
    ids = sorted(upload.id for upload in uploads.values())
    assert sorted(row["id"] for table in FINAL for row in cloud.table(table)) == ids
    assert {row["progress"] for row in cloud.table("audited")} == {"done"}
    assert sorted(cloud.objects(INCOMING)) == [INCOMING]
    senders = [key.removeprefix(INCOMING).partition("^")[0] for key in uploads if "@" in key]
    told = [mail.destinations["ToAddresses"][0] for mail in cloud.mails()]
    assert sorted(told) == sorted(senders)


# ---- the batch as a whole --------------------------------------------------------------------


@dataclass
class Trap:
    """Kills the process whose request matches, once as many have.

    The request is carried out first: its body may still be on the way when its head is here.
    """

    app: WSGIApplication
    matches: Callable[[WSGIEnvironment], bool]
    after: int
    kill: Callable[[int], None]
    seen: int = 0
    victims: list[int] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if self.matches(environ):
            self.seen += 1
            if self.seen == self.after:
                response = Response.from_app(self.app, environ, buffered=True)
                self.victims.append(self.asking(int(environ["REMOTE_PORT"])))
                self.kill(self.victims[0])
                return response(environ, start)
        return self.app(environ, start)

    def asking(self, port: int) -> int:
        """Which process is at the other end of the connection."""
        for child in psutil.Process().children(recursive=True):
            if any(end.laddr.port == port for end in child.net_connections("tcp")):
                return child.pid
        raise AssertionError(f"nobody talks from port {port}")


def is_image(environ: WSGIEnvironment) -> bool:
    return environ["REQUEST_METHOD"] == "GET" and f"/{BUCKET}/{INCOMING}" in environ["PATH_INFO"]


def is_decision(environ: WSGIEnvironment) -> bool:
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).endswith(".TransactWriteItems")


def test_a_killed_worker_costs_nothing_and_a_failure_is_told_and_left_for_the_next_batch(
    cloud: Cloud, samples: list[specimen.Sample]
) -> None:
    uploads = fill(cloud, samples)
    broken = next(iter(uploads))
    trap = Trap(cloud.app, is_image, 8, lambda pid: os.kill(pid, signal.SIGKILL))

    def failing(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if is_image(environ) and environ["PATH_INFO"].endswith(broken):
            start("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return trap(environ, start)

    cloud.app = failing
    status, counts, told = finish(start("--workers", "2"))
    assert len(trap.victims) == 1
    assert status == 1
    assert (counts["all"], counts["failed"]) == (len(uploads), 1)
    assert f"FAILED: {broken!r}: AccessDeniedError" in told
    # One copy of the model on this machine, for all workers that there ever were.
    assert cloud.calls.count(f"GET /{MODELS}/micr/e13b.npz") == 1

    cloud.app = trap.app
    status, counts, _ = finish(start("--workers", "1"))
    assert (status, counts["all"], counts["before"]) == (0, 1, 0)
    assert_each_is_done_once(cloud, uploads)
    assert counts["rejected"] == 0
    assert len(cloud.table("rejected")) == 6
    assert len(cloud.table("processed")) >= 5


def test_a_batch_that_was_killed_goes_on_and_one_after_that_finds_nothing_to_do(
    cloud: Cloud, samples: list[specimen.Sample]
) -> None:
    uploads = fill(cloud, samples[:3])
    trap = Trap(cloud.app, is_decision, 6, lambda _: os.killpg(process.pid, signal.SIGKILL))
    cloud.app = trap
    with start("--workers", "1") as process:
        assert process.wait(120) == -signal.SIGKILL
    cloud.app = trap.app
    decided = {row["key"] for row in cloud.table("audited") if row["progress"] != "received"}
    assert len(decided) == 6
    # Somebody else died while sending a mail, and cannot be taken for dead for a while yet.
    key = f"{INCOMING}ann@example.com^1234^19.99^7.png"
    uploads[key] = Upload(BUCKET, key, cloud.put(key, b"no picture"), 10)
    sending(uploads[key], since=LEASE - 6)
    cloud.calls.clear()

    status, counts, _ = finish(start("--workers", "1"))
    # The last decision was made, and nobody was left to act on it.
    assert (status, counts["all"], counts["before"]) == (0, len(uploads) - 5, 2)
    assert not [call for call in cloud.calls if any(f"GET /{BUCKET}/{k}" in call for k in decided)]
    assert_each_is_done_once(cloud, uploads)

    cloud.calls.clear()
    status, counts, _ = finish(start("--workers", "1"))
    assert (status, counts["all"]) == (0, 0)
    assert not [call for call in cloud.calls if BUCKET in call and call != f"GET /{BUCKET}"]


def test_the_account_of_a_batch_that_was_killed_twice_is_true_though_answers_are_late(
    cloud: Cloud, samples: list[specimen.Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 waits 8 s for an answer, then sends the same again, which finds the decision made."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    uploads = fill(cloud, samples)
    app = cloud.app
    for _ in range(2):
        trap = Trap(app, is_decision, 4, lambda _: os.killpg(process.pid, signal.SIGKILL))
        cloud.app = trap
        with start("--workers", "2") as process:
            assert process.wait(120) == -signal.SIGKILL
    cloud.app = app
    before = {row["id"] for row in cloud.table("audited") if row["progress"] != "received"}
    left = {uploads[key].id for key in cloud.objects(INCOMING) if key != INCOMING}
    cloud.late = {f"POST {call}": Late() for call in ("TransactWriteItems", "UpdateItem")}
    status, counts, told = finish(start("--workers", "2"))
    assert all(late.sent_again.is_set() for late in cloud.late.values())
    assert (status, counts["all"], counts["before"]) == (0, len(left), len(left & before)), told
    assert_each_is_done_once(cloud, uploads)


# ---- its parts -------------------------------------------------------------------------------


def test_the_backlog_is_listed_page_by_page_as_it_is_asked_for(cloud: Cloud) -> None:
    bucket = s3_backends["123456789012"]["aws"].buckets[BUCKET]
    for number in range(2001):
        s3_backends["123456789012"]["aws"].put_object(BUCKET, f"{INCOMING}{number:05}", b"x")
    assert len(bucket.keys) == 2001
    listing = batch.backlog(boto3.client("s3"), BUCKET, INCOMING)
    first = next(listing)
    assert (first.key, first.size) == (f"{INCOMING}00000", 1)
    assert first.etag == "9dd4e461268c8034f5c8564e155c67a6"
    assert cloud.calls == [f"GET /{BUCKET}"]
    assert sum(1 for _ in islice(listing, 1500)) == 1500
    assert len(cloud.calls) == 2
    assert sum(1 for _ in listing) == 500


def test_an_upload_whose_mail_is_being_sent_is_busy_and_not_failed(cloud: Cloud) -> None:
    key = f"{INCOMING}ann@example.com^1234^19.99^1.png"
    upload = Upload(BUCKET, key, cloud.put(key, b"no picture"), 10)
    sending(upload, since=1.0)
    assert batch.work(upload, "this run").state == BUSY
    assert cloud.mails() == []


def sending(upload: Upload, since: float) -> None:
    """Leave ``upload`` as a process does that has claimed its mail ``since`` seconds ago."""
    records: Records = connect().records
    entry = records.receive(upload, time.time())
    verdict = Verdict(State.REJECTED, "For this test.")
    findings = Findings(verdict=verdict, email="ann@example.com", copies={"original": "kept"})
    entry = records.decide(entry, findings, "another run", time.time())
    assert records.claim_mail(entry, time.time() - since, LEASE)


def test_nothing_is_begun_if_no_upload_could_succeed(cloud: Cloud) -> None:
    cloud.s3.delete_object(Bucket=MODELS, Key="micr/e13b.npz")
    snippet = """
        from distributed import Client
        from examples.check_scanner import batch

        with Client(processes=False, dashboard_address=None) as client:
            try:
                batch._begin(client)
            except SystemExit as stop:
                say(stop.code)
    """
    with spawn(snippet) as child:
        told = child.hear()
    assert told.startswith("Nothing was begun: ObjectNotFoundError: ")
    assert "micr/e13b.npz" in told


def test_the_scheduler_knows_of_a_few_uploads_only_however_many_there_are() -> None:
    snippet = """
        from distributed import Client
        from examples.check_scanner import batch
        from examples.check_scanner.receive import Upload
        from examples.check_scanner.tally import Outcome, Tally

        tally = Tally()
        ahead = []

        def endless():
            for number in range(300):
                ahead.append(tally.listed - tally.done)
                yield Upload("b", f"incoming/{number}", str(number), 1)

        batch.work = lambda upload, by: Outcome("processed")
        with Client(processes=False, threads_per_worker=2, dashboard_address=None) as client:
            batch.run(client, endless(), tally)
        say([max(ahead), tally.listed, tally.counts["processed"]])
    """
    with spawn(snippet) as child:
        most, listed, processed = child.hear()
    assert (listed, processed) == (300, 300)
    assert most < 40


def test_an_account_tells_what_has_no_end_yet(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally(listed=1203)
    upload = Upload("b", "incoming/a", "1", 1)
    for state, times in (("processed", 1190), ("review", 7), ("rejected", 2), (FAILED, 1)):
        for _ in range(times):
            tally.add(upload, Outcome(state, repeated=state == "review"))
    assert tally.missing == 3
    Console(width=80).print(tally.table())
    assert account(capsys.readouterr().out) == {
        "processed": 1190,
        "review": 7,
        "rejected": 2,
        "failed": 1,
        "not done": 3,
        "all": 1203,
        "before": 7,
    }


def test_only_what_is_incoming_can_be_a_backlog(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["batch", "--bucket", BUCKET, "--prefix", "archived/"])
    assert stop.value.code == 2
    assert "'archived/' is not under 'incoming/'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "Set MODEL_BUCKET (the bucket that has the recogniser's data) and MAIL_FROM ("),
        ({"MODEL_BUCKET": "models"}, "Set MAIL_FROM (the address that mails come from)"),
        ({"MODEL_BUCKET": "m", "MAIL_FROM": "a@b.co", "MODEL_MAX_AGE": "soon"}, "'soon'"),
    ],
)
def test_a_setting_that_is_missing_is_named_before_anything_is_begun(
    environment: None, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], told: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    process = start()
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, printed) == (1, "")
    assert told in errors
    assert "Traceback" not in errors


def test_a_bucket_that_is_not_there_is_told_in_a_line(cloud: Cloud) -> None:
    process = start("--workers", "1", "--bucket", "nothing-here")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The batch ended: An error occurred (NoSuchBucket)" in errors
    assert "Traceback" not in errors


def test_a_name_in_the_account_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    upload = Upload("b", "incoming/[red]a[/nothing]\x1b[2J", "1", 1)
    Tally(listed=1).add(upload, Outcome(FAILED, reason="[/b] is why"))
    told = capsys.readouterr().err
    assert "'incoming/[red]a[/nothing]\\x1b[2J': [/b] is why" in told
