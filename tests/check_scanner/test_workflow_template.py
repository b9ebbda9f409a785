"""The workflow's deployment: it fits CloudFormation's rules, the stack below it and the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint import api as cfnlint
from support.cloudformation import Loader
from support.workflow import filled_in

from examples.check_scanner import __file__ as scanner
from examples.check_scanner.receive import PREFIX
from examples.check_scanner.steps import TASKS

HERE = Path(scanner).parent
DEFINITION = (HERE / "workflow.asl.json").read_text("utf-8")
STATES = json.loads(DEFINITION)["States"]


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return dict(yaml.load((HERE / "workflow.yaml").read_text("utf-8"), Loader))


@pytest.fixture(scope="module")
def machine(template: dict[str, Any]) -> dict[str, Any]:
    return dict(template["Resources"]["Workflow"]["Properties"])


def test_cloudformation_s_linter_has_nothing_to_say() -> None:
    assert cfnlint.lint_file(HERE / "workflow.yaml") == []


def test_its_schema_of_the_states_language_allows_the_definition() -> None:
    properties = {
        "DefinitionString": filled_in(DEFINITION, "https://sqs.example/reviews"),
        "RoleArn": "arn:aws:iam::123456789012:role/workflow",
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    template = json.dumps({"Resources": {"Workflow": machine}})
    assert cfnlint.lint(template, regions=["us-east-1"]) == []


def test_all_that_the_definition_leaves_open_is_filled_in(machine: dict[str, Any]) -> None:
    assert machine["DefinitionUri"] == "workflow.asl.json"
    assert set(re.findall(r"\$\{(\w+)\}", DEFINITION)) == set(machine["DefinitionSubstitutions"])


def test_states_call_the_tasks_that_there_are() -> None:
    called = [state["Parameters"].get("task") for state in STATES.values() if "Resource" in state]
    assert [task for task in called if task] == list(TASKS)


def test_every_call_is_tried_again_and_its_failure_caught() -> None:
    for name, state in STATES.items():
        if state["Type"] == "Task":
            *_, retry = state["Retry"]
            assert (retry["ErrorEquals"], retry["MaxAttempts"]) == (["States.ALL"], 3)
            assert name == "TellPeople" or state["Catch"][0]["Next"] == "TellPeople"


def test_the_stack_that_it_builds_on_exports_what_it_imports(template: dict[str, Any]) -> None:
    below = yaml.load((HERE / "template.yaml").read_text("utf-8"), Loader)
    named = [output.get("Export", {}).get("Name") for output in below["Outputs"].values()]
    exported = {name["Sub"].removeprefix("${AWS::StackName}") for name in named if name}
    imported = re.findall(r"\$\{ScannerStack\}(-\w+)", json.dumps(template))
    assert set(imported) == exported


def test_it_is_told_of_what_arrives_under_incoming(machine: dict[str, Any]) -> None:
    pattern = machine["Events"]["Upload"]["Properties"]["Pattern"]
    assert pattern["detail"]["object"] == {"key": [{"prefix": PREFIX}]}


def test_the_bucket_can_tell_it_instead_of_the_function() -> None:
    """The change to the stack below that the template's head tells of."""
    told = re.findall(r"#   (NotificationConfiguration: .+)", (HERE / "workflow.yaml").read_text())
    text = (HERE / "template.yaml").read_text("utf-8")
    text = re.sub(r"(?m)^      Events:\n(?:        .*\n)+", "", text, count=1)
    text = text.replace(
        "      BucketName: !Ref BucketName", f"      BucketName: !Ref BucketName\n      {told[0]}"
    )
    assert "s3:ObjectCreated" not in text
    assert cfnlint.lint(text, regions=["us-east-1"]) == []
