"""The check scanner whole: what becomes of an upload, and what is left of it."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.scanner import Scanner, drawing, name, reading, same_every_time

from examples.check_scanner.errors import BadEventError
from examples.check_scanner.reading import Decision, Field
from examples.check_scanner.receive import PREFIX as INCOMING


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


def test_what_is_not_under_incoming_is_refused_untouched(scanner: Scanner) -> None:
    upload = scanner.upload("archived/x.png")
    with pytest.raises(BadEventError, match="not under"):
        scanner.process(upload)
    assert not scanner.cloud.table("audited")
    assert list(scanner.cloud.objects()) == ["archived/x.png"]
