"""The check scanner under failures: each call lost, each answer lost, killed, twice at once."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.config import Config
from PIL import Image
from support.cloud import BUCKET, MODELS, PREFIX, SENDER, Late, Trouble
from support.processes import crowd, release, spawn
from support.scanner import Scanner, drawing, name, reading, same_every_time
from support.wire import waits_for_the_body

import tmpcache
from examples.check_demo import specimen
from examples.check_scanner.errors import BusyError
from examples.check_scanner.reading import Decision
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from examples.check_scanner.records import Records

FINAL = ("processed", "review", "rejected")


def assert_all_done(scanner: Scanner, upload: Upload, decision: str, body: bytes) -> list[Any]:
    """Everything about ``upload`` is as it should be, once; its mails."""
    records = scanner.services.records
    with scanner.cloud.unseen():
        ended = {table: records.get(table, upload.id) for table in FINAL}
        assert [table for table in FINAL if ended[table]] == [decision]
        entry = records.get("audited", upload.id)
        assert (entry["progress"], entry["decision"]) == ("done", decision)
        assert ended[decision]["reason"] == entry["reason"] != ""
        kept = records.get("archived", upload.id)["copies"]
        assert kept == entry["copies"]
    there = scanner.cloud.objects(f"archived/{upload.id}/")
    assert sorted(there) == sorted(kept.values())
    assert there[kept["original"]] == body
    for what, key in kept.items():
        if what != "original":
            Image.open(io.BytesIO(there[key])).load()
    assert not scanner.cloud.objects(upload.key)
    email = upload.key.removeprefix(INCOMING).partition("^")[0]
    return [mail for mail in scanner.cloud.mails() if mail.destinations["ToAddresses"] == [email]]


def case(scanner: Scanner, decision: str, number: int) -> tuple[Upload, bytes]:
    """A new upload that will end as ``decision``."""
    scanner.read_line = same_every_time(
        reading(decision=Decision.REVIEW, reason="Unsure.") if decision == "review" else reading()
    )
    body = drawing() if decision != "rejected" else b"hello"
    return scanner.upload(name(f"u{number}@example.com"), body), body


def test_a_request_that_is_lost_is_read_first(scanner: Scanner) -> None:
    """Or its client would see the connection break, and not that the answer is an error."""
    scanner.cloud.trouble = Trouble(0, "request")
    assert waits_for_the_body(scanner.cloud.endpoint, f"/{BUCKET}/a")


@pytest.mark.parametrize(
    ("decision", "how"),
    [
        ("processed", "request"),
        ("processed", "answer"),
        ("review", "request"),
        ("rejected", "answer"),
    ],
)
def test_whichever_call_fails_nothing_is_lost_and_nothing_is_done_twice(
    scanner: Scanner, decision: str, how: Literal["request", "answer"]
) -> None:
    """Run, fail call n, deliver again, look; for every n that there is."""
    failed = []
    for number in range(100):
        upload, body = case(scanner, decision, number)
        scanner.cloud.calls.clear()
        scanner.cloud.trouble = Trouble(number, how)
        try:
            scanner.process(upload)
            struck = None
        except Exception:
            struck = scanner.cloud.calls[number]
        made, scanner.cloud.trouble = list(scanner.cloud.calls), None
        result = scanner.deliver(upload)
        assert result.decision == decision
        mails = assert_all_done(scanner, upload, decision, body)
        # What may happen twice: a mail that left without a note of it; see `notify`.
        lost = struck and made[-1] == ("POST /" if how == "answer" else "POST UpdateItem")
        assert len(mails) == (2 if lost and "POST /" in made else 1)
        failed.append(struck)
        if number >= len(made):
            break
    assert failed[-1] is None
    assert len([call for call in failed if call]) >= 8
    for call in ("POST PutItem", "POST TransactWriteItems", "POST UpdateItem", "POST /"):
        assert call in failed
    assert len(scanner.cloud.table("processed")) == len(failed) * (decision == "processed")


@pytest.mark.parametrize("call", ["PutItem", "TransactWriteItems", "UpdateItem"])
def test_a_step_whose_answer_is_late_and_that_is_sent_again_is_known_for_ones_own(
    scanner: Scanner, call: str
) -> None:
    """boto3 gives up waiting and asks again; the second request finds what the first one did."""
    impatient = Config(read_timeout=0.5, retries={"max_attempts": 2})
    dynamodb = boto3.resource("dynamodb", config=impatient).meta.client
    scanner.services = replace(scanner.services, records=Records(dynamodb, PREFIX))
    upload, body = case(scanner, "processed", 0)
    scanner.cloud.late = {f"POST {call}": (late := Late())}
    result = scanner.process(upload)
    assert late.sent_again.is_set()
    assert (result.decision, result.repeated) == ("processed", False)
    assert len(assert_all_done(scanner, upload, "processed", body)) == 1
    assert scanner.process(upload).repeated


def test_an_upload_that_fails_at_another_call_each_time_gets_there_in_the_end(
    scanner: Scanner,
) -> None:
    upload, body = case(scanner, "processed", 0)
    for number in range(40):
        scanner.now += 60
        scanner.cloud.calls.clear()
        scanner.cloud.trouble = Trouble(number, "answer")
        try:
            scanner.process(upload)
        except Exception:
            continue
        break
    scanner.cloud.trouble = None
    assert number >= 3
    assert scanner.deliver(upload).repeated
    assert_all_done(scanner, upload, "processed", body)


def test_two_who_handle_one_upload_at_once_deposit_it_once(scanner: Scanner) -> None:
    """Both have read the check before either decides."""
    meeting = threading.Barrier(2)
    found = reading()

    def read_together(_: Image.Image) -> Any:
        meeting.wait(30)
        return found

    scanner.read_line = read_together
    upload = scanner.upload(name("two@example.com"))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(scanner.process, upload) for _ in range(2)]
    errors = [error for call in calls if (error := call.exception(30))]
    assert all(isinstance(error, BusyError) for error in errors)
    results = [call.result() for call in calls if not call.exception()]
    assert sum(not result.repeated for result in results) + len(errors) >= 1
    assert scanner.deliver(upload).repeated
    assert len(assert_all_done(scanner, upload, "processed", drawing())) == 1
    assert len(scanner.cloud.table("processed")) == 1


def test_one_check_under_two_names_at_once_is_deposited_once(scanner: Scanner) -> None:
    meeting = threading.Barrier(2)
    found = reading()

    def read_together(_: Image.Image) -> Any:
        meeting.wait(30)
        return found

    scanner.read_line = read_together
    uploads = [scanner.upload(name(f"{who}@example.com")) for who in ("ann", "bob")]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(scanner.process, uploads)
    assert {first.decision, second.decision} == {"processed", "review"}
    loser, winner = (first, second) if first.decision == "review" else (second, first)
    assert winner.id in loser.reason
    assert len(scanner.cloud.table("processed")) == 1


def test_a_mail_that_somebody_is_sending_is_left_to_them_for_a_while(scanner: Scanner) -> None:
    upload, body = case(scanner, "processed", 0)
    scanner.process(upload)
    with scanner.cloud.unseen():
        dynamodb = scanner.cloud.dynamodb
        entry = scanner.services.records.get("audited", upload.id)
        claimed = {**entry, "progress": "decided", "mail": "sending", "mail_at": int(scanner.now)}
        dynamodb.put_item(TableName=PREFIX + "audited", Item=claimed)
    with pytest.raises(BusyError, match="try again"):
        scanner.process(upload)
    assert len(scanner.cloud.mails()) == 1
    scanner.now += 60
    scanner.process(upload)
    assert len(assert_all_done(scanner, upload, "processed", body)) == 2


FUNCTION = """\
from examples.check_scanner.handler import handler
say("ready")
hear()
say(handler(event, None))
"""


@pytest.fixture
def deployed(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> tuple[Upload, bytes, Any]:
    """Everything real: the model on S3, a drawn check, the event, settings in the environment."""
    for variable, value in {
        "MODEL_BUCKET": MODELS,
        "MAIL_FROM": SENDER,
        "TABLE_PREFIX": PREFIX,
        "TMPCACHE_ROOT": str(tmpcache.default_cache().root),
        "TMPCACHE_QUOTA": "64 MB",
    }.items():
        monkeypatch.setenv(variable, value)
    with scanner.cloud.unseen():
        scanner.cloud.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
    check = specimen.invent(1)
    body = specimen.draw_jpeg(check)
    upload = scanner.upload(INCOMING + check.file_name, body)
    thing = {"key": quote_plus(upload.key, safe="/"), "eTag": upload.etag, "size": upload.size}
    record = {"s3": {"bucket": {"name": BUCKET}, "object": thing}}
    return upload, body, {"Records": [record]}


@pytest.mark.parametrize("call", ["check.tif", "TransactWriteItems", "POST /", "DELETE"])
def test_a_process_killed_at_any_step_leaves_the_rest_to_the_next(
    scanner: Scanner, deployed: tuple[Upload, bytes, Any], call: str
) -> None:
    """SIGKILL once the step is made and before anybody hears of it."""
    upload, body, event = deployed
    with spawn(FUNCTION, event=event) as child:
        child.hear()
        scanner.cloud.trouble = Trouble(call, "kill", child.pid)
        child.say()
        assert child.wait() == -9
    scanner.cloud.trouble = None
    scanner.now += 10**9  # the child went by the real time
    scanner.read_line = same_every_time(reading())
    result = scanner.process(upload)
    assert (result.decision, result.repeated) == ("processed", call != "check.tif")
    assert len(assert_all_done(scanner, upload, "processed", body)) == 1 + (call == "POST /")


def test_two_functions_that_get_one_event_deposit_once(
    scanner: Scanner, deployed: tuple[Upload, bytes, Any]
) -> None:
    upload, body, event = deployed
    with crowd(2, FUNCTION, event=event) as children:
        release(children)
        assert 0 in [child.wait() for child in children]
    scanner.now += 10**9
    result = scanner.deliver(upload)
    assert result.reading is not None
    assert result.reading.routing.text == specimen.invent(1).routing
    assert assert_all_done(scanner, upload, "processed", body)
    assert len(scanner.cloud.table("processed")) == 1
