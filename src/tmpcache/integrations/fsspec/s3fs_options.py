"""Translates the options of s3fs, as a URL ``tmpcache::s3://…`` comes with them.

Objects come through tmpcache's own origin, not through s3fs. So its options become a boto3 client
and request options where they mean the same there; all others are refused, as they might say whose
credentials or which bytes are meant.
"""

from __future__ import annotations

from ...errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Options of a boto3 session, by their names in s3fs.
_SESSION = {
    "key": "aws_access_key_id",
    "username": "aws_access_key_id",
    "secret": "aws_secret_access_key",
    "password": "aws_secret_access_key",
    "token": "aws_session_token",
    "profile": "profile_name",
}
_CLIENT_KWARGS = {
    *("region_name", "endpoint_url", "use_ssl", "verify", "api_version"),
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
}
#: Options that decide how s3fs reads, buffers and lists, which it does not do here.
_OF_READING = {
    *("asynchronous", "batch_size", "cache_regions", "default_block_size", "default_cache_type"),
    *("default_fill_cache", "fixed_upload_size", "listings_expiry_time", "loop"),
    *("max_concurrency", "max_paths", "protocol", "skip_instance_cache", "use_listings_cache"),
    "version_aware",
}


def translated(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a cache, `client` and `request_options`, that say the same.

    Raises :class:`~tmpcache.errors.ConfigError` for options that it does not know.

    >>> translated({"requester_pays": True, "default_block_size": 2**20})
    {'request_options': {'RequestPayer': 'requester'}}
    """
    given = {name: value for name, value in options.items() if value not in (None, {}, False)}
    if options.get("use_ssl") is False:
        given["use_ssl"] = False
    request_options = dict(given.pop("s3_additional_kwargs", {}))
    if given.pop("requester_pays", False):
        request_options["RequestPayer"] = "requester"
    client = _client({name: given[name] for name in given if name not in _OF_READING})
    arguments = {"client": client, "request_options": request_options or None}
    return {name: value for name, value in arguments.items() if value is not None}


def _client(given: dict[str, Any]) -> Any:
    """Return a client with these options; None if there are none: the environment says all."""
    if not given:
        return None
    session = {_SESSION[name]: given.pop(name) for name in _SESSION if name in given}
    config = dict(given.pop("config_kwargs", {}))
    client: dict[str, Any] = dict(given.pop("client_kwargs", {}))
    client |= {name: given.pop(name) for name in ("endpoint_url", "use_ssl") if name in given}
    anonymous = given.pop("anon", False)
    if unknown := sorted({*given} | ({*client} - _CLIENT_KWARGS)):
        raise ConfigError(
            f"the option {unknown[0]!r} of s3fs is not known to tmpcache: leave it out, or open "
            "tmpcache://bucket/key with client=, a boto3 client that you have configured"
        )
    return _made(session, client, config, anonymous)


def _made(
    session: dict[str, Any], client: dict[str, Any], config: dict[str, Any], anonymous: bool
) -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    if anonymous:
        config["signature_version"] = UNSIGNED
    return boto3.session.Session(**session).client("s3", config=Config(**config), **client)
