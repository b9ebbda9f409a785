"""The site is built from the pages and the docstrings without a warning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())


def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    """A link or a name that leads nowhere is an error; so is a page that is not in the menu."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "not included in the" not in done.stderr
    reference = (tmp_path / "reference/index.html").read_text()
    for name in ("tmpcache.cache.Cache.fetch", "tmpcache.errors.NotCachedError"):
        assert f'id="{name}"' in reference
    assert ":meth:" not in reference
    assert "doctest:" not in reference
