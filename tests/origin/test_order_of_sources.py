"""Whose credentials sign: of several sources, botocore's chain decides, also without a client."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from support.roles import Roles
from support.stopped import KEYS, assert_we_send_what_botocore_would, environment

ROLE = "arn:aws:iam::123456789012:role/r"
PROCESS = '{"Version": 1, "AccessKeyId": "PROCESS", "SecretAccessKey": "s", "SessionToken": "t"}'
VARIABLES = {
    "keys": KEYS,
    "keys that expire": {**KEYS, "AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"},
    "half": {"AWS_ACCESS_KEY_ID": "HALF"},
    "web": {"AWS_WEB_IDENTITY_TOKEN_FILE": "$PLACE/token", "AWS_ROLE_ARN": ROLE},
    "web, lost": {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": ROLE},
    "token in a file": {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "$PLACE/token"},
    "other profile": {"AWS_PROFILE": "other"},
}
STATIC = "aws_access_key_id = STATIC\naws_secret_access_key = s"
SETTINGS = {
    "static": STATIC,
    "half": "aws_access_key_id = HALF",
    "process": f"credential_process = /bin/echo '{PROCESS}'",
    "process, lost": "credential_process = /bin/false",
    "role": f"role_arn = {ROLE}\nsource_profile = source\nduration_seconds = 900\nexternal_id = ex",
    "role of the container": f"role_arn = {ROLE}\ncredential_source = EcsContainer",
    "role of the machine": f"role_arn = {ROLE}\ncredential_source = Ec2InstanceMetadata",
    "web": f"role_arn = {ROLE}\nweb_identity_token_file = $PLACE/token\nrole_session_name = me",
    "sso": "sso_start_url = http://127.0.0.1:9\nsso_account_id = 1\nsso_region = us-east-1\n"
    "sso_role_name = r",
    "region": "region = eu-west-1",
}


@settings(
    max_examples=120,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sources=st.sets(st.sampled_from(["container", "imds"])),
    variables=st.sets(st.sampled_from([*VARIABLES]), max_size=2),
    config=st.sets(st.sampled_from([*SETTINGS]), max_size=2),
    credentials=st.sets(st.sampled_from([*SETTINGS]), max_size=1),
    profile=st.sampled_from(["default", "other"]),
)
@example({"container", "imds"}, set(), set(), set(), "default")
@example({"imds"}, set(), set(), set(), "default")
@example({"container"}, {"web"}, {"static"}, set(), "default")
@example({"container"}, set(), {"role"}, {"static"}, "default")
@example({"container"}, set(), {"role of the container"}, set(), "default")
@example({"imds"}, set(), {"process"}, set(), "default")
def test_the_first_source_of_botocores_chain_signs(
    roles: Roles,
    tmp_path: Path,
    sources: set[str],
    variables: set[str],
    config: set[str],
    credentials: set[str],
    profile: str,
) -> None:
    del roles.server.log[:]
    environ = {"AWS_DEFAULT_REGION": "eu-west-1", **roles.environ(*sources)}
    for name in sorted(variables):
        environ.update(VARIABLES[name])
    title = profile if profile == "default" else f"profile {profile}"
    files = {
        "config": f"[{title}]\n" + "\n".join(SETTINGS[name] for name in sorted(config)),
        "credentials": f"[{profile}]\n"
        + "\n".join(SETTINGS[name] for name in sorted(credentials))
        + f"\n[source]\n{STATIC.replace('STATIC', 'SOURCE')}\n",
    }
    with environment(tmp_path, environ, **files):
        if assert_we_send_what_botocore_would("models", "k") is not None:
            asked = roles.asked()
            half = len(asked) // 2
            assert asked[:half] == asked[half:], "botocore asks the same sources"


@pytest.mark.parametrize(
    ("variables", "setting", "who"),
    [
        ((), "", "container"),
        (("keys",), "", "AKID"),
        (("keys that expire",), "", "AKID"),
        ((), "static", "STATIC"),
        ((), "process", "PROCESS"),
        ((), "role", "AssumeRole"),
        ((), "role of the container", "AssumeRole"),
        (("web",), "static", "AssumeRoleWithWebIdentity"),
    ],
)
def test_each_source_is_plain(
    variables: tuple[str, ...], setting: str, who: str, roles: Roles, tmp_path: Path
) -> None:
    environ = {"AWS_DEFAULT_REGION": "eu-west-1", **roles.environ("container", "imds")}
    for name in variables:
        environ.update(VARIABLES[name])
    config = f"[default]\n{SETTINGS.get(setting, '')}\n[profile source]\n{STATIC}\n"
    with environment(tmp_path, environ, config=config):
        origin = assert_we_send_what_botocore_would("models", "k")
        assert origin is not None
        assert origin._client is not None
        assert origin._client.identities.now(("models", "k", None)).credentials[0] == who
