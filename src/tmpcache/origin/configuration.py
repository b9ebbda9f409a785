"""Resolve endpoint and credentials from environment and profile as boto3 does, without boto3.

The plain case is the usual one: access keys in the environment (every Lambda function) or in a
profile, and AWS itself or one endpoint URL. Credentials of other sources (the roles of ECS, EKS and
EC2) are botocore's to find, for which no client is needed. For everything that this module does not
know it raises :class:`NotPlainError`: it never guesses. tests/origin/test_generated_environment.py
compares what it returns with what botocore would send.
"""

from __future__ import annotations

import os
import re

from ..common.handler_exceptions import reraise_from_handler
from . import scope
from .endpoint import Endpoint, NotPlainError, aws_endpoint, endpoint_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scope import Credentials

#: Variables that are read here or by :mod:`.scope`, and variables that change nothing of a plain
#: GetObject but its credentials. Any other variable that botocore may read is not plain.
_READ = {
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_RETRY_MODE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
}
_HARMLESS = {
    "AWS_ACCOUNT_ID",
    "AWS_BUCKET",
    "AWS_BUCKET_NAME",
    "AWS_DEFAULT_OUTPUT",
    "AWS_ENDPOINT_URL_STS",
    "AWS_EXECUTION_ENV",
    "AWS_PAGER",
    "AWS_REGION",  # which botocore does not read
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_S3_BUCKET",
    "AWS_S3_BUCKET_NAME",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_SDK_UA_APP_ID",
    "AWS_STORAGE_BUCKET_NAME",
    "AWS_STS_REGIONAL_ENDPOINTS",  # which EKS sets
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}
#: Prefixes of further ones: those of AWS's services that run code, tracing, sources of credentials.
_HARMLESS_FAMILIES = (
    "AWS_BATCH_",
    "AWS_CLI_",
    "AWS_CONTAINER_",
    "AWS_EC2_METADATA_",
    "AWS_LAMBDA_",
    "AWS_METADATA_SERVICE_",
    "AWS_XRAY_",
)
#: Variables that botocore takes for unset when they are empty.
_MAY_BE_EMPTY = {"AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
#: Settings of a profile: read, harmless, and (prefixes) of credentials.
_SETTINGS_READ = {"region", "endpoint_url", "ca_bundle", "max_attempts", "retry_mode"}
_SETTINGS_HARMLESS = {"output"}
_CREDENTIAL_SETTINGS = (
    *("aws_access_key_id", "aws_secret_access_key", "aws_se", "credential_", "duration_seconds"),
    *("ec2_metadata_", "external_id", "metadata_service_", "mfa_serial", "role_", "source_profile"),
    *("sso_", "web_identity_token_file"),
)
#: Attempts of each retry mode, the first included. ``standard`` is botocore's default.
_ATTEMPTS = {"legacy": 5, "standard": 3}

_TITLE = r"\[([\w.@+/:-]+(?: [\w.@+/:-]+)*)\][ \t]*"
_SETTING = r"([A-Za-z][\w.-]*)[ \t]*[=:](.*)"


def resolve() -> Endpoint:
    """Return the endpoint and the credentials that boto3 would use now.

    Raises :class:`NotPlainError` if only boto3 can tell, and the errors of
    :func:`.s3.credentials.find_credentials`.
    """
    _check_variables()
    profile = _profile()
    credentials = scope.credentials_of_environment()
    if credentials is not None and not can_sign(credentials):
        raise NotPlainError("credentials that are not ASCII")
    region = _setting("AWS_DEFAULT_REGION", profile, "region")
    retry_mode, max_attempts = _retries(profile)
    url = _endpoint_url(profile)
    ca_bundle = _setting("AWS_CA_BUNDLE", profile, "ca_bundle")
    ca_bundle = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE", "")
    if url:
        endpoint = endpoint_at(url, region, credentials, max_attempts, ca_bundle)
    else:
        endpoint = aws_endpoint(region, credentials, max_attempts, ca_bundle)
    if endpoint.scheme == "https" and ca_bundle:
        _check_ca_bundle(ca_bundle)
    endpoint.retry_mode = retry_mode
    endpoint.name = scope.origin_name(url, region or None)
    if credentials is None:
        from .s3.credentials import find_credentials

        endpoint.chain = find_credentials(endpoint.name)
    return endpoint


def can_sign(credentials: Credentials) -> bool:
    """Return whether these are credentials as S3 makes them: ASCII, without spaces."""
    return not any(re.search("[^!-~]", text) for text in credentials)


def _check_variables() -> None:
    """Raise if anything but the profile makes the configuration not plain."""
    for name, value in os.environ.items():
        if name[:4] in ("AWS_", "BOTO"):
            if name not in _READ and name not in _HARMLESS:
                if not name.startswith(_HARMLESS_FAMILIES):
                    raise NotPlainError(name)
            elif not value and name in _READ and name not in _MAY_BE_EMPTY:
                raise NotPlainError(f"{name} is empty")
        elif name[-6:].lower() == "_proxy" and value and name.lower() != "no_proxy":
            raise NotPlainError("a proxy")
    if _system_has_proxies():
        raise NotPlainError("a proxy")
    if os.path.exists(os.path.expanduser("~/.aws/models")):
        raise NotPlainError("models in ~/.aws")


def _system_has_proxies() -> bool:
    try:
        from _scproxy import _get_proxies  # macOS
    except ImportError:
        return False
    return bool(_get_proxies())


def _setting(variable: str, profile: dict[str, str], setting: str) -> str:
    return os.environ.get(variable) or profile.get(setting, "")


def _retries(profile: dict[str, str]) -> tuple[str, int]:
    """Return the retry mode and the number of attempts."""
    mode = _setting("AWS_RETRY_MODE", profile, "retry_mode") or "standard"
    number = _setting("AWS_MAX_ATTEMPTS", profile, "max_attempts")
    if mode not in _ATTEMPTS or not re.fullmatch(r"|[1-9]\d{0,2}", number):
        raise NotPlainError("the retry mode")
    return mode, int(number) if number else _ATTEMPTS[mode]


def _endpoint_url(profile: dict[str, str]) -> str:
    """Return the endpoint URL that is set; "" for AWS itself."""
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false").lower()
    if ignored not in ("true", "false"):
        raise NotPlainError("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    if ignored == "true":
        return ""
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return url or profile.get("endpoint_url", "")


def _check_ca_bundle(bundle: str) -> None:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except OSError as error:
        reraise_from_handler(error)
        raise NotPlainError("a CA bundle that cannot be read") from error


def _profile() -> dict[str, str]:
    """Return the settings of the profile in use; those of the credentials file take precedence."""
    named = os.environ.get("AWS_DEFAULT_PROFILE", os.environ.get("AWS_PROFILE"))
    name = named or "default"
    credentials, config = (_sections(path) for path in scope.configuration_files())
    if "profile default" in config:
        raise NotPlainError("a profile named default")
    sections = [
        config.get(name if name == "default" else f"profile {name}"),
        credentials.get(name),
        config.get("DEFAULT"),
        credentials.get("DEFAULT"),
    ]
    if sections[2:] != [None, None]:
        raise NotPlainError("a section for all profiles")
    if named and sections[:2] == [None, None]:
        raise NotPlainError("there is no such profile")
    profile = {**(sections[0] or {}), **(sections[1] or {})}
    for setting, value in profile.items():
        is_of_credentials = setting.startswith(_CREDENTIAL_SETTINGS)
        if not is_of_credentials and setting not in _SETTINGS_READ | _SETTINGS_HARMLESS:
            raise NotPlainError(f"the setting {setting}")
        if not value or "\n" in value:
            raise NotPlainError(f"the value of {setting}")
    return profile


def _sections(path: str) -> dict[str, dict[str, str]]:
    """Return the sections of a file; raise if a line could be read in two ways."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        reraise_from_handler(error)
        return {}
    except (OSError, UnicodeError) as error:
        reraise_from_handler(error)
        raise NotPlainError(f"{path} cannot be read") from error
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] | None = None
    last = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if title := re.fullmatch(_TITLE, line):
            last = ""
            section = {}
            if sections.setdefault(title.group(1), section) is not section:
                raise NotPlainError(f"{path} has a section twice")
        elif section is None:
            raise NotPlainError(f"{path} does not begin with a section")
        elif setting := re.fullmatch(_SETTING, line):
            last = setting.group(1).lower()
            if last in section:
                raise NotPlainError(f"{path} has a setting twice")
            section[last] = setting.group(2).strip()
        elif last and line[0] in " \t":  # a continuation: `_profile` refuses such values
            section[last] += f"\n{stripped}"
        else:
            raise NotPlainError(f"{path} has lines of another kind")
    return sections
