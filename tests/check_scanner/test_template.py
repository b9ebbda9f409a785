"""The check scanner's deployment: the template fits CloudFormation's rules and the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint import api as cfnlint
from support.cloudformation import Loader

from examples.check_scanner import handler, services, tables
from examples.check_scanner.notify import LEASE
from tmpcache.config import parse_size

HERE = Path(handler.__file__).parent
TEMPLATE = HERE / "template.yaml"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    loaded = yaml.load(TEMPLATE.read_text(), Loader)
    return dict(loaded["Resources"])


def test_cloudformation_s_linter_has_nothing_to_say() -> None:
    assert cfnlint.lint_file(TEMPLATE) == []


def test_every_table_is_there_with_its_key(resources: dict[str, Any]) -> None:
    found = {}
    for resource in resources.values():
        if resource["Type"] == "AWS::DynamoDB::Table":
            table = resource["Properties"]
            (key,) = table["KeySchema"]
            name = table["TableName"]["Sub"].removeprefix("${AWS::StackName}-")
            found[name] = key["AttributeName"]
            assert resource["DeletionPolicy"] == "Retain"
    assert found == tables.KEYS


def test_the_environment_has_what_the_code_reads(resources: dict[str, Any]) -> None:
    variables = resources["Scanner"]["Properties"]["Environment"]["Variables"]
    read = set(re.findall(r"``([A-Z_]+)``", services.__doc__ or ""))
    assert read == {name for name in variables if not name.startswith("TMPCACHE_")}
    plain = {name: "0" if isinstance(value, dict) else value for name, value in variables.items()}
    assert services.Settings.from_environment(plain).model_max_age == 300


def test_the_cache_leaves_room_for_scratch(resources: dict[str, Any]) -> None:
    function = resources["Scanner"]["Properties"]
    quota = parse_size(function["Environment"]["Variables"]["TMPCACHE_QUOTA"], total=0, name="")
    assert quota <= function["EphemeralStorage"]["Size"] * 2**20 - 200_000_000


def test_a_mail_is_claimed_for_longer_than_the_function_may_run(resources: dict[str, Any]) -> None:
    assert resources["Scanner"]["Properties"]["Timeout"] < LEASE < 60


def test_the_role_may_do_nothing_with_everything(resources: dict[str, Any]) -> None:
    (policy,) = resources["Scanner"]["Properties"]["Policies"]
    for statement in policy["Statement"]:
        assert "*" not in str(statement["Action"])
        assert statement["Resource"] != "*"


def test_the_image_runs_the_handler_that_there_is() -> None:
    text = (HERE / "Dockerfile").read_text()
    (copied,) = re.findall(r"^COPY (\S+) \$\{LAMBDA_TASK_ROOT\}/(\w+)$", text, re.MULTILINE)
    assert copied == (f"{HERE.parent.name}/{HERE.name}", HERE.name)
    (command,) = re.findall(r'CMD \["([\w.]+)\.(\w+)"\]', text)
    assert command == (f"{HERE.name}.handler", handler.handler.__name__)
