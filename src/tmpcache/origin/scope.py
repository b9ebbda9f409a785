"""The origin and the credentials that boto3 would use, read without importing boto3.

A validation by one caller says nothing about what another caller may read. So each validation is
recorded for a *scope*: a one-way hash of the endpoint and the credentials that signed the request.

Once there is a client, :mod:`.s3.signing` knows the credentials of each request. Before that, this
module reads which ones boto3 would sign with: access keys in the environment variables, or static
ones in the configuration files. Roles, instance profiles, SSO and credential processes are known to
botocore only: the scope is None then, no copy is fresh, and the first request asks botocore
(:mod:`.s3.credentials`).
"""

from __future__ import annotations

import os

from ..common.handler_exceptions import reraise_from_handler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    #: Access key id, secret and session token. The secret counts: an access key id is no proof.
    Credentials = tuple[str, str, str]

#: The credentials of a request that is not signed.
ANONYMOUS: Credentials = ("", "", "")

#: All variables that decide which credentials sign, and which endpoint is used.
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

#: Settings of a profile (prefixes of their names) that may give it other than static credentials.
_DYNAMIC_CREDENTIALS = ("role_arn", "sso_", "credential_", "web_identity_token_file", "login_")

#: Domains that AWS serves S3 from, and the partition that an origin is named by. GovCloud has the
#: domain of the ordinary partition.
_DOMAINS = {
    "amazonaws.com": "aws",
    "amazonaws.com.cn": "aws-cn",
    "amazonaws.eu": "aws-eusc",
    "c2s.ic.gov": "aws-us-iso",
    "sc2s.sgov.gov": "aws-us-isob",
    "cloud.adc-e.uk": "aws-eu-isoe",
    "csp.hci.ic.gov": "aws-us-isof",
}
#: Prefixes of the regions in partitions other than the ordinary one.
_REGIONS = ("cn-", "us-gov-", "us-iso-", "us-isob-", "us-isof-", "eu-isoe-", "eusc-")
#: Host names in such a domain that are S3's. Others belong to customers of AWS (``ec2-…``,
#: ``….elb``) or answer something else than the object of that key (``s3-object-lambda``).
_S3_HOST = (
    r"(?:s3(?:-fips|-accelerate)?(?:\.dualstack)?(?:[.-](?:aws-global|[a-z]+(?:-[a-z]+)+-\d+))?"
    r"|s3-external-1"
    r"|bucket\.vpce-[a-z0-9-]+\.s3\.[a-z0-9-]+\.vpce)"
)


def variables() -> list[object]:
    """Return the values of these variables, to be compared with those of the last call.

    This is part of every hit as long as there is no client, so it reads the dictionary inside
    `os.environ`: `os.environ` itself takes 0.6 µs for each variable.
    """
    try:
        return [*map(os.environ._data.get, _ENCODED)]  # type: ignore[attr-defined]
    except AttributeError:  # a test has put a dictionary in its place
        return [*map(os.environ.get, _VARIABLES)]


def files() -> list[tuple[int, int, int]]:
    """Return inode, size and mtime of the configuration files, to be compared as well."""
    fingerprints = []
    for path in configuration_files():
        try:
            status = os.stat(path)
            fingerprints.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError as error:
            reraise_from_handler(error)
            fingerprints.append((0, 0, 0))
    return fingerprints


def credentials_of_environment() -> Credentials | None:
    """Return the credentials that boto3 would sign with, in its order of precedence.

    None if only botocore knows: it would request them, read the environment again later
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
    return _credentials_of_profile(env("AWS_DEFAULT_PROFILE", env("AWS_PROFILE")) or "default")


def _credentials_of_profile(name: str) -> Credentials | None:
    """Return the static credentials of a profile; None if it has none, or may have others."""
    credentials, config = map(_read, configuration_files())
    sections = [
        _section(credentials, name),
        _section(config, name if name == "default" else f"profile {name}"),
    ]
    if any(setting.startswith(_DYNAMIC_CREDENTIALS) for section in sections for setting in section):
        return None
    for section in sections:
        if access_key := section.get("aws_access_key_id"):
            secret_key = section.get("aws_secret_access_key")
            token = section.get("aws_security_token", section.get("aws_session_token"))
            return (access_key, secret_key, token or "") if secret_key else None
    return None


def _section(text: str, name: str) -> dict[str, str]:
    """Return a section of a configuration file. Importing configparser would take 4 ms."""
    section: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("[") and "]" in line:
            title = " ".join(line[1 : line.index("]")].replace('"', "").split())
            inside = title in (name, "DEFAULT")  # DEFAULT holds for all sections
        elif inside and line[:1] not in ("", " ", "\t", "#", ";"):
            setting, _, value = line.replace(":", "=", "=" not in line).partition("=")
            section[setting.strip().lower()] = value.strip()
    return section


def name_from_environment() -> str | None:
    """Return the name of the origin that boto3 would use; None if only a client knows."""
    env, texts = os.environ.get, "".join(map(_read, configuration_files()))
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
    """Return the endpoint, or the AWS partition: in one, the name of a bucket is unique.

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
    """Return whether an origin of this name is S3 itself, at a host of AWS's own.

    >>> is_aws("aws-cn"), is_aws("http://127.0.0.1:9000")
    (True, False)
    """
    return "://" not in name


def _partition(endpoint: str) -> str | None:
    """Return the partition of an endpoint that is AWS's own; None for all others."""
    domain = next((domain for domain in _DOMAINS if domain in endpoint), None)
    if domain is None:
        return None
    import re
    from urllib.parse import urlsplit

    url = urlsplit(endpoint)
    host = url.hostname or ""
    for domain, partition in _DOMAINS.items():
        is_s3 = re.fullmatch(rf"{_S3_HOST}\.{re.escape(domain)}", host)
        if is_s3 and url.netloc.lower() == host and url.path in ("", "/") and not url.query:
            return "aws-us-gov" if "us-gov-" in host else partition
    return None


def configuration_files() -> list[str]:
    """Return the paths of boto3's files: credentials and configuration."""
    env = os.environ.get
    return [
        os.path.expanduser(os.path.expandvars(env(variable, default)))
        for variable, default in (
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
            ("AWS_CONFIG_FILE", "~/.aws/config"),
        )
    ]


def _read(path: str) -> str:
    """Return the text of a file; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as error:
        reraise_from_handler(error)
        return ""


def of_request(name: str, credentials: Credentials, options: Mapping[str, str]) -> str:
    """Return the scope of a request to this origin, with these credentials and request options."""
    texts = [str(text) for pair in sorted(options.items()) for text in pair]
    return scope_hash(name, *credentials, *texts)


def scope_hash(*texts: str) -> str:
    """Return a one-way hash of the texts, so that no secret is written to the disk."""
    try:  # hashlib loads OpenSSL: 2.5 ms of the 25 that a hit in a new process takes
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b

    joined = "\0".join(f"{len(text)} {text}" for text in texts)
    return blake2b(joined.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
