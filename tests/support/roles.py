"""A server that gives out the credentials of roles, as ECS, EC2 and STS do."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from support.handmade import Answer, Asked, HandmadeS3, handmade
from support.listener import body_of
from tmpcache.origin import Reply
from tmpcache.origin.s3.origin import S3Origin

_IMDS = "/latest/meta-data/iam/security-credentials/"
_STS = """<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result><Credentials>
<AccessKeyId>{1}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>{2}</SessionToken>
<Expiration>{3}</Expiration></Credentials></{0}Result></{0}Response>"""


class Roles:
    """The server: by default, each source gives one set of credentials, for a day."""

    def __init__(self) -> None:
        self.server: HandmadeS3
        #: Seconds until the credentials given out next expire.
        self.lifetime: float = 86400
        #: A part of the key ids given out next.
        self.version = ""
        #: What is answered instead, to all questions; None: credentials.
        self.trouble: Callable[[Asked], Answer] | None = None

    def environ(self, *sources: str) -> dict[str, str]:
        """Return the variables that make botocore ask these sources, ``container`` and ``imds``."""
        endpoint = self.server.endpoint
        environ = {"AWS_ENDPOINT_URL_STS": endpoint}
        if "container" in sources:
            environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{endpoint}/container"
            environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "of-the-container"
        if "imds" in sources:
            environ["AWS_EC2_METADATA_DISABLED"] = "false"
            environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = endpoint
        return environ

    def asked(self) -> list[str]:
        """Return what was asked so far: ``container``, ``imds`` or an operation of STS."""
        return [_source(asked) for asked in self.server.log if _source(asked)]

    def answer(self, asked: Asked) -> Answer:
        """Answer as ECS, EC2 or STS would."""
        if self.trouble is not None:
            return self.trouble(asked)
        if asked.path == "/latest/api/token":
            return Answer(200, b"of-imds")
        if asked.path == _IMDS:
            return Answer(200, b"worker")
        source = _source(asked)
        if not source or (source == "container" and not asked.headers.get("authorization")):
            return Answer(404, b"nothing here")
        key_id, token = f"{source}{self.version}", f"token-{source}{self.version}"
        now = datetime.datetime.now(datetime.UTC)
        until = (now + datetime.timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if asked.method == "POST":
            return Answer(200, _STS.format(source, key_id, token, until).encode())
        given = {"AccessKeyId": key_id, "SecretAccessKey": "secret", "Token": token}
        return Answer(200, json.dumps({**given, "Expiration": until}).encode())


def _source(asked: Asked) -> str:
    if asked.method == "POST":
        return parse_qs(asked.body.decode())["Action"][0]
    if asked.path == f"{_IMDS}worker":
        return "imds"
    return "container" if asked.path == "/container" else ""


@contextmanager
def running_roles() -> Iterator[Roles]:
    """Run the server during the block."""
    roles = Roles()
    with handmade(roles.answer) as server:
        roles.server = server
        yield roles


def ask(origin: S3Origin) -> str | None:
    """Read the object; return the scope of the reply."""
    reply = origin.get("models", "a")
    body_of(reply)
    assert isinstance(reply, Reply)
    return reply.scope
