"""Who asks, and whom: told from the environment, without importing boto3.

Freshness that one caller earned is not another's, so each validation is recorded for a *scope*: a
one-way hash of what decides whom S3 takes the caller for. Where that cannot be told without asking
(instance profiles, credential processes), the scope is None, and nothing is fresh, until a client
has its credentials.
"""

from __future__ import annotations

import os

#: Words in ~/.aws without which its profiles name nobody, and one with which they name anybody.
_IDENTITIES = ("aws_access_key_id", "role_arn", "sso_")
_ANYBODY = "credential_process"
#: Regions of partitions other than the ordinary one begin with these.
_PARTITIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "eusc-")


def of_keys(access_key: str, secret_key: str, token: str | None) -> str:
    """The scope of one set of credentials. The secret is in it: an access key id is no proof."""
    return hashed("keys", access_key, secret_key, token or "")


def of_environment() -> str | None:
    """The scope of whom boto3 would be, in its order of precedence; None if that cannot be told."""
    env = os.environ.get
    access_key, secret_key = env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return of_keys(
            access_key, secret_key, env("AWS_SESSION_TOKEN") or env("AWS_SECURITY_TOKEN")
        )
    files = config_files()
    if _ANYBODY in files:
        return None
    role = (env("AWS_ROLE_ARN") or "", env("AWS_WEB_IDENTITY_TOKEN_FILE") or "")
    if any(word in files for word in _IDENTITIES):
        profile = env("AWS_PROFILE") or env("AWS_DEFAULT_PROFILE") or "default"
        return hashed("profile", profile, files, *role)
    if all(role):
        return hashed("role", *role)
    if task := env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return hashed("task", task)
    return None


def name_from_environment() -> str | None:
    """The name of the S3 that boto3 would ask, or None if only a client knows."""
    env, files = os.environ.get, config_files()
    endpoint = ""
    if env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        endpoint = env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL") or ""
        if not endpoint and "endpoint_url" in files:
            return None
    region = env("AWS_DEFAULT_REGION")
    if not endpoint and not region and any(prefix in files for prefix in _PARTITIONS):
        return None
    return origin_name(endpoint, region)


def origin_name(endpoint: str, region: str | None) -> str:
    """The endpoint, or the AWS partition: inside one, the name of a bucket is unique.

    >>> origin_name("http://127.0.0.1:9000/", None), origin_name("", "cn-north-1")
    ('http://127.0.0.1:9000', 'aws-cn')
    >>> origin_name("https://s3.eu-west-1.amazonaws.com", "eu-west-1")
    'aws'
    """
    if endpoint and ".amazonaws.com" not in endpoint:
        return endpoint.rstrip("/")
    for prefix in _PARTITIONS:
        if (region or "").startswith(prefix):
            return f"aws-{prefix.rstrip('-')}"
    return "aws"


def config_files() -> str:
    """The text of boto3's configuration files, "" where there are none."""
    texts = []
    for variable, default in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        ("AWS_CONFIG_FILE", "~/.aws/config"),
    ):
        path = os.path.expanduser(os.environ.get(variable) or default)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                texts.append(file.read())
        except OSError as error:
            from ..interruption import let_through

            let_through(error)
            texts.append("")
    return "\0".join(texts)


def hashed(*parts: str) -> str:
    """A hash of the parts, one way, so that no secret reaches the disk."""
    try:  # hashlib loads OpenSSL, 2.5 ms of the 25 that a fresh process has for a hit
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b

    text = "\0".join(f"{len(part)} {part}" for part in parts)
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
