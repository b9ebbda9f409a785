"""An upload's object: the one that was announced is read, kept and removed, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest
from PIL import Image
from support.cloud import BUCKET
from support.scanner import Scanner, drawing, name, reading

from examples.check_scanner import archive, scan
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload


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
