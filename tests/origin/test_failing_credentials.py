"""Sources of credentials that fail: told as through boto3, and asked again by the next request."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from support.handmade import Answer
from support.listener import asks_boto3
from support.roles import Roles, ask

from tmpcache.errors import AccessDeniedError, ConfigError, OriginError
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.origin import S3Origin


def _given(**changes: Any) -> bytes:
    whole = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01Z"}
    return json.dumps({**whole, **changes}).encode()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404), AccessDeniedError),
        (Answer(500, b"oops"), AccessDeniedError),
        (Answer(200, b"<html>log in</html>"), AccessDeniedError),
        (Answer(200, b"{}"), ConfigError),
        (Answer(200, b"[]"), ConfigError),
        (Answer(200, _given(Expiration="soon")), ConfigError),
        (Answer(200, _given(Expiration="1999-01-01T00:00:00Z")), OriginError),
    ],
    ids=["404", "500", "a page", "nothing", "a list", "no date", "expired"],
)
def test_a_source_that_fails_is_told_as_through_boto3_and_may_heal(
    use: Any, roles: Roles, direct: DirectOrigin, answer: Answer, error: type[Exception]
) -> None:
    use("container")
    roles.trouble = lambda asked: answer
    with pytest.raises(error) as expected:
        ask(S3Origin())
    with pytest.raises(error) as caught:
        ask(direct)
    assert (type(caught.value), str(caught.value)) == (type(expected.value), str(expected.value))
    assert not asks_boto3(direct)
    roles.trouble = None
    assert ask(direct) == direct.scope


def test_a_source_that_is_silent_is_waited_for_as_long_as_botocore_would(
    use: Any, roles: Roles, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    use("imds")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "1")
    door_opens = threading.Event()

    def silence(asked: Any) -> Answer:
        door_opens.wait(30)
        return Answer(404)

    roles.trouble = silence
    with pytest.raises(AccessDeniedError, match="no AWS credentials"):
        ask(direct)
    door_opens.set()
    assert len(roles.server.log) == 2, "one attempt for the token, one for the role"


@pytest.mark.parametrize("changes", [{"Token": "tök"}, {"AccessKeyId": "a b"}])
def test_credentials_that_only_botocore_can_sign_with_are_left_to_it(
    use: Any, roles: Roles, direct: DirectOrigin, changes: dict[str, str]
) -> None:
    use("container")
    roles.trouble = lambda asked: Answer(200, _given(Expiration="2099-01-01T00:00:00Z", **changes))
    ask(direct)
    assert asks_boto3(direct)
