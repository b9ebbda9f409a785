"""``python -m examples.check_scanner read``: images from disk, whatever they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.scanner import bomb, drawing, reading

from examples.check_demo import specimen
from examples.check_scanner import files
from examples.check_scanner.reading import Field
from examples.check_scanner.recogniser import model

ROOT = Path(__file__).parents[2]
KEYS = ["file", "decision", "reason", "routing", "account", "serial", "amount", "confidence"]


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "examples.check_scanner", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, **options)


def test_every_file_gets_its_line_however_bad_it_is(tmp_path: Path) -> None:
    check = specimen.invent(1)
    (tmp_path / "check.jpg").write_bytes(specimen.draw_jpeg(check))
    (tmp_path / "text.jpg").write_bytes(b"I am a text file.\n" * 100)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(specimen.draw_jpeg(check)[:20_000])
    (tmp_path / "directory.png").mkdir()
    (tmp_path / "bomb.png").write_bytes(bomb(30_000))
    Image.new("RGB", (1200, 550), "white").save(tmp_path / "blank.png")
    odd = os.fsdecode(b"\xff\n.jpg")
    (tmp_path / odd).write_bytes(drawing())
    paths = [*tmp_path.glob("*.*"), tmp_path / "missing.jpg"]
    done = run("read", "--json", *map(str, paths))
    assert (done.returncode, done.stderr) == (1, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == [str(path) for path in paths]
    found = {Path(line["file"]).name: line for line in lines}
    for line in lines:
        assert list(line) == KEYS
        assert line["decision"] in ("accept", "review", "reject", "error")
        assert 0 <= line["confidence"] <= 1
    for missing in ("missing.jpg", "directory.png"):  # no check was seen: none is rejected
        line = found.pop(missing)
        assert line["decision"] == "error"
        assert "The file cannot be opened: " in line["reason"]
    good = found.pop("check.jpg")
    assert good["decision"] == "accept"
    assert good["routing"] == check.routing
    assert good["account"] == check.account
    assert good["serial"] == check.serial
    assert good["amount"] is None
    for name, reason in {
        "text.jpg": "no JPEG",
        "empty.png": "empty",
        "cut.jpg": "truncated",
        "bomb.png": "more than 50,000,000 pixels",
    }.items():
        line = found.pop(name)
        assert line["decision"] == "reject"
        assert reason in line["reason"]
        assert line["routing"] is line["amount"] is None
    for line in found.values():  # pictures, but not of a check
        assert line["decision"] in ("review", "reject")
        assert line["reason"]
    assert run("read", str(tmp_path / odd)).returncode == 0


def test_without_a_file_the_usage_is_told() -> None:
    assert run("read").returncode == 2
    assert b"Usage" in (other := run("scan", "x.jpg")).stderr
    assert other.returncode == 2


def test_the_help_names_every_command() -> None:
    help = run("--help")
    assert help.returncode == 0
    for command in ("read", "batch", "model"):
        assert f"\n  {command} ".encode() in help.stdout
        assert run(command, "--help").returncode == 0


def test_the_commands_in_the_readme_run(tmp_path: Path) -> None:
    """Each command of the sample's own, in turn."""
    readme = (ROOT / "examples" / "check_scanner" / "README.md").read_text("utf-8")
    commands = re.findall(
        r"^\$ python -m examples.check_scanner(.*?)(?:#.*)?$", readme, re.MULTILINE
    )
    assert len(commands) == 4
    assert "$ python -c" not in readme
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    for command in commands:
        words = command.split()
        (tmp_path / "check.jpg").write_bytes(specimen.draw_jpeg(specimen.invent(1)))
        done = subprocess.run(
            [sys.executable, "-m", "examples.check_scanner", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, b""), command
    assert model.load(tmp_path / "e13b.npz").version == "1"


def test_a_file_that_is_missing_is_an_error_and_a_bad_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no image")
    assert run("read", str(tmp_path / "text.jpg")).returncode == 0
    missing = run("read", str(tmp_path / "missing.jpg"), str(tmp_path / "text.jpg"))
    assert missing.returncode == 1
    assert b"missing.jpg: error. The file cannot be opened: No such file" in missing.stdout
    assert b"text.jpg: reject." in missing.stdout


def test_a_name_that_would_command_the_terminal_is_quoted(tmp_path: Path) -> None:
    (line,) = files.look([str(tmp_path / "\x1b[2J.jpg")], lambda _: reading())
    assert files.describe(line).isprintable()


def test_cents_and_words_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(drawing())
    found = reading(serial=Field("0042", 1.0), amount=Field("0000001999", 0.9))
    (line,) = files.look([str(tmp_path / "a.png")], lambda _: found)
    assert line["amount"] == 1999
    assert files.describe(line).endswith(
        "a.png: accept, routing 011000015, account 123456789, serial 0042, amount $19.99 "
        "(confidence 0.97)."
    )


def test_a_recogniser_that_fails_costs_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.png").write_bytes(drawing())

    def fail(_: Image.Image) -> Any:
        raise MemoryError

    (line,) = files.look([str(tmp_path / "a.png")], fail)
    assert line["decision"] == "review"
    assert "MemoryError" in line["reason"]


def test_reading_files_needs_no_aws(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(drawing())
    code = (
        "import sys; from examples.check_scanner.__main__ import main; "
        f"main(['read', {str(tmp_path / 'a.png')!r}], standalone_mode=False); "
        "print([name for name in ('boto3', 'botocore', 'moto', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert done.stdout.splitlines()[-1] == b"[]"
