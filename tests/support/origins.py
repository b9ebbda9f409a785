"""Runs the tests of a module once for each origin, for promises that hold with all of them.

``pytestmark = through_each_origin`` does it; `origin` is the fixture that then says which.
"""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.config import Config

from support.iam import User
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.obstore.origin import ObstoreOrigin

#: What differs between two Pythons differs with any origin. So CI tests the others with one.
ORIGINS = tuple(os.environ.get("TMPCACHE_TEST_ORIGINS", "boto3 direct obstore").split())

through_each_origin = [
    pytest.mark.usefixtures("origin"),
    pytest.mark.parametrize("origin", ORIGINS, indirect=True),
]

#: What reads from sockets; obstore leaves ranges, and what is cut off, to the direct way.
through_both_readers = [
    pytest.mark.usefixtures("origin"),
    pytest.mark.parametrize(
        "origin", [origin for origin in ORIGINS if origin != "obstore"], indirect=True
    ),
]


def of_user(origin: str, user: User) -> dict[str, Any]:
    """Return the settings of a cache that asks as this user, not as the environment says."""
    if origin == "boto3":
        keys = {"aws_access_key_id": user.key_id, "aws_secret_access_key": user.secret}
        return {"client": boto3.client("s3", config=Config(read_timeout=2), **keys)}  # type: ignore[call-overload]
    with mock.patch.dict(os.environ, user.environ):
        made = ObstoreOrigin() if origin == "obstore" else DirectOrigin()
        made._route("models")  # as the environment is now, so it stays …
        assert made.scope  # … and so does who it was
    return {"origin": made}
