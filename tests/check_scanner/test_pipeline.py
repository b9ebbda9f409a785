"""The check scanner whole: what becomes of an upload, and what is left of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image
from support.cloud import BUCKET, PREFIX, SENDER, Cloud, running
from support.scanner import Scanner, drawing, name, reading, same_every_time, scanner_on

from examples.check_scanner import archive, scan
from examples.check_scanner.errors import BadEventError
from examples.check_scanner.reading import Decision, Field
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload


@pytest.fixture(scope="module")
def server() -> Iterator[Cloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def scanner(
    server: Cloud, environment: None, monkeypatch: pytest.MonkeyPatch, root: Path
) -> Iterator[Scanner]:
    with scanner_on(server, monkeypatch, root) as scanner:
        yield scanner


def test_a_good_check_is_deposited_archived_and_its_sender_told(scanner: Scanner) -> None:
    found = reading(amount=Field("1999", 0.9))
    scanner.read_line = same_every_time(found)
    upload = scanner.upload(name("ann@example.com", "19.99"))
    result = scanner.process(upload)

    assert (result.decision, result.repeated, result.outcome) == ("processed", False, "fetched")
    assert result.reading == found
    assert result.size == (480, 220)
    (row,) = scanner.cloud.table("processed")
    assert {key: row[key] for key in ("id", "to_account", "routing", "from_account", "email")} == {
        "id": upload.id,
        "to_account": "12345679",
        "routing": found.routing.text,
        "from_account": found.account.text,
        "email": "ann@example.com",
    }
    assert row["amount_cents"] == 1999
    assert type(row["amount_cents"]) is Decimal
    (mail,) = scanner.cloud.mails()
    assert mail.destinations["ToAddresses"] == ["ann@example.com"]
    assert mail.subject == "Your check has been accepted for deposit"
    assert "$19.99" in mail.body
    assert "…5679" in mail.body
    assert "12345679" not in mail.body
    assert sorted(scanner.cloud.objects()) == sorted(result.copies.values())
    assert scanner.cloud.objects()[result.copies["original"]] == drawing()
    for stage in ("receive", "fetch", "image", "copies", "read", "record", "archive", "notify"):
        assert result.timings[stage] > 0


def test_a_result_says_the_same_as_json(scanner: Scanner) -> None:
    upload = scanner.upload(name())
    for _ in range(2):
        result = scanner.process(upload)
        plain = json.loads(json.dumps(result.to_json()))
        assert plain["decision"] == "processed"
        assert plain["deposit"]["amount_cents"] == 1999
        assert plain["deposit"]["time"].startswith("2016-10-04T")
        assert plain["reading"]["routing"]["box"][1] == [9.5, 2.0]
        assert plain["copies"]["300px.jpg"].endswith("/300px.jpg")


def test_a_repeated_event_changes_nothing_and_says_what_was_decided(scanner: Scanner) -> None:
    upload = scanner.upload(name())
    first = scanner.process(upload)
    before = {table: scanner.cloud.table(table) for table in ("audited", "processed", "presented")}
    scanner.read_line = same_every_time(reading(decision=Decision.REJECT, reason="Never read."))
    scanner.cloud.calls.clear()
    again = scanner.process(upload)
    assert again.repeated
    for part in ("id", "decision", "reason", "deposit", "reading", "copies", "size"):
        assert getattr(again, part) == getattr(first, part)
    for table, rows in before.items():
        assert scanner.cloud.table(table) == rows
    assert len(scanner.cloud.mails()) == 1
    assert not [call for call in scanner.cloud.calls if call.startswith("GET")]


def test_the_same_bytes_sent_again_under_the_same_name_are_cleared_away(scanner: Scanner) -> None:
    key = name()
    scanner.process(scanner.upload(key))
    assert scanner.process(scanner.upload(key)).repeated
    assert not scanner.cloud.objects(INCOMING)
    assert len(scanner.cloud.table("processed")) == 1


def test_the_same_check_under_another_name_is_for_a_person(scanner: Scanner) -> None:
    scanner.read_line = same_every_time(reading())
    first = scanner.process(scanner.upload(name("ann@example.com")))
    second = scanner.process(scanner.upload(name("bob@example.com")))
    assert (first.decision, second.decision) == ("processed", "review")
    assert first.id in second.reason
    assert [row["id"] for row in scanner.cloud.table("processed")] == [first.id]
    assert [row["id"] for row in scanner.cloud.table("review")] == [second.id]
    told = scanner.cloud.mails()[1].body
    assert "look at it" in told
    assert "sent in before" in told
    assert first.id not in told  # that upload is somebody else's


def test_a_check_that_waits_for_a_person_is_not_deposited_under_another_name(
    scanner: Scanner,
) -> None:
    found = reading()
    scanner.read_line = same_every_time(found)
    first = scanner.upload(name(amount="19.99"))
    scanner.read_line = same_every_time(
        reading(serial=found.serial, decision=Decision.REVIEW, reason="Blurred.")
    )
    assert scanner.process(first).decision == "review"
    scanner.read_line = same_every_time(found)
    assert scanner.process(scanner.upload(name())).decision == "review"
    assert not scanner.cloud.table("processed")


def test_a_rejected_check_may_be_sent_again(scanner: Scanner) -> None:
    found = reading()
    scanner.read_line = same_every_time(
        reading(serial=found.serial, decision=Decision.REJECT, reason="Torn.")
    )
    assert scanner.process(scanner.upload(name())).decision == "rejected"
    scanner.read_line = same_every_time(found)
    assert scanner.process(scanner.upload(name())).decision == "processed"


@pytest.mark.parametrize(
    ("key", "body", "reason", "mails"),
    [
        ("incoming/holiday.png", drawing(), "1 parts", 0),
        (name(amount="1e9"), drawing(), "amount", 1),
        (name(amount="-5"), drawing(), "amount", 1),
        (name(amount="19.999"), drawing(), "amount", 1),
        (name("no address"), drawing(), "email", 0),
        (name(), b"", "empty", 1),
        (name(), b"I am a text file.", "is no JPEG", 1),
        (name(), drawing("GIF")[:60], "cannot be decoded", 1),
    ],
)
def test_what_can_never_be_deposited_is_rejected_with_its_reason_and_kept(
    scanner: Scanner, key: str, body: bytes, reason: str, mails: int
) -> None:
    upload = scanner.upload(key, body)
    result = scanner.process(upload)
    assert result.decision == "rejected"
    assert reason in result.reason
    assert [row["id"] for row in scanner.cloud.table("rejected")] == [upload.id]
    assert scanner.cloud.objects() == {result.copies["original"]: body}
    assert len(scanner.cloud.mails()) == mails
    assert not scanner.cloud.table("presented")
    assert scanner.process(upload).repeated


def test_a_name_that_would_write_a_header_gets_no_mail(scanner: Scanner) -> None:
    upload = Upload(BUCKET, name("ann@example.com\r\nBcc: all@example.com"), "5d41", 7)
    result = scanner.process(upload)
    assert (result.decision, scanner.cloud.mails()) == ("rejected", [])
    (entry,) = scanner.cloud.table("audited")
    assert (entry["progress"], entry["mail"]) == ("done", "none")


@pytest.mark.parametrize(
    "rest",
    [
        "^You won, see http://evil.example^2.00^3.png",
        "^You won, see http://evil.example.png",
        "^1^You won, see http://evil.example^3.png",
        "^1^2.00^You won, see http://evil.example.png",
        "^1^2.00^3.You won, see http://evil.example",
        "^1^2.00^\r\nBcc: You won, see http://evil.example.png",
        "^1^2.00^\u202eYou won, see http://evil.example.png",
        "^1^2.00^" + "You won, see http://evil.example" * 20 + ".png",
    ],
)
def test_a_stranger_cannot_have_the_bank_write_what_he_likes_to_whom_he_likes(
    scanner: Scanner, rest: str
) -> None:
    """The name has the address and the text; in the mail is none of it, on record it is quoted."""
    upload = Upload(BUCKET, f"incoming/victim@example.com{rest}", "5d41", 7)
    result = scanner.process(upload)
    (mail,) = scanner.cloud.mails()
    for text in (mail.subject, mail.body):
        assert "You won" not in text
        assert "evil" not in text
        assert "Bcc" not in text
    assert "Reason: The file's name " in mail.body
    assert "'victim@example.com^" in result.reason
    assert result.reason.isprintable()
    assert len(result.reason) < 200


@pytest.mark.parametrize("decision", [*Decision])
def test_no_mail_says_that_money_was_moved(scanner: Scanner, decision: Decision) -> None:
    """What is processed is an instruction to deposit, and somebody else carries it out."""
    scanner.read_line = same_every_time(reading(decision=decision, reason="So it is."))
    scanner.process(scanner.upload(name()))
    (mail,) = scanner.cloud.mails()
    for text in (mail.subject, mail.body):
        assert "deposited" not in text.replace("Nothing will be deposited", "")


def test_a_reason_in_a_mail_is_one_short_line(scanner: Scanner) -> None:
    """Whatever a decoder or a recogniser of somebody else's puts into its words."""
    long = "Odd:\r\nBcc: all@example.com\x1b[2J" + "x" * 1000
    scanner.read_line = same_every_time(reading(decision=Decision.REVIEW, reason=long))
    scanner.process(scanner.upload(name()))
    (told,) = (line for line in scanner.cloud.mails()[0].body.splitlines() if "Odd:" in line)
    assert told.startswith("Reason: Odd: Bcc: all@example.com [2Jxxx")
    assert told.isprintable()
    assert len(told) < 320


def test_what_is_too_large_is_rejected_without_downloading_it(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = scanner.upload(name())
    monkeypatch.setattr(scan, "MAX_BYTES", 100)
    scanner.cloud.calls.clear()
    assert "more than" in scanner.process(upload).reason
    assert not [call for call in scanner.cloud.calls if call.startswith("GET")]


def test_what_cannot_be_copied_in_one_request_stays_where_it_is(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = scanner.upload(name())
    monkeypatch.setattr(scan, "MAX_BYTES", 100)
    monkeypatch.setattr(archive, "_MOST", 100)
    assert scanner.process(upload).decision == "rejected"
    assert list(scanner.cloud.objects()) == [upload.key]


def test_an_object_deleted_before_its_event_came_is_rejected(scanner: Scanner) -> None:
    upload = scanner.upload(name())
    with scanner.cloud.unseen():
        scanner.cloud.s3.delete_object(Bucket=BUCKET, Key=upload.key)
    result = scanner.process(upload)
    assert (result.decision, result.copies) == ("rejected", {})
    assert "gone before it could be read" in result.reason
    assert len(scanner.cloud.mails()) == 1


def test_an_object_replaced_before_its_event_came_is_left_to_the_event_of_the_new_one(
    scanner: Scanner,
) -> None:
    key = name()
    old = scanner.upload(key, drawing())
    new = scanner.upload(key, drawing("TIFF"))
    assert "took its place" not in (result := scanner.process(old)).reason
    assert "Another upload of the same name" in result.reason
    assert scanner.cloud.objects(key) == {key: drawing("TIFF")}
    assert scanner.process(new).decision == "processed"


def test_an_upload_that_replaces_one_that_is_being_read_is_not_swept_away(
    scanner: Scanner,
) -> None:
    key = name()
    first = scanner.upload(key, drawing())
    later: list[Upload] = []

    def read_and_be_overtaken(_: Image.Image) -> Any:
        if not later:
            later.append(scanner.upload(key, drawing("TIFF")))
        return reading()

    scanner.read_line = read_and_be_overtaken
    result = scanner.process(first)
    assert result.decision == "processed"
    assert scanner.cloud.objects(key) == {key: drawing("TIFF")}
    assert scanner.process(later[0]).decision == "processed"
    assert not scanner.cloud.objects(key)


def test_an_object_that_vanishes_while_it_is_read_is_archived_from_what_was_read(
    scanner: Scanner,
) -> None:
    upload = scanner.upload(name())

    def read_and_lose(_: Image.Image) -> Any:
        with scanner.cloud.unseen():
            scanner.cloud.s3.delete_object(Bucket=BUCKET, Key=upload.key)
        return reading()

    scanner.read_line = read_and_lose
    result = scanner.process(upload)
    assert result.decision == "processed"
    assert scanner.cloud.objects()[result.copies["original"]] == drawing()


def test_an_event_without_etag_is_asked_about(scanner: Scanner) -> None:
    upload = scanner.upload(name())
    result = scanner.process(Upload(BUCKET, upload.key))
    assert (result.decision, result.id) == ("processed", upload.id)


def test_an_event_without_etag_for_what_is_done_and_gone_alarms_nobody(scanner: Scanner) -> None:
    upload = scanner.upload(name())
    scanner.process(upload)
    assert scanner.process(Upload(BUCKET, upload.key)).decision == "rejected"
    assert len(scanner.cloud.mails()) == 1


def test_each_version_is_read_and_removed_as_itself(scanner: Scanner) -> None:
    with scanner.cloud.unseen():
        s3 = scanner.cloud.s3
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        key, uploads = name(), []
        for format in ("PNG", "TIFF"):
            put = s3.put_object(Bucket=BUCKET, Key=key, Body=drawing(format))
            etag, version = put["ETag"].strip('"'), put["VersionId"]
            uploads.append(Upload(BUCKET, key, etag, len(drawing(format)), version))
    for upload, format in zip(uploads, ("PNG", "TIFF"), strict=True):
        result = scanner.process(upload)
        assert result.decision == "processed"
        assert scanner.cloud.objects()[result.copies["original"]] == drawing(format)
    with scanner.cloud.unseen():
        left = s3.list_object_versions(Bucket=BUCKET, Prefix=INCOMING)
    assert not left.get("Versions", ())
    assert not left.get("DeleteMarkers", ())


def test_a_recogniser_that_fails_leaves_the_check_to_a_person(
    scanner: Scanner, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Image.Image) -> Any:
        raise ZeroDivisionError("no pitch")

    scanner.read_line = fail
    with caplog.at_level(logging.CRITICAL):
        result = scanner.process(scanner.upload(name()))
    assert result.decision == "review"
    assert "no pitch" in result.reason


def test_what_cannot_be_written_down_was_not_read(
    scanner: Scanner, caplog: pytest.LogCaptureFixture
) -> None:
    for confidence in (float("nan"), np.float32(0.9)):
        scanner.read_line = same_every_time(reading(confidence=confidence))
        with caplog.at_level(logging.CRITICAL):
            assert scanner.process(scanner.upload(name())).decision == "review"


def test_the_amount_in_figures_is_compared_where_it_can_be_read(scanner: Scanner) -> None:
    strict = Scanner(scanner.cloud, read_amount=lambda _: Field("2099", 0.9))
    result = strict.process(strict.upload(name(amount="19.99")))
    assert (result.decision, result.courtesy) == ("review", Field("2099", 0.9))
    assert "$20.99" in result.reason


def test_an_address_that_ses_cannot_use_does_not_hold_the_deposit_up(
    scanner: Scanner, caplog: pytest.LogCaptureFixture
) -> None:
    upload = scanner.upload(name())
    scanner.process(upload)
    with scanner.cloud.unseen():
        entry = scanner.services.records.get("audited", upload.id)
        pending = {**entry, "email": "nobody", "progress": "decided", "mail": "pending"}
        scanner.cloud.dynamodb.put_item(TableName=PREFIX + "audited", Item=pending)
    with caplog.at_level(logging.CRITICAL):
        assert scanner.process(upload).decision == "processed"
    (entry,) = scanner.cloud.table("audited")
    assert (entry["progress"], entry["mail"]) == ("done", "failed")


def test_mails_that_ses_does_not_send_yet_are_sent_once_it_does(scanner: Scanner) -> None:
    with scanner.cloud.unseen():
        scanner.cloud.ses.delete_identity(Identity=SENDER)
    upload = scanner.upload(name())
    with pytest.raises(ClientError, match="MessageRejected"):
        scanner.process(upload)
    assert list(scanner.cloud.objects(INCOMING)) == [upload.key]  # there is something left to do
    assert len(scanner.cloud.table("processed")) == 1
    with scanner.cloud.unseen():
        scanner.cloud.ses.verify_email_identity(EmailAddress=SENDER)
    assert scanner.deliver(upload).repeated
    assert len(scanner.cloud.mails()) == 1
    assert not scanner.cloud.objects(INCOMING)


def test_what_is_not_under_incoming_is_refused_untouched(scanner: Scanner) -> None:
    upload = scanner.upload("archived/x.png")
    with pytest.raises(BadEventError, match="not under"):
        scanner.process(upload)
    assert not scanner.cloud.table("audited")
    assert list(scanner.cloud.objects()) == ["archived/x.png"]


def test_the_original_is_copied_on_condition_that_it_is_the_one_that_was_read(
    scanner: Scanner,
) -> None:
    """moto does not look at the condition, S3 does; it has to be there."""
    sent: list[Any] = []
    client = boto3.client("s3")
    client.meta.events.register(
        "before-send.s3.CopyObject", lambda request, **_: sent.append(request.headers)
    )
    scanner.services = replace(scanner.services, s3=client)
    upload = scanner.upload(name())
    scanner.process(upload)
    (headers,) = sent
    assert headers["x-amz-copy-source-if-match"].decode() == f'"{upload.etag}"'
