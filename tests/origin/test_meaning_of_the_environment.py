"""The environment means to tmpcache what it means to botocore."""

from __future__ import annotations

import os
from pathlib import Path

import botocore
import pytest
from support.door import new_client

from tmpcache.origin.s3.origin import S3Origin
from tmpcache.origin.scope import credentials_of_environment, name_from_environment, origin_name

FILES = {
    "credentials": "[default]\naws_access_key_id: A\naws_secret_access_key = s\n"
    "[mine]\naws_access_key_id = M\naws_secret_access_key = s\naws_session_token = t\n"
    "aws_security_token = u\n[half]\naws_access_key_id = H\n[run]\ncredential_process = /bin/x\n"
    "[chained]\naws_access_key_id = X\naws_secret_access_key = s\n",
    "config": "[default]\nregion = us-east-1\ns3 =\n  addressing_style = path\n"
    '[profile  "mine"]\nregion = us-east-1\n[profile inline]\naws_access_key_id = I\n'
    "aws_secret_access_key = s\n[profile chained]\nrole_arn = arn:aws:iam::1:role/r\n"
    "source_profile = default\n",
}


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s"},
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "mine"},
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SECURITY_TOKEN": "u",
            "AWS_SESSION_TOKEN": "t",
        },
        {},
        {"AWS_PROFILE": "mine"},
        {"AWS_PROFILE": "inline"},
        {"AWS_PROFILE": "mine", "AWS_DEFAULT_PROFILE": "default"},
    ],
)
def test_the_environment_means_what_botocore_takes_it_for(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_files(monkeypatch, tmp_path, environ)
    found = botocore.session.Session().get_credentials()
    assert found is not None
    credentials = found.get_frozen_credentials()
    assert credentials_of_environment() == (
        credentials.access_key,
        credentials.secret_key,
        credentials.token or "",
    )
    origin = S3Origin()
    before = origin.name, origin.scope
    origin._boto3_client()
    assert before == (origin.name, origin.scope), "a client changes nothing"


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": "A"},
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_CREDENTIAL_EXPIRATION": "2100-01-01T00:00:00Z",
        },
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
        {"AWS_PROFILE": "half"},
        {"AWS_PROFILE": "run"},
        {"AWS_PROFILE": "chained"},
        {"AWS_PROFILE": "nobody"},
        {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
    ],
)
def test_what_only_boto3_could_find_out_is_unknown(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_files(monkeypatch, tmp_path, environ)
    assert credentials_of_environment() is None
    assert S3Origin().scope is None


def use_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environ: dict[str, str]) -> None:
    for variable, name in (
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ("AWS_CONFIG_FILE", "config"),
    ):
        (tmp_path / name).write_text(FILES[name])
        monkeypatch.setenv(variable, str(tmp_path / name))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)


def test_an_environment_that_is_a_plain_dictionary_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    origin = S3Origin()
    before = origin.scope
    os.environ["AWS_SESSION_TOKEN"] = "t"
    assert before is not None
    assert origin.scope not in (None, before)


@pytest.mark.parametrize(
    "region",
    ["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"],
)
@pytest.mark.parametrize("variable", ["", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"])
def test_a_client_of_aws_has_the_name_that_the_environment_promised(
    monkeypatch: pytest.MonkeyPatch, region: str, variable: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    if variable:
        monkeypatch.setenv(variable, "true")
    promised = name_from_environment()
    meta = new_client().meta
    assert promised == origin_name(meta.endpoint_url, meta.region_name)
    assert promised is not None
    assert promised.startswith("aws")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://s3.amazonaws.com.evil.example",
        "https://amazonaws.com",
        "https://evilamazonaws.com",
        "https://s3.evil.amazonaws.com.example.org/",
        "http://10.0.0.1/s3.amazonaws.com",
        "http://10.0.0.1/?s3.amazonaws.com",
        "https://s3.amazonaws.com@evil.example",
        "https://evil.example#s3.amazonaws.com",
        "https://s3.amazonaws.com:9000",
        "https://s3.amazonaws.com/minio",
        "https://ec2-1-2-3-4.compute-1.amazonaws.com",
        "https://mine.us-east-1.elb.amazonaws.com",
        "https://mine.execute-api.us-east-1.amazonaws.com",
        "https://x.s3-object-lambda.us-east-1.amazonaws.com",
        "https://s3-object-lambda.us-east-1.amazonaws.com",
        "https://s3-outposts.us-east-1.amazonaws.com",
    ],
)
def test_only_hosts_of_s3_itself_are_aws(endpoint: str) -> None:
    assert origin_name(endpoint, "us-east-1") == endpoint.rstrip("/")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://s3.amazonaws.com", "aws"),
        ("https://s3-us-west-2.amazonaws.com", "aws"),
        ("https://s3.dualstack.eu-west-1.amazonaws.com/", "aws"),
        ("https://s3-accelerate.amazonaws.com", "aws"),
        ("https://bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com", "aws"),
        ("https://S3.cn-north-1.amazonaws.com.cn", "aws-cn"),
        ("https://s3.us-gov-west-1.amazonaws.com", "aws-us-gov"),
        ("https://s3.us-iso-east-1.c2s.ic.gov", "aws-us-iso"),
        ("https://s3.eusc-de-east-1.amazonaws.eu", "aws-eusc"),
    ],
)
def test_s3_by_any_of_its_names_is_aws(endpoint: str, name: str) -> None:
    assert origin_name(endpoint, None) == name
