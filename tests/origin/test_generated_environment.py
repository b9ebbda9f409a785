"""Where, as whom and with which signature: what is told without boto3 is what botocore would send.

Configurations are generated. Whatever would differ must have been called not plain.
"""

# ruff: noqa: RUF005 - lists that wrap read better so
from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.roles import Roles
from support.stopped import (
    KEYS,
    assert_they_are_the_same,
    assert_we_send_what_botocore_would,
    botocore_would_send,
    environment,
    we_would_send,
)

_REGIONS = st.sampled_from(
    ["us-east-1", "eu-west-1", "ap-southeast-2", "il-central-1", "mx-central-1", "cn-north-1"]
    + ["us-gov-west-1", "us-iso-east-1", "eu-isoe-west-1", "aws-global", "us-west-2-fips", "mars"]
    + ["fips-us-east-1", "", "EU", "us-east-1 ", "s3-external-1", "eusc-de-east-1", "ap-east-2"]
)
_URLS = st.sampled_from(
    [
        "http://127.0.0.1:9000",
        "http://localhost:9000/",
        "https://minio.example.org",
        "http://[::1]:9",
    ]
    + ["https://[2001:db8::1]:443", "http://10.0.0.1:80", "https://s3.eu-west-1.amazonaws.com", ""]
    + ["https://example.org/base", "http://user:pw@example.org", "https://EXAMPLE.org", "ftp://x"]
    + [
        "example.org",
        "https://s3-accelerate.amazonaws.com",
        "http://minio_1:9000",
        "http://a.b?c=d",
    ]
    + ["https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", "https://play.min.io:9000"]
    + [
        "https://account.r2.cloudflarestorage.com",
        "http://host:0",
        "http://host:99999",
        "http://h:",
    ]
)
_BUCKETS = st.sampled_from(
    [
        "models",
        "a-b",
        "dotted.name",
        "UPPER",
        "under_score",
        "ab",
        "a",
        "1.2.3.4",
        "x" * 63,
        "x" * 64,
    ]
    + ["models--use1-az4--x-s3", "mine-s3alias", "xn--b", "-a", "a-", "a..b", "a.-b", "sthree-b"]
    + [
        "arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
        "a--b",
        "123",
        "s3",
        "a.b--ol-s3",
        "b~c",
    ]
    + ["mine-abcd1234567890abcd1234567890abcd12--ol-s3", "o1234567890-e0--op-s3", "m.mrap"]
)
_EXTRA = st.sampled_from(
    [
        *(("AWS_USE_DUALSTACK_ENDPOINT", "true"), ("AWS_USE_FIPS_ENDPOINT", "true")),
        *(("AWS_S3_US_EAST_1_REGIONAL_ENDPOINT", "regional"), ("AWS_S3_USE_ARN_REGION", "true")),
        *(("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "true"), ("AWS_MAX_ATTEMPTS", "7")),
        *(("AWS_RETRY_MODE", "legacy"), ("AWS_RETRY_MODE", "adaptive"), ("AWS_MAX_ATTEMPTS", "0")),
        *(
            ("AWS_RETRY_MODE", "standard"),
            ("AWS_RETRY_MODE", "Standard"),
            ("AWS_MAX_ATTEMPTS", "x"),
        ),
        *(("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required"), ("AWS_DEFAULTS_MODE", "standard")),
        *(("AWS_SIGV4A_SIGNING_REGION_SET", "*"), ("AWS_AUTH_SCHEME_PREFERENCE", "sigv4a")),
        *(("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z"), ("AWS_SESSION_TOKEN", "")),
        *(
            ("AWS_SESSION_TOKEN", "tok=/+"),
            ("AWS_SECURITY_TOKEN", "old"),
            ("AWS_REGION", "eu-west-3"),
        ),
        *(
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", value)
            for value in ("true", "TRUE", "1", "false")
        ),
        *(("AWS_PROFILE", name) for name in ("other", "default", "none", "", "two words")),
        *(("AWS_DEFAULT_PROFILE", "other"), ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")),
        *(("AWS_CA_BUNDLE", "$PLACE/ca.pem"), ("AWS_CA_BUNDLE", "/nowhere"), ("AWS_CA_BUNDLE", "")),
        *(
            ("REQUESTS_CA_BUNDLE", "$PLACE/ca.pem"),
            ("AWS_ACCESS_KEY_ID", ""),
            ("BOTO_CONFIG", "/x"),
        ),
        *(("HTTPS_PROXY", "http://127.0.0.1:9"), ("http_proxy", "http://127.0.0.1:9")),
        *(("NO_PROXY", "*"), ("AWS_LAMBDA_FUNCTION_NAME", "f"), ("AWS_ACCOUNT_ID", "123456789012")),
        *(("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")),
        *(
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/c"),
            ("AWS_SECRET_ACCESS_KEY", ""),
        ),
        *(("AWS_ACCOUNT_ID_ENDPOINT_MODE", "required"), ("AWS_CREDENTIAL_EXPIRATION", "now")),
        *(("AWS_CONFIG_FILE", "~/.aws/credentials"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")),
    ]
)
_LINES = st.sampled_from(
    ["region = eu-central-1", "region=us-east-1", "REGION = eu-west-1", "region : eu-west-1"]
    + ["endpoint_url = http://127.0.0.1:7", "s3 =\n  addressing_style = virtual", "output = json"]
    + ["s3 =\n    use_accelerate_endpoint = true", "use_dualstack_endpoint = true", "# region = x"]
    + ["aws_access_key_id = PROFILE", "aws_secret_access_key = of-the-profile", "max_attempts = 4"]
    + [
        "aws_session_token = of-the-profile",
        "retry_mode = legacy",
        "role_arn = arn:aws:iam::1:role/r",
    ]
    + [
        "source_profile = default",
        "credential_process = /bin/false",
        "services = mine",
        "; comment",
    ]
    + [
        "  region = eu-west-2",
        "region = eu-west-1 ; not a comment",
        "nonsense",
        "cli_pager =",
        "region =",
    ]
    + ["ca_bundle = /nowhere", "s3_use_arn_region = true", "sso_session = x", "region = a\n  b"]
    + [
        "request_checksum_calculation = when_required",
        "response_checksum_validation = when_required",
    ]
    + ["s3_us_east_1_regional_endpoint = regional", "ignore_configured_endpoint_urls = true", ""]
)
_TITLES = st.sampled_from(
    [
        "default",
        "profile other",
        "other",
        "DEFAULT",
        "services mine",
        'profile "other"',
        "profile  other",
    ]
    + ["profile default", " default", "default ", "profile 'two words'", "sso-session x"]
)
_SECTIONS = st.lists(st.tuples(_TITLES, st.lists(_LINES, max_size=4)), max_size=3)


def _file(sections: list[tuple[str, list[str]]]) -> str:
    return "\n".join("\n".join([f"[{title}]", *lines]) for title, lines in sections)


@settings(
    max_examples=250,
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    region=st.none() | _REGIONS,
    url=st.none() | _URLS,
    of_all=st.none() | _URLS,
    extra=st.lists(_EXTRA, max_size=2),
    has_keys=st.sampled_from([True, True, False]),
    config=_SECTIONS,
    credentials=_SECTIONS,
    bucket=_BUCKETS,
)
def test_what_is_told_without_boto3_is_what_botocore_would_send(
    region: str | None,
    url: str | None,
    of_all: str | None,
    extra: list[tuple[str, str]],
    has_keys: bool,
    config: list[tuple[str, list[str]]],
    credentials: list[tuple[str, list[str]]],
    bucket: str,
    tmp_path: Path,
    roles: Roles,
) -> None:
    said = {
        **roles.environ(),
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_ENDPOINT_URL": of_all,
        **(KEYS if has_keys else {}),
        **dict(extra),
    }
    environ = {name: value for name, value in said.items() if value is not None}
    if "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" in environ:  # else STS itself might be asked
        environ.update(KEYS)
    files = {"config": _file(config), "credentials": _file(credentials)}
    with environment(tmp_path, environ, **{name: text for name, text in files.items() if text}):
        assert_we_send_what_botocore_would(bucket, "a/b c")


@settings(
    max_examples=100,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    key=st.text(
        st.sampled_from("/.a%2Eé~+ ?#&\\=:@[🦓") | st.characters(codec="utf-8"), min_size=1
    ),
    version=st.none() | st.text(min_size=1),
    etags=st.sampled_from([("", ""), ('"a"', ""), ("", '"b  c"'), ('W/"a"', '"b"')]),
    span=st.sampled_from([(0, None), (1, None), (0, 1), (5, 1 << 50)]),
    token=st.sampled_from([None, "tok", "a/+= b"]),
    options=st.dictionaries(
        st.sampled_from(["ExpectedBucketOwner", "RequestPayer", "SSECustomerAlgorithm"])
        | st.sampled_from(["SSECustomerKey", "SSECustomerKeyMD5", "ServerSideEncryption"]),
        st.sampled_from(["requester", "AES256", "k" * 32, "123456789012", " x  y "]),
    ),
)
def test_all_that_can_be_asked_is_signed_as_botocore_does(
    key: str,
    version: str | None,
    etags: tuple[str, str],
    span: tuple[int, int | None],
    token: str | None,
    options: dict[str, str],
    tmp_path: Path,
) -> None:
    environ = {**KEYS, "AWS_DEFAULT_REGION": "eu-west-1"}
    if token:
        environ["AWS_SESSION_TOKEN"] = token
    asked = {"if_none_match": etags[0], "if_match": etags[1], "start": span[0], "end": span[1]}
    theirs: dict[str, Any] = {name: options[name] for name in options if name[:6] != "Server"}
    theirs.update({"VersionId": version} if version else {})
    theirs.update({"IfNoneMatch": etags[0]} if etags[0] else {})
    theirs.update({"IfMatch": etags[1]} if etags[1] else {})
    if span != (0, None):
        theirs["Range"] = f"bytes={span[0]}-{'' if span[1] is None else span[1] - 1}"
    with environment(tmp_path, environ):
        ours = we_would_send("models", key, options, version, **asked)
        sent = [value for name, value in options.items() if not name.startswith("Server")]
        if any(" " in text for text in [token or "", *sent]):
            assert ours is None
            return
        assert ours is not None
        assert_they_are_the_same(ours, botocore_would_send("models", key, **theirs))
