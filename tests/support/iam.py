"""Users with different rights, enforced by the S3 server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3

from tmpcache.testing import S3Server


@dataclass(frozen=True)
class User:
    """One user's credentials."""

    key_id: str
    secret: str

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables that make a process be this user."""
        return {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}


class Iam:
    """Creates users; nothing is checked before `enforce`."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._enforced = False
        session = boto3.session.Session("testing", "testing", region_name="us-east-1")
        self._client = session.client("iam", endpoint_url=server.endpoint)

    def user(self, name: str, *, actions: tuple[str, ...], resources: tuple[str, ...]) -> User:
        """Create a user who may do `actions` on `resources` and nothing else."""
        with self.lifted():
            self._client.create_user(UserName=name)
            key: Mapping[str, Any] = self._client.create_access_key(UserName=name)["AccessKey"]
        self.allow(name, actions=actions, resources=resources)
        return User(key["AccessKeyId"], key["SecretAccessKey"])

    def allow(self, name: str, *, actions: tuple[str, ...], resources: tuple[str, ...]) -> None:
        """Replace what a user may do."""
        statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        with self.lifted():
            self._client.put_user_policy(
                UserName=name, PolicyName="rights", PolicyDocument=json.dumps(document)
            )

    def enforce(self) -> None:
        """Authenticate and authorise each request from now on."""
        self._enforced = True
        self._server.post("/moto-api/reset-auth", b"0")

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Check nothing in this block: for the tests' own work on buckets and users."""
        self._server.post("/moto-api/reset-auth", b"999999999")
        yield
        if self._enforced:
            self.enforce()
