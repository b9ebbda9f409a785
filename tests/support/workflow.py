"""Step Functions on loopback: moto's interpreter of the states language calls a real function."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from werkzeug.wrappers import Request, Response

from examples.check_scanner.receive import Upload
from support.cloud import Cloud
from tmpcache.testing import LambdaHarness
from tmpcache.testing.loopback import LoopbackServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:scanner"
_ROLE = "arn:aws:iam::123456789012:role/workflow"


@dataclass
class StepFunctions:
    """Runs a definition on `cloud`, whose tasks `function` does; Lambda's API is here.

    Between two tries of a task is a second, whatever the definition says.
    """

    cloud: Cloud
    function: LambdaHarness
    definition: str
    #: Tasks whose next answer gets lost on its way, after the task was done.
    lost: set[str] = field(default_factory=set)
    #: How often each task was called, and the most bytes that one was given.
    asked: Counter[str] = field(default_factory=Counter)
    largest: int = 0

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer as Lambda does; the other services are the cloud's."""
        if "/functions/" not in environ["PATH_INFO"]:
            return self.cloud(environ, start)
        body = Request(environ).get_data()
        event = json.loads(body)
        self.asked[event["task"]] += 1
        self.largest = max(self.largest, len(body))
        done = self.function.invoke(event)
        if event["task"] in self.lost:
            self.lost.remove(event["task"])
            return Response("{}", 500, {"x-amzn-errortype": "ServiceException"})(environ, start)
        headers = {"X-Amz-Function-Error": "Unhandled"} if done.failed else {}
        return Response(json.dumps(done.payload), 200, headers)(environ, start)

    def run(self, upload: Upload, name: str = "first") -> dict[str, Any]:
        """Start an execution with the event of EventBridge; how it ended."""
        thing = {"key": upload.key, "etag": upload.etag, "size": upload.size}
        event = {"detail": {"bucket": {"name": upload.bucket}, "object": thing}}
        return self.execute(event, name)

    def execute(self, event: dict[str, Any], name: str = "first") -> dict[str, Any]:
        """Start an execution with any input; how it ended."""
        started = self._client.start_execution(
            stateMachineArn=self._machine, name=name, input=json.dumps(event)
        )
        while True:
            told: dict[str, Any] = self._client.describe_execution(
                executionArn=started["executionArn"]
            )
            if told["status"] != "RUNNING":
                return told
            time.sleep(0.05)

    def reviews(self) -> list[dict[str, Any]]:
        """What people were asked to look at."""
        told = self._sqs.receive_message(QueueUrl=self._reviews, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in told.get("Messages", ())]

    @cached_property
    def _client(self) -> Any:
        return boto3.client("stepfunctions", endpoint_url=self.cloud.endpoint)

    @cached_property
    def _sqs(self) -> Any:
        return boto3.client("sqs", endpoint_url=self.cloud.endpoint)

    @cached_property
    def _reviews(self) -> str:
        return str(self._sqs.create_queue(QueueName="reviews")["QueueUrl"])

    @cached_property
    def _machine(self) -> str:
        text = filled_in(self.definition, self._reviews)
        text = re.sub(r'("(?:IntervalSeconds|BackoffRate)": )\d+', r"\g<1>1", text)
        made = self._client.create_state_machine(name="checks", definition=text, roleArn=_ROLE)
        return str(made["stateMachineArn"])


def filled_in(definition: str, reviews: str) -> str:
    """Return the definition with what its template would fill in."""
    values = {"Scanner": _FUNCTION, "Reviews": reviews, "Partition": "aws"}
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], definition)


@contextmanager
def step_functions(
    cloud: Cloud, function: LambdaHarness, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StepFunctions]:
    """Run the workflow that is in ``folder``; `cloud` was reset."""
    workflow = StepFunctions(cloud, function, (folder / "workflow.asl.json").read_text("utf-8"))
    server = LoopbackServer(workflow)
    # Where moto's interpreter finds the services that states call.
    monkeypatch.setenv("MOTO_PORT", str(server.address[1]))
    _interpret(cloud, True)
    try:
        yield workflow
    finally:
        _interpret(cloud, False)
        server.stop()


def _interpret(cloud: Cloud, on: bool) -> None:
    """Have moto run state machines, or merely pretend to, as it does by itself."""
    request = urllib.request.Request(
        f"{cloud.endpoint}/moto-api/config",
        json.dumps({"stepfunctions": {"execute_state_machine": on}}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()
