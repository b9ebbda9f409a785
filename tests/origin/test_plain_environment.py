"""Which configurations are plain, and why others are not."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.stopped import (
    KEYS,
    assert_they_are_the_same,
    botocore_would_send,
    environment,
    we_would_send,
)

from tmpcache.origin.configuration import resolve
from tmpcache.origin.endpoint import NotPlainError

LAMBDA = {
    **KEYS,
    "AWS_SESSION_TOKEN": "token",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793",
}
PROFILE = "[default]\nregion = eu-west-1\naws_access_key_id = A\naws_secret_access_key = s\n"


@pytest.mark.parametrize(
    ("environ", "files", "bucket", "url"),
    [
        (LAMBDA, {}, "models", "https://models.s3.eu-central-1.amazonaws.com"),
        (KEYS, {}, "models", "https://models.s3.amazonaws.com"),
        (
            {},
            {"credentials": PROFILE},
            "dotted.name",
            "https://s3.eu-west-1.amazonaws.com/dotted.name",
        ),
        (
            {"AWS_PROFILE": "mine"},
            {
                "config": PROFILE.replace("default", "profile mine")
                + "output = json\n[services x]\ns3 =\n a = b"
            },
            "models",
            "https://models.s3.eu-west-1.amazonaws.com",
        ),
        ({**KEYS, "AWS_ENDPOINT_URL_S3": "http://[::1]:9"}, {}, "models", "http://[::1]:9/models"),
        (
            {**KEYS, "AWS_DEFAULT_REGION": "cn-north-1"},
            {},
            "models",
            "https://models.s3.cn-north-1.amazonaws.com.cn",
        ),
    ],
)
def test_the_usual_cases_are_plain(
    environ: dict[str, str], files: dict[str, str], bucket: str, url: str, tmp_path: Path
) -> None:
    with environment(tmp_path, environ, **files):
        ours = we_would_send(bucket, "k", {})
        assert ours is not None
        assert_they_are_the_same(ours, botocore_would_send(bucket, "k"))
        origin, question = ours
        assert origin._client is not None
        endpoint = origin._client.endpoint
        assert f"{endpoint.scheme}://{question.headers['host']}{question.path}" == f"{url}/k"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({**KEYS, "AWS_SOMETHING_NEW": "1"}, "AWS_SOMETHING_NEW"),
        ({**KEYS, "AWS_USE_FIPS_ENDPOINT": "true"}, "AWS_USE_FIPS_ENDPOINT"),
        ({**KEYS, "https_proxy": "http://127.0.0.1:9"}, "a proxy"),
        ({**KEYS, "BOTOCORE_EXPERIMENTAL__PLUGINS": "a=b"}, "BOTOCORE_EXPERIMENTAL__PLUGINS"),
        ({**KEYS, "AWS_CA_BUNDLE": "/nowhere"}, "a CA bundle that cannot be read"),
        ({**KEYS, "AWS_CREDENTIAL_FILE": "/x"}, "AWS_CREDENTIAL_FILE"),
        ({**KEYS, "AWS_PROFILE": "none"}, "there is no such profile"),
        ({**KEYS, "AWS_RETRY_MODE": "adaptive"}, "the retry mode"),
    ],
)
def test_what_is_not_plain_says_why(environ: dict[str, str], reason: str, tmp_path: Path) -> None:
    with environment(tmp_path, environ), pytest.raises(NotPlainError, match=reason):
        resolve()


def test_options_for_uploads_are_none_of_a_get_and_unknown_ones_are_boto3s() -> None:
    from tmpcache.origin.s3 import parameters

    model: Any = boto3.client("s3").meta.service_model
    gets = set(model.operation_model("GetObject").input_shape.members)
    puts = set(model.operation_model("PutObject").input_shape.members)
    assert gets.issuperset(parameters._HEADERS)
    assert not gets & parameters._FOR_OTHERS
    assert puts.issuperset(parameters._FOR_OTHERS)
    assert parameters.as_headers({"ResponseContentType": "text/plain"}) is None
    assert parameters.as_headers({"Unheard": "of"}) is None
    shape = model.operation_model("GetObject").input_shape
    for name, header in parameters._HEADERS.items():
        assert shape.members[name].serialization["name"].lower() == header


def test_telling_it_takes_none_of_the_heavy_modules(tmp_path: Path) -> None:
    from support.processes import spawn

    code = """
        from tmpcache.origin.configuration import resolve
        from tmpcache.origin.direct import sigv4
        found = resolve()
        heavy = "boto3", "botocore", "urllib3", "ssl", "configparser", "http.client", "hashlib"
        say([found.host, [name for name in heavy if name in sys.modules]])
    """
    with environment(tmp_path, {**KEYS, **_paths()}), spawn(code) as child, suppress(EOFError):
        host, heavy = child.hear()
    assert (host, [name for name in heavy if name != "hashlib"]) == ("s3.amazonaws.com", [])


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": os.environ["PYTHONPATH"], "PATH": os.environ["PATH"]}
