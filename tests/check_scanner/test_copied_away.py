"""The scanner's folder, copied elsewhere under another name, runs without this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cloud import BUCKET, MODELS, PREFIX, SENDER, Cloud, running
from support.scanner import announce
from support.workflow import step_functions

import tmpcache
from examples.check_demo import specimen
from examples.check_scanner import __file__ as scanner
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from tmpcache.testing import LambdaHarness

CHECK = specimen.invent(1)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the copy, from which children import, beside the installed packages."""
    directory = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(scanner).parent, directory / "scanner", ignore=ignored)
    source = Path(tmpcache.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (directory, source))))
    return directory


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, elsewhere: Path, root: Path) -> Iterator[Cloud]:
    """A cloud with a model, and the copy's settings in the environment."""
    with running() as cloud:
        for name, value in {
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "AWS_ENDPOINT_URL_S3": cloud.endpoint,
            "MODEL_BUCKET": MODELS,
            "MAIL_FROM": SENDER,
            "TABLE_PREFIX": PREFIX,
            "TMPCACHE_ROOT": str(root),
        }.items():
            monkeypatch.setenv(name, value)
        cloud.reset()
        cloud.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
        yield cloud


def run(directory: Path, *arguments: str) -> str:
    """Return what a new interpreter prints."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def upload(cloud: Cloud) -> Upload:
    key, body = INCOMING + CHECK.file_name, specimen.draw_jpeg(CHECK)
    return Upload(BUCKET, key, cloud.put(key, body), len(body))


def test_a_copy_finds_neither_the_repository_nor_its_tests(elsewhere: Path) -> None:
    names = ["scanner", "examples", "support"]
    code = f"from importlib.util import find_spec; print([*map(bool, map(find_spec, {names}))])"
    assert run(elsewhere, "-c", code) == "[True, False, False]\n"


def test_every_module_of_a_copy_is_imported_without_the_demo(elsewhere: Path) -> None:
    code = (
        "import sys, pkgutil, scanner\n"
        "names = [found.name for found in pkgutil.walk_packages(scanner.__path__, 'scanner.')]\n"
        "for name in names: __import__(name)\n"
        "print(len(names), [name for name in sys.modules if name.startswith('examples')])"
    )
    count, found = run(elsewhere, "-c", code).split(maxsplit=1)
    assert int(count) > 40
    assert found == "[]\n"


def test_a_copy_reads_a_check_and_calls_itself_by_its_own_name(elsewhere: Path) -> None:
    (elsewhere / "check.jpg").write_bytes(specimen.draw_jpeg(CHECK))
    line = json.loads(run(elsewhere, "-m", "scanner", "read", "--json", "check.jpg"))
    assert (line["decision"], line["serial"]) == ("accept", CHECK.serial)
    assert run(elsewhere, "-m", "scanner", "--help").startswith("Usage: python -m scanner ")


def test_a_copy_s_handler_processes_an_upload(cloud: Cloud, elsewhere: Path) -> None:
    event = announce(upload(cloud))
    with LambdaHarness("scanner.handler.handler", directory=elsewhere) as function:
        (result,) = function.invoke(event).result["results"]
    assert (result["decision"], result["reading"]["serial"]["text"]) == ("processed", CHECK.serial)


def test_a_copy_s_workflow_processes_an_upload(
    cloud: Cloud, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = upload(cloud)
    with (
        LambdaHarness("scanner.handler.handler", directory=elsewhere) as function,
        step_functions(cloud, function, elsewhere / "scanner", monkeypatch) as workflow,
    ):
        assert workflow.run(known)["status"] == "SUCCEEDED"
    assert [row["id"] for row in cloud.table("processed")] == [known.id]


def test_a_copy_s_batch_processes_a_backlog_in_processes_of_its_own(
    cloud: Cloud, elsewhere: Path
) -> None:
    known = upload(cloud)
    run(elsewhere, "-m", "scanner", "batch", "--bucket", BUCKET, "--workers", "1")
    assert [row["id"] for row in cloud.table("processed")] == [known.id]
