"""The examples of docs/command-line.md, run one after the other in a shell."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tmpcache.cli.errors import HELP
from tmpcache.testing import S3Server

PAGE = Path(__file__).parents[2] / "docs/command-line.md"


def examples() -> list[tuple[str, list[str]]]:
    """Return the commands of the page, and the lines that each is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return [example for example in found if not example[0].startswith("pip ")]


def test_the_examples_print_what_the_page_says(
    s3: S3Server, installed: None, tmp_path: Path
) -> None:
    inputs = s3.bucket("inbox")
    inputs.put("a.csv", b"a\n")
    inputs.put("b.csv", b"b\n")
    commands = examples()
    assert len(commands) >= 20
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, (command, done.stderr)
        lines = done.stdout.splitlines()
        assert len(lines) == len(expected), (command, lines)
        for line, pattern in zip(lines, expected, strict=True):
            wanted = ".*".join(map(re.escape, pattern.split("…")))
            assert re.fullmatch(wanted, line), (command, line)


def test_the_page_has_the_exit_codes_of_the_help() -> None:
    in_help = re.findall(r"^  (\d+) +(.*)", HELP, re.MULTILINE)
    on_page = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [code for code, _ in on_page] == [code for code, _ in in_help]
    for (_, one), (_, other) in zip(in_help, on_page, strict=True):
        assert one.replace("...", "…") == other.replace("`", "")


def test_the_page_is_read_at_one_sitting() -> None:
    assert PAGE.read_text().count("\n") <= 150
