"""The mail about an upload: to whom, what is in it, and what becomes of one that cannot be sent."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import ClientError
from support.cloud import BUCKET, PREFIX, SENDER
from support.scanner import Scanner, name, reading, same_every_time

from examples.check_scanner.reading import Decision
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload


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
