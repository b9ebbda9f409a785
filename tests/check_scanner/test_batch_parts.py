"""The parts of a batch: the backlog, what is ahead of the workers, the account, what stops it."""

from __future__ import annotations

from itertools import islice

import boto3
import pytest
from moto.s3.models import s3_backends
from rich.console import Console
from support.batch import account, sending, start
from support.cloud import BUCKET, MODELS, Cloud
from support.processes import spawn

from examples.check_scanner import batch
from examples.check_scanner.__main__ import main
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.tally import BUSY, FAILED, Outcome, Tally


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
