"""The workflow: Step Functions takes a check through the same steps, whatever gets lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.cloud import BUCKET, MODELS, PREFIX, SENDER, Cloud
from support.scanner import announce
from support.workflow import StepFunctions, step_functions

from examples.check_demo import specimen
from examples.check_scanner import __file__ as scanner
from examples.check_scanner import tables
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from examples.check_scanner.steps import TASKS
from tmpcache.testing import LambdaHarness

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CHECK = specimen.invent(1)
GOOD = INCOMING + CHECK.file_name
#: More than is believed without being read on the check.
DOUBTFUL = f"{INCOMING}ann@example.com^12345679^9999.99^1475597700.jpg"
# What differs between two runs.
_WHEN_AND_WHO = {"received_at", "decided_at", "decided_by", "mail_at", "mail_by"}


@cache
def picture() -> bytes:
    return specimen.draw_jpeg(CHECK)


@cache
def drawn_model() -> bytes:
    return model.build("v1", 4)


@pytest.fixture(scope="module")
def function(server: Cloud) -> Iterator[LambdaHarness]:
    """The deployed function, in one process for all tests."""
    settings = {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "MODEL_BUCKET": MODELS,
        "MAIL_FROM": SENDER,
        "TABLE_PREFIX": PREFIX,
    }
    with LambdaHarness("examples.check_scanner.handler.handler", environ=settings) as function:
        yield function


@pytest.fixture
def cloud(server: Cloud, environment: None, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(server, "app", server.app)
    server.reset()
    with server.unseen():
        server.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=drawn_model())
    return server


@pytest.fixture
def workflow(
    cloud: Cloud, function: LambdaHarness, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StepFunctions]:
    with step_functions(cloud, function, Path(scanner).parent, monkeypatch) as workflow:
        yield workflow


def upload(cloud: Cloud, key: str = GOOD) -> Upload:
    return Upload(BUCKET, key, cloud.put(key, picture()), len(picture()))


def recorded(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    """All tables, less when and by whom."""
    return {
        table: [
            {name: value for name, value in row.items() if name not in _WHEN_AND_WHO}
            for row in cloud.table(table)
        ]
        for table in tables.KEYS
    }


def assert_decided_once(cloud: Cloud, id: str, state: str = "processed") -> None:
    """The check is in one final table, archived, and its sender was told once."""
    ends = {table: cloud.table(table) for table in ("processed", "review", "rejected")}
    assert [(table, row["id"]) for table, rows in ends.items() for row in rows] == [(state, id)]
    assert [row["progress"] for row in cloud.table("audited")] == ["done"]
    assert len(cloud.mails()) == 1
    assert not cloud.objects(INCOMING)
    assert f"archived/{id}/original.jpg" in cloud.objects()


def test_a_good_check_ends_archived_with_the_records_of_the_one_function(
    cloud: Cloud, workflow: StepFunctions, function: LambdaHarness
) -> None:
    sent = upload(cloud)
    assert workflow.run(sent)["status"] == "SUCCEEDED"
    assert_decided_once(cloud, sent.id)
    assert [row["decided_by"] for row in cloud.table("audited")] == ["first"]
    assert workflow.asked == dict.fromkeys(TASKS, 1)
    assert workflow.reviews() == []
    found, objects = recorded(cloud), cloud.objects()
    mails = [(mail.subject, mail.body) for mail in cloud.mails()]

    cloud.reset()
    function.invoke(announce(upload(cloud))).result["results"]
    assert recorded(cloud) == found
    assert cloud.objects() == objects
    assert [(mail.subject, mail.body) for mail in cloud.mails()] == mails


def test_states_pass_no_picture_on(cloud: Cloud, workflow: StepFunctions) -> None:
    assert workflow.run(upload(cloud))["status"] == "SUCCEEDED"
    assert 1000 < workflow.largest < 5000 < len(picture())


def test_a_doubtful_check_is_put_before_a_person(cloud: Cloud, workflow: StepFunctions) -> None:
    sent = upload(cloud, DOUBTFUL)
    assert workflow.run(sent)["status"] == "SUCCEEDED"
    assert_decided_once(cloud, sent.id, "review")
    assert workflow.reviews() == [{"id": sent.id, "bucket": BUCKET}]


def test_a_check_that_was_sent_in_before_is_put_before_a_person(
    cloud: Cloud, workflow: StepFunctions
) -> None:
    assert workflow.run(upload(cloud))["status"] == "SUCCEEDED"
    again = upload(cloud, INCOMING + "again." + CHECK.file_name)
    assert workflow.run(again, "second")["status"] == "SUCCEEDED"
    assert [row["id"] for row in cloud.table("review")] == [again.id]
    assert workflow.reviews() == [{"id": again.id, "bucket": BUCKET}]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_whose_answer_is_lost_is_called_again_and_decides_once(
    cloud: Cloud, workflow: StepFunctions, task: str
) -> None:
    sent = upload(cloud)
    workflow.lost = {task}
    assert workflow.run(sent)["status"] == "SUCCEEDED"
    assert workflow.asked == {**dict.fromkeys(TASKS, 1), task: 2}
    assert_decided_once(cloud, sent.id)


def test_a_task_that_fails_for_good_is_put_before_a_person_and_nothing_is_decided(
    cloud: Cloud, workflow: StepFunctions
) -> None:
    app = cloud.app

    def forbidden(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith(GOOD):
            start("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return app(environ, start)

    cloud.app = forbidden
    sent = upload(cloud)
    ended = workflow.run(sent)
    assert (ended["status"], ended["error"]) == ("FAILED", "AccessDeniedError")
    assert GOOD in ended["cause"]
    assert workflow.asked == {"receive": 1, "read": 4}
    assert workflow.reviews() == [{"execution": "first", "error": "AccessDeniedError"}]
    assert [row["progress"] for row in cloud.table("audited")] == ["received"]
    assert not any(cloud.table(table) for table in ("processed", "review", "rejected", "presented"))
    assert (cloud.mails(), list(cloud.objects())) == ([], [GOOD])

    cloud.app = app
    assert workflow.run(sent, "second")["status"] == "SUCCEEDED"
    assert_decided_once(cloud, sent.id)


def test_an_upload_that_is_announced_twice_is_decided_once(
    cloud: Cloud, workflow: StepFunctions
) -> None:
    sent = upload(cloud, DOUBTFUL)
    for name in ("first", "second"):
        assert workflow.run(sent, name)["status"] == "SUCCEEDED"
    assert_decided_once(cloud, sent.id, "review")
    assert [row["decided_by"] for row in cloud.table("audited")] == ["first"]
    assert workflow.asked == {**dict.fromkeys(TASKS, 1), "receive": 2, "archive": 2}
    assert len(workflow.reviews()) == 1


def test_an_execution_goes_on_where_another_one_died_after_deciding(
    cloud: Cloud, workflow: StepFunctions
) -> None:
    sent = upload(cloud, DOUBTFUL)
    app = cloud.app

    def no_mail(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET", "").endswith(".UpdateItem"):
            start("400 Bad Request", [("Content-Length", "0")])
            return [b""]
        return app(environ, start)

    cloud.app = no_mail
    assert workflow.run(sent)["status"] == "FAILED"
    assert [row["progress"] for row in cloud.table("audited")] == ["decided"]
    cloud.app = app
    assert workflow.run(sent, "second")["status"] == "SUCCEEDED"
    assert workflow.asked["read"] == 1
    assert_decided_once(cloud, sent.id, "review")


def test_what_is_no_event_is_put_before_a_person_at_once(workflow: StepFunctions) -> None:
    ended = workflow.execute({"detail": {"bucket": {"name": BUCKET}}})
    assert (ended["status"], ended["error"]) == ("FAILED", "BadEventError")
    assert "Not the detail of an S3 event" in ended["cause"]
    assert workflow.asked == {"receive": 1}
    assert workflow.reviews() == [{"execution": "first", "error": "BadEventError"}]


@pytest.mark.parametrize("key", [INCOMING, "archived/1/300px.jpg"])
def test_what_is_no_upload_is_ignored(cloud: Cloud, workflow: StepFunctions, key: str) -> None:
    """Consoles make an object of a folder; copies are announced if nothing filters them."""
    assert workflow.run(upload(cloud, key))["status"] == "SUCCEEDED"
    assert workflow.asked == {"receive": 1}
    assert not cloud.table("audited")
