"""Who asks, and whom: told from the environment, without importing boto3.

Freshness that one caller earned is not another's, so each validation is recorded for a *scope*: a
one-way hash of the endpoint and of the keys that signed the request. Which keys signed is known of
each answer (:mod:`.signing`). Here is told what boto3 would sign with before there is a client. If
only boto3 can find that out (roles, instance profiles, SSO, credential processes), the scope is
None, and the first question is asked.
"""

from __future__ import annotations

import os

from ..common.interruption import reraise_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Access key id, secret and session token. The secret counts: an access key id is no proof.
    Keys = tuple[str, str, str]

#: The keys of a request that is not signed.
ANONYMOUS: Keys = ("", "", "")

#: All variables that decide who asks whom.
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "HOME",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
)
_ENCODED = tuple(name.encode() for name in _VARIABLES)

#: Settings of a profile that make botocore look further than to its keys.
_ELSEWHERE = ("role_arn", "sso_", "credential_", "web_identity_token_file", "login_")

#: Domains that AWS itself serves S3 from, by the partition's name here. Those of the ordinary
#: partition are GovCloud's, too.
_DOMAINS = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-us-iso",
    "sc2s.sgov.gov": "aws-us-isob",
    "cloud.adc-e.uk": "aws-eu-isoe",
    "csp.hci.ic.gov": "aws-us-isof",
}
#: Regions of partitions other than the ordinary one begin with these.
_REGIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-")
#: Names below such a domain that are S3's; others belong to customers of AWS (``ec2-…``, ``….elb``)
#: or answer something else than the object of that key (``s3-object-lambda``).
_S3_HOST = (
    r"(?:s3(?:-fips|-accelerate)?(?:\.dualstack)?(?:[.-](?:aws-global|[a-z]+(?:-[a-z]+)+-\d+))?"
    r"|s3-external-1"
    r"|bucket\.vpce-[a-z0-9-]+\.s3\.[a-z0-9-]+\.vpce)"
)


def variables() -> list[object]:
    """What the environment says about who asks whom; to be compared with what it said before.

    Read past `os.environ`, which takes 0.6 µs for each variable: this is part of every hit, as long
    as there is no client.
    """
    try:
        return [*map(os.environ._data.get, _ENCODED)]  # type: ignore[attr-defined]
    except AttributeError:  # somebody has put a dictionary in its place
        return [*map(os.environ.get, _VARIABLES)]


def files() -> list[tuple[int, int, int]]:
    """Which configuration files there are; to be compared as well."""
    found = []
    for path in _paths():
        try:
            status = os.stat(path)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError as error:
            reraise_interrupt(error)
            found.append((0, 0, 0))
    return found


def keys_of_environment() -> Keys | None:
    """The keys that boto3 would sign with, in its order of precedence.

    None if that cannot be told: it would ask others for keys, read the environment again later
    (``AWS_CREDENTIAL_EXPIRATION``), or fail.
    """
    env = os.environ.get
    if access_key := env("AWS_ACCESS_KEY_ID"):
        secret_key, token = env("AWS_SECRET_ACCESS_KEY"), env("AWS_SECURITY_TOKEN")
        if not secret_key or env("AWS_CREDENTIAL_EXPIRATION"):
            return None
        return access_key, secret_key, token or env("AWS_SESSION_TOKEN") or ""
    if env("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    return _keys_of_profile(env("AWS_DEFAULT_PROFILE", env("AWS_PROFILE")) or "default")


def _keys_of_profile(name: str) -> Keys | None:
    credentials, config = map(_read, _paths())
    found = [
        _section(credentials, name),
        _section(config, name if name == "default" else f"profile {name}"),
    ]
    if any(setting.startswith(_ELSEWHERE) for section in found for setting in section):
        return None
    for section in found:
        if access_key := section.get("aws_access_key_id"):
            secret_key = section.get("aws_secret_access_key")
            token = section.get("aws_security_token", section.get("aws_session_token"))
            return (access_key, secret_key, token or "") if secret_key else None
    return None


def _section(text: str, name: str) -> dict[str, str]:
    """A section of a configuration file; importing configparser would take 4 ms."""
    section: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("[") and "]" in line:
            title = " ".join(line[1 : line.index("]")].replace('"', "").split())
            inside = title in (name, "DEFAULT")  # which holds for all sections
        elif inside and line[:1] not in ("", " ", "\t", "#", ";"):
            setting, _, value = line.replace(":", "=", "=" not in line).partition("=")
            section[setting.strip().lower()] = value.strip()
    return section


def name_from_environment() -> str | None:
    """The name of the S3 that boto3 would ask, or None if only a client knows."""
    env, texts = os.environ.get, "".join(map(_read, _paths()))
    endpoint = ""
    if env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        endpoint = env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL") or ""
        if not endpoint and "endpoint_url" in texts:
            return None
    region = env("AWS_DEFAULT_REGION")
    if not endpoint and not region and any(prefix in texts for prefix in _REGIONS):
        return None
    return origin_name(endpoint, region)


def origin_name(endpoint: str, region: str | None) -> str:
    """The endpoint, or the AWS partition: inside one, the name of a bucket is unique.

    >>> origin_name("http://127.0.0.1:9000/", None), origin_name("", "cn-north-1")
    ('http://127.0.0.1:9000', 'aws-cn')
    >>> origin_name("https://s3.eu-west-1.amazonaws.com", "eu-west-1")
    'aws'
    >>> origin_name("https://s3.amazonaws.com.example.org", None)
    'https://s3.amazonaws.com.example.org'
    """
    partition = "aws" if not endpoint else _partition(endpoint)
    if partition is None:
        return endpoint.rstrip("/")
    if partition == "aws":
        for prefix in _REGIONS:
            if (region or "").startswith(prefix):
                return f"aws-{prefix.rstrip('-')}"
    return partition


def is_aws(name: str) -> bool:
    """Whether an origin of this name is S3 itself, at a host of AWS's own.

    >>> is_aws("aws-cn"), is_aws("http://127.0.0.1:9000")
    (True, False)
    """
    return "://" not in name


def _partition(endpoint: str) -> str | None:
    """The partition that an endpoint is S3's own of; None for all others."""
    domain = next((domain for domain in _DOMAINS if domain in endpoint), None)
    if domain is None:
        return None
    import re
    from urllib.parse import urlsplit

    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    for domain, partition in _DOMAINS.items():
        own = re.fullmatch(rf"{_S3_HOST}\.{re.escape(domain)}", host)
        if own and parts.netloc.lower() == host and parts.path in ("", "/") and not parts.query:
            return "aws-us-gov" if "us-gov-" in host else partition
    return None


def _paths() -> list[str]:
    """boto3's configuration files: credentials and configuration."""
    env = os.environ.get
    return [
        os.path.expanduser(os.path.expandvars(env(variable, default)))
        for variable, default in (
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
            ("AWS_CONFIG_FILE", "~/.aws/config"),
        )
    ]


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        reraise_interrupt(error)
        return ""


def hashed(*parts: str) -> str:
    """A hash of the parts, one way, so that no secret reaches the disk."""
    try:  # hashlib loads OpenSSL, 2.5 ms of the 25 that a fresh process has for a hit
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b

    text = "\0".join(f"{len(part)} {part}" for part in parts)
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
