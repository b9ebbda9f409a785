"""A traceback shows the caller's code and the message, not what lies between."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tmpcache.errors import is_out_of_files
from tmpcache.testing import S3Server

FETCH = """
import tmpcache
def reads_a_setting():
    return {}["threshold"]
def handler():
    tmpcache.fetch("models", "missing")
try:
    reads_a_setting()
except KeyError:
    handler()
"""


def trace(root: Path, server: S3Server, origin: str, **changed: str | None) -> list[str]:
    variables = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "TMPCACHE_ROOT": str(root),
        "TMPCACHE_ORIGIN": origin,
        **changed,
    }
    known = {name: value for name, value in variables.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", FETCH], env=known, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr.rstrip().splitlines()


@pytest.mark.parametrize("origin", ["auto", "boto3", "obstore"])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "tmpcache.errors.ObjectNotFoundError: s3://models/missing: "),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "tmpcache.errors.OriginUnavailableError: s3://models/missing: S3 cannot be reached",
        ),
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "HOME": "/nonexistent"},
            "tmpcache.errors.AccessDeniedError: s3://models/missing: there are no AWS credentials",
        ),
    ],
    ids=["missing key", "no endpoint", "no credentials"],
)
def test_a_traceback_is_short_and_ends_with_the_message(
    root: Path, s3: S3Server, bucket: object, origin: str, changed: dict[str, str], message: str
) -> None:
    lines = trace(root, s3, origin, **changed)
    assert lines[-1].startswith(message)
    handling = "During handling of the above exception, another exception occurred:"
    if origin != "obstore":  # whose message alone is 40 lines
        assert (
            len(lines) - lines.index(handling) <= 26
        )  # Python 3.13 underlines each line of a call
    assert not [line for line in lines if "site-packages" in line]
    # What the caller was handling keeps its frames.
    assert any("in reads_a_setting" in line for line in lines)


def test_all_frames_can_be_asked_for(root: Path, s3: S3Server, bucket: object) -> None:
    lines = trace(root, s3, "boto3", TMPCACHE_TRACEBACKS="full")
    assert [line for line in lines if "site-packages" in line]


def test_causes_that_form_a_circle_are_looked_at_once() -> None:
    """A body's own error raised again while it is handled, in a thread that reads for another."""
    one, two = OSError("one"), OSError("two")
    one.__cause__, two.__cause__ = two, one
    assert not is_out_of_files(one)
    two.errno = errno.EMFILE
    assert is_out_of_files(one)
