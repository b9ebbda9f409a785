"""The demo: a command that keeps its promises, and says so when it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from examples.check_demo import show, specimen, uploads
from examples.check_demo.__main__ import FEWEST, main
from examples.check_demo.acts import Play, play
from examples.check_demo.cases import Case, cases
from examples.check_demo.cloud import CHECKS, PREFIX, SENDER, Cloud, running
from examples.check_demo.large import starts
from examples.check_demo.page import Story
from examples.check_demo.promises import Promise, promises
from examples.check_scanner.result import State
from tmpcache.testing import FunctionError

HERE = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="awslambdaric is for Linux")


def test_the_command_prints_a_table_writes_a_page_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "examples.check_demo", "--checks", "12", "--output", "page.html"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": _path()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = {
        row[:12].strip(): row[12:].split()
        for row in done.stdout.splitlines()
        if row.startswith(("cold", "warm", "restarted", "new model", "repeated"))
    }
    # uploads, processed, review, rejected, requests, for the model
    assert [rows[act][0] for act in rows] == ["1", "15", "1", "2", "19"]
    assert rows["repeated"][1:4] == ["0", "0", "0"]
    assert [rows[act][5] for act in ("cold", "warm", "restarted", "repeated")] == list("1000")
    decided = [sum(int(rows[act][column]) for act in rows) for column in (1, 2, 3)]
    assert sum(decided) == 19
    assert decided[2] >= 4
    assert "NOT KEPT" not in done.stdout
    assert done.stdout.count("✓") == 15
    where = re.search(r"The page, .*: (/.*)$", done.stdout, re.MULTILINE)
    assert where
    page = Path(where[1])
    assert page == tmp_path / "page.html"
    text = page.read_text("utf-8")
    assert text.count("<article ") == 19
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert len(text) < 8_000_000 * 19 / 67
    assert list(temporary.iterdir()) == []


def _path() -> str:
    return os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])


@dataclass(frozen=True)
class Played:
    """A play whose promises were kept, and whose services are still there to be tampered with."""

    play: Play
    cases: list[Case]
    cloud: Cloud

    def broken(self, **changes: Any) -> list[str]:
        """The promises that are not kept any more."""
        now = replace(self, **changes)
        return [one.text for one in promises(now.play, now.cases, now.cloud) if one.broken]


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    before = dict(os.environ)
    checks = list(uploads.checks(FEWEST))
    os.environ["PYTHONPATH"] = _path()
    try:
        with running() as cloud:
            done = play(cloud, checks, uploads.odd_ones(checks[0]), lambda _: None)
            yield Played(done, cases(done, cloud), cloud)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_its_promises_are_kept(played: Played) -> None:
    assert played.broken() == []
    assert len(promises(played.play, played.cases, played.cloud)) == 15


def test_a_large_model_is_downloaded_once_and_then_neither_after_a_restart_nor_unchanged(
    played: Played,
) -> None:
    cold, restarted, asked, warm = starts(played.cloud)
    assert cold.requests >= 1
    assert (restarted.requests, asked.requests, warm.requests) == (0, 1, 0)
    assert min(one.seconds for one in (cold, restarted, asked, warm)) > 0


def test_an_upload_in_two_tables_is_noticed(played: Played) -> None:
    first = next(case for case in played.cases if case.state is State.PROCESSED)
    dynamodb, table = played.cloud._dynamodb, PREFIX + "review"
    dynamodb.put_item(TableName=table, Item={"id": first.id})
    assert [text[:12] for text in played.broken()] == ["Every upload", "Repeated eve"]
    dynamodb.delete_item(TableName=table, Key={"id": first.id})
    assert played.broken() == []


def test_an_upload_in_no_table_is_noticed(played: Played) -> None:
    absent = replace(played.cases[0], id="0" * 32)
    assert played.broken(cases=[absent, *played.cases[1:]])[0].startswith("Every upload is in")


def test_a_second_deposit_of_one_check_is_noticed(played: Played) -> None:
    again = [replace(case, state=State.PROCESSED) for case in played.cases]
    assert "No check is accepted twice." in played.broken(cases=again)


def test_a_mail_too_many_is_noticed(played: Played) -> None:
    ses = boto3.client("ses", endpoint_url=played.cloud._s3.meta.endpoint_url)
    ses.send_email(
        Source=SENDER,
        Destination={"ToAddresses": ["ann@example.com"]},
        Message={"Subject": {"Data": "Again"}, "Body": {"Text": {"Data": ""}}},
    )
    assert [text[:12] for text in played.broken()] == ["Repeated eve", "Every sender"]
    sent = played.cloud.mails()
    assert sent.pop().to == "ann@example.com"
    _unsend()
    assert played.broken() == []


def _unsend() -> None:
    from moto.ses.models import ses_backends

    next(iter(ses_backends["123456789012"].values())).sent_messages.pop()


def test_what_is_left_in_incoming_is_noticed(played: Played) -> None:
    played.cloud._s3.put_object(Bucket=CHECKS, Key="incoming/left", Body=b"")
    assert "Nothing is left in incoming/." in played.broken()
    played.cloud._s3.delete_object(Bucket=CHECKS, Key="incoming/left")
    assert played.broken() == []


def test_an_original_that_changed_in_the_archive_is_noticed(played: Played) -> None:
    changed = replace(played.cases[0], original=b"")
    (broken,) = played.broken(cases=[changed, *played.cases[1:]])
    assert broken.startswith("Every original")


@pytest.mark.parametrize("what", ["routing", "cents", "claim"])
def test_a_deposit_that_was_not_read_as_printed_is_noticed(played: Played, what: str) -> None:
    number, one = next(
        (n, case) for n, case in enumerate(played.cases) if case.state is State.PROCESSED
    )
    assert one.sent.truth
    assert one.sent.cents
    wrong = {
        "routing": replace(one, sent=replace(one.sent, truth=replace(one.sent.truth, routing="0"))),
        "cents": replace(one, sent=replace(one.sent, cents=one.sent.cents + 1)),
        "claim": replace(one, deposit={**(one.deposit or {}), "amount_cents": 1}),
    }[what]
    others = [*played.cases[:number], wrong, *played.cases[number + 1 :]]
    assert played.broken(cases=others) == ["What is accepted was read as it is printed."]


def test_what_is_wrong_on_purpose_must_not_be_deposited(played: Played) -> None:
    number = next(n for n, c in enumerate(played.cases) if c.sent.about == "no check in it")
    deposited = replace(played.cases[number], state=State.PROCESSED)
    broken = played.broken(cases=[*played.cases[:number], deposited, *played.cases[number + 1 :]])
    assert "What is wrong on purpose is refused, or left to a person." in broken


def _asked_again(play: Play) -> None:
    play.warm.visits[0].requests.extend(play.cold.visits[0].for_the_model)


def _never_asked(play: Play) -> None:
    play.cold.visits[0].requests.clear()


def _asked_after_a_restart(play: Play) -> None:
    play.restarted.visits[0].requests.extend(play.cold.visits[0].for_the_model)


def _old_model(play: Play) -> None:
    play.new_model.visits[-1].result["reading"]["model_version"] = "e13b-1"


def _left_behind(play: Play) -> None:
    play.warm.visits[-1].scratch.append("/tmp/left")


def _too_much(play: Play) -> None:
    play.warm.visits[-1] = replace(play.warm.visits[-1], disk=8_000_001)


def _decided_again(play: Play) -> None:
    play.repeated.visits[-1].result["repeated"] = False


@pytest.mark.parametrize(
    ("tamper", "promise"),
    [
        (_never_asked, "A cold start downloads the model once."),
        (_asked_again, "Warm: within max_age nobody asks S3 about the model."),
        (_asked_after_a_restart, "Restarted: within max_age nobody asks S3 about the model."),
        (_old_model, "After max_age the next check has the new model, by one download."),
        (_left_behind, "No scratch files are left."),
        (_too_much, "The cache never has more than its 8,000,000 bytes on disk."),
        (_decided_again, "Repeated events change nothing and send no mail."),
    ],
)
def test_a_cache_that_does_not_do_its_work_is_noticed(
    played: Played, tamper: Callable[[Play], None], promise: str
) -> None:
    other = deepcopy(played.play)
    tamper(other)
    assert played.broken(play=other) == [promise]


def test_a_broken_promise_is_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = Story([], [], [Promise("Pigs fly.", "Not here.")], {state: [] for state in State}, [])
    monkeypatch.setattr(show, "told", lambda *_: told)
    assert show.show(1, tmp_path / "page.html") == 1
    assert "NOT KEPT: Pigs fly. Not here." in capsys.readouterr().out
    assert "Pigs fly." in (tmp_path / "page.html").read_text("utf-8")


def test_a_function_that_fails_is_told_with_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> Story:
        raise FunctionError("the invocation failed", {"errorType": "KeyError"}, ["its log"])

    monkeypatch.setattr(show, "told", fail)
    assert show.show(1, tmp_path / "page.html") == 1
    assert "KeyError" in (said := capsys.readouterr().err)
    assert "its log" in said
    assert not (tmp_path / "page.html").exists()


def test_too_few_checks_are_a_mistake_in_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", "--checks", "1"])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    assert "x>=5" in capsys.readouterr().err


def test_the_same_number_draws_the_same_checks() -> None:
    clean, mobile = uploads.checks(2)
    assert clean.body == specimen.sample(0, "clean").upload
    assert mobile.body == specimen.sample(1, "mobile").upload
