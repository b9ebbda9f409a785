"""A batch over a backlog: everything once, whoever dies, and an account that adds up."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest
from support.batch import account, sending, start
from support.cloud import BUCKET, MODELS, Cloud, Late
from werkzeug.wrappers import Response

from examples.check_demo import specimen
from examples.check_scanner.notify import LEASE
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FINAL = ("processed", "review", "rejected")


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
