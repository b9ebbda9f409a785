"""Directories under the root are read such that an interrupt leaves none open."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tmpcache.store.filesystem import files


class StruckError(Exception):
    pass


def strike(frame: FrameType, event: str, function: Any) -> None:
    """Raise what a signal handler would, as soon as a directory is open and Python runs again."""
    if event == "c_return" and function is os.scandir:
        raise StruckError


def test_no_interrupt_falls_between_opening_and_closing_a_directory(tmp_path: Path) -> None:
    """An iterator of `os.scandir` that is dropped half-read gives a warning, in a finalizer."""
    (tmp_path / "a").write_bytes(bytes(4096))
    (tmp_path / "b").mkdir()
    sys.setprofile(strike)
    try:
        names = files.names(str(tmp_path), lambda name: True)
        found = files.allocated_in(str(tmp_path), lambda name: False)
    finally:
        sys.setprofile(None)
    assert names == ["a"]
    assert found >= 4096


@pytest.mark.parametrize("name", ["gone", "a"])
def test_what_is_no_directory_has_no_entries(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").touch()
    assert files.names(str(tmp_path / name), lambda name: True) == []
    assert files.allocated_in(str(tmp_path / name), lambda name: False) == 0
