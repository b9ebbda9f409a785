"""The check scanner as a function: events in, everything real behind it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.cloud import MODELS, PREFIX, SENDER
from support.scanner import Scanner, announce

from examples.check_demo import specimen
from examples.check_scanner import handler, pipeline
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from examples.check_scanner.result import Result
from tmpcache.testing import LambdaHarness


@pytest.fixture
def function(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scanner]:
    """The deployed function: settings in the environment, the real recogniser's model on S3."""
    for variable, value in {
        "MODEL_BUCKET": MODELS,
        "MAIL_FROM": SENDER,
        "TABLE_PREFIX": PREFIX,
    }.items():
        monkeypatch.setenv(variable, value)
    with scanner.cloud.unseen():
        scanner.cloud.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
    handler.services.cache_clear()
    yield scanner
    handler.services.cache_clear()


def drawn(scanner: Scanner, seed: int) -> tuple[specimen.Check, Upload]:
    check = specimen.invent(seed)
    return check, scanner.upload(INCOMING + check.file_name, specimen.draw_jpeg(check))


def test_a_drawn_check_goes_through_all_stages_for_real(function: Scanner, root: Path) -> None:
    check, upload = drawn(function, 1)
    (result,) = handler.handler(announce(upload), None)["results"]
    json.dumps(result)
    assert result["decision"] == "processed"
    assert result["reading"]["routing"]["text"] == check.routing
    assert result["reading"]["account"]["text"] == check.account
    assert result["reading"]["serial"]["text"] == check.serial
    assert result["reading"]["model_version"] == "v1"
    assert not list((root / "scratch").iterdir())


def test_under_lambda_a_warm_function_does_not_ask_about_the_model(function: Scanner) -> None:
    """Lambda's own runtime client, frozen between events."""
    with LambdaHarness("examples.check_scanner.handler.handler") as lambda_function:
        for seed in (1, 2, 3):
            check, upload = drawn(function, seed)
            function.cloud.calls.clear()
            (result,) = lambda_function.invoke(announce(upload)).result["results"]
            assert result["decision"] == "processed"
            assert result["reading"]["serial"]["text"] == check.serial
            asked = [call for call in function.cloud.calls if MODELS in call]
            assert asked == (["GET /models/micr/e13b.npz"] if seed == 1 else [])
        assert lambda_function.cold_starts == 1


def test_one_upload_that_fails_does_not_hold_up_the_others(
    function: Scanner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = [drawn(function, seed)[1] for seed in (1, 2)]
    true_process = pipeline.process

    def fail_once(upload: Upload, services: Any) -> Result:
        if upload is not None and upload.id == uploads[0].id:
            raise ConnectionError("S3 is gone")
        return true_process(upload, services)

    monkeypatch.setattr(handler, "process", fail_once)
    with caplog.at_level(logging.CRITICAL), pytest.raises(ConnectionError):
        handler.handler(announce(*uploads), None)
    monkeypatch.undo()
    assert [row["id"] for row in function.cloud.table("processed")] == [uploads[1].id]


def test_scratch_is_gone_after_a_failure(function: Scanner, root: Path) -> None:
    _, upload = drawn(function, 1)
    during: list[str] = []

    def fail(image: Image.Image) -> Any:
        (work,) = (root / "scratch").glob("*/*")
        during.extend(sorted(path.name for path in work.iterdir()))
        raise KeyboardInterrupt

    function.read_line = fail
    with pytest.raises(KeyboardInterrupt):
        function.process(upload)
    assert during == ["150px.jpg", "300px.jpg", "check.tif", "original.jpg"]
    assert not list((root / "scratch").glob("*/*"))


def test_events_that_announce_no_upload_are_harmless(function: Scanner) -> None:
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "checks"}
    assert handler.handler(test, None) == {"results": [], "ignored": []}
    copy = function.upload("archived/1/300px.jpg")
    assert handler.handler(announce(copy), None) == {"results": [], "ignored": [copy.key]}
    assert not function.cloud.table("audited")


def test_a_missing_model_is_worth_a_retry_not_a_rejection(
    function: Scanner, caplog: pytest.LogCaptureFixture
) -> None:
    with function.cloud.unseen():
        function.cloud.s3.delete_object(Bucket=MODELS, Key="micr/e13b.npz")
    _, upload = drawn(function, 1)
    with caplog.at_level(logging.CRITICAL), pytest.raises(FileNotFoundError):
        handler.handler(announce(upload), None)
    assert [entry["progress"] for entry in function.cloud.table("audited")] == ["received"]
    assert upload.key in function.cloud.objects()
