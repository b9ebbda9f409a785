"""Every block of Python in README and docs runs, each page as one program.

A page may have HTML comments that begin with ``setup`` or ``check``: code that readers need not
see. ``make(bucket, *keys)`` puts objects into the S3 on loopback that the page is run against.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tmpcache.testing import Bucket

ROOT = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())
CODE = re.compile(r"^(?:<!-- (?:setup|check)\n(.*?)^-->|```python\n(.*?)^```)", re.DOTALL | re.M)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PRELUDE = '''
import io

import boto3

s3 = boto3.client("s3")


def make(bucket, *keys, size=1000, text=None):
    """Put objects; an .npz has the array `templates`."""
    import numpy as np

    for key in keys:
        file = io.BytesIO()
        if key.endswith(".npz") and key != "e13b.npz" and not key.startswith("micr/"):
            np.savez(file, templates=np.arange(4))
        body = file.getvalue() or (text.encode() if text else b"x" * size)
        s3.put_object(Bucket=bucket, Key=key, Body=body)
'''


def program(page: Path) -> str:
    blocks = [hidden or shown for hidden, shown in CODE.findall(page.read_text())]
    return "\n".join(blocks)


def with_code() -> list[str]:
    """All pages with code but two, which have tests of their own."""
    elsewhere = {"docs/write-an-origin.md", "docs/instead-of.md"}
    pages = [str(page.relative_to(ROOT)) for page in PAGES if program(page)]
    return [page for page in pages if page not in elsewhere]


def test_most_how_tos_have_code() -> None:
    assert len(with_code()) >= 14


@pytest.mark.parametrize("page", with_code())
def test_a_page_runs(page: str, bucket: Bucket, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(PRELUDE + program(ROOT / page))
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(script)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": _path()},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr


def _path() -> str:
    """Where the tests find the package, for processes that start elsewhere."""
    return os.pathsep.join(path for path in sys.path if path)
