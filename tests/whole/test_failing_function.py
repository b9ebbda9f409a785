"""A function that fails: by its handler, its start or its package, each is named."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from typing import Any

import pytest
from support.functions import Deploy

from tmpcache.testing import FunctionError, InitError, LambdaHarness
from tmpcache.testing.runtime_api import Answer, Event, RuntimeApi

# ---- failing ----------------------------------------------------------------------------------


def test_a_handler_that_raises_fails_its_invocation_and_lives_on(deploy: Deploy) -> None:
    function = deploy("app.obey")
    raised = function.invoke(["raise", "no such check"])
    assert (raised.error_type, raised.error_message) == ("ValueError", "no such check")
    with pytest.raises(FunctionError, match="no such check") as caught:
        _ = raised.result
    assert "raise ValueError(text)" in caught.value.stack_trace
    assert "told raise no such check" in str(caught.value)
    after = function.invoke(["return", 1])
    assert (after.pid, after.error_type, after.error_message) == (raised.pid, None, None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(3, "with error: exit status 3"), (0, "without providing a reason")],
)
def test_a_handler_that_exits_takes_the_process_with_it(
    deploy: Deploy, status: int, reason: str
) -> None:
    function = deploy("app.obey")
    ended = function.invoke(["exit", status], request_id="id")
    assert ended.error_type == "Runtime.ExitError"
    assert ended.error_message == f"RequestId: id Error: Runtime exited {reason}"
    again = function.invoke(["return", 1])
    assert (again.result, again.cold, function.cold_starts) == (1, True, 2)


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("def load():\n    raise RuntimeError('no model')\nload()", "RuntimeError", "in load"),
        ("import no_such_module", "Runtime.ImportModuleError", "no_such_module"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "def handler(:"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("print('bye')\nraise SystemExit(7)", "Runtime.ExitError", "exit status 7"),
        ("import time\ntime.sleep(600)", "Sandbox.Timedout", "0.50 seconds"),
    ],
)
def test_an_init_error_says_what_went_wrong(
    deploy: Deploy, tmp_path: Path, source: str, kind: str, told: str
) -> None:
    (tmp_path / "function" / "broken.py").write_text(source)
    function = deploy("broken.handler", init_timeout=0.5 if "sleep" in source else 10)
    for attempt in (1, 2):
        with pytest.raises(InitError, match=r"^broken\.handler did not initialise") as caught:
            function.invoke()
        assert caught.value.error_type == kind
        assert told in str(caught.value)
        assert (function.pid, function.cold_starts) == (None, attempt)
    assert ("bye" in source) == ("bye" in caught.value.log)


# ---- the parts --------------------------------------------------------------------------------


def test_a_missing_runtime_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awslambdaric", None)
    with pytest.raises(ModuleNotFoundError, match=r"awslambdaric.*'tmpcache\[testing\]'"):
        LambdaHarness("app.handler")


def test_the_runtime_api_knows_no_more_than_it_needs() -> None:
    answers = []

    class Nobody:
        def next_event(self) -> Event | None:
            return None

        def answered(self, answer: Answer) -> None:
            answers.append((answer.payload, answer.failed))

        def init_failed(self, error: Any) -> None:
            raise AssertionError(error)

    api = RuntimeApi(Nobody())
    connection = http.client.HTTPConnection(api.address, timeout=5)
    prefix = "/2018-06-01/runtime/"
    found = []
    for method, path, body in [
        ("GET", "restore/next", None),
        ("POST", "invocation/id/delete", b"{}"),
        ("POST", "invocation/id/error", b"{}"),
    ]:
        connection.request(method, prefix + path, body)
        response = connection.getresponse()
        found.append(response.status)
        response.read()
    assert found == [404, 404, 202]
    assert answers == [(b"{}", True)]
    connection.request("GET", f"{prefix}invocation/next")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()
    api.close()
