"""Which user runs the tests, and that none is skipped unnoticed: `conftest` and `as_user`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_without_what_it_needs():
    pytest.skip("no browser")

@pytest.mark.xfail
def test_known_to_fail():
    raise AssertionError

@pytest.mark.root
def test_for_root():
    pass
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_tests_are_skipped_only_outside_ci_and_left_out_only_for_others_than_root(
    tmp_path: Path, ci: str
) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider"]
    command += [f"--rootdir={tmp_path}", "-o", "markers=root: needs root", "-ra", str(file)]
    said = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "CI": ci}, capture_output=True, text=True
    ).stdout
    if os.geteuid() == 0:
        assert "user: 0 (root): tests marked root run, too" in said
        assert "1 passed" in said
    else:
        assert f"user: {os.geteuid()} (ordinary): tests marked root are left out" in said
        assert "1 deselected" in said
    assert "1 xfailed" in said
    assert ("1 failed" if ci else "1 skipped") in said
    assert ("Nothing may be skipped in CI: no browser" in said) == bool(ci)


@pytest.mark.parametrize("status", [0, 3])
def test_a_command_runs_as_an_ordinary_user_and_ends_as_it_ends(status: int) -> None:
    script = f"import os; print(os.geteuid()); raise SystemExit({status})"
    command = ["tests/as_user", sys.executable, "-c", script]
    here = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert (int(done.stdout) != 0, done.returncode) == (True, status)
