"""Request options of the caller, such as ``RequestPayer``, and which operations have them."""

from __future__ import annotations

import re

from ...errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Parameters that say which object is meant, and under which conditions. tmpcache sets them, so
#: they cannot be options.
_RESERVED = (
    "Body",
    "Bucket",
    "ContinuationToken",
    "Delimiter",
    "EncodingType",
    "IfMatch",
    "IfNoneMatch",
    "Key",
    "MaxKeys",
    "MultipartUpload",
    "PartNumber",
    "Prefix",
    "Range",
    "StartAfter",
    "UploadId",
    "VersionId",
)
#: All operations that tmpcache uses.
_OPERATIONS = (
    "GetObject",
    "ListObjectsV2",
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)


def checked(options: Mapping[str, str] | None) -> dict[str, str]:
    """Return the options as a dictionary; raise :class:`ConfigError` if one of them is reserved."""
    if options is not None and not (hasattr(options, "keys") and hasattr(options, "items")):
        raise ConfigError(f"request_options={options!r} is not a mapping of names to values")
    checked_options = dict(options or {})
    if not_names := [name for name in checked_options if not isinstance(name, str)]:
        raise ConfigError(f"request_options: {not_names[0]!r} is not a name")
    if reserved := [name for name in _RESERVED if name in checked_options]:
        raise ConfigError(
            f"request_options cannot have {', '.join(reserved)}: that is said by the call itself"
        )
    return checked_options


def refuse_unknown(client: Any, options: Mapping[str, str]) -> None:
    """Raise :class:`ConfigError` for an option that no operation has: it would never be sent."""
    if unknown := [
        name
        for name in options
        if not any(has(client, operation, name) for operation in _OPERATIONS)
    ]:
        raise ConfigError(f"request_options: S3 has no option {', '.join(unknown)}")


def has(client: Any, operation: str, name: str) -> bool:
    """Return whether an operation has a parameter of this name."""
    return name in client.meta.service_model.operation_model(operation).input_shape.members


def options_for(client: Any, operation: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that an operation has."""
    return {name: value for name, value in options.items() if has(client, operation, name)}


#: Options of a GetObject, and the headers that they are sent as.
_HEADERS = {
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-md5",
}
#: Options of uploads and listings, which no GetObject has.
_FOR_OTHERS = {
    *("ACL", "BucketKeyEnabled", "CacheControl", "ChecksumAlgorithm", "ContentDisposition"),
    *("ContentEncoding", "ContentLanguage", "ContentType", "Metadata", "SSEKMSEncryptionContext"),
    *("SSEKMSKeyId", "ServerSideEncryption", "StorageClass", "Tagging"),
}


def as_headers(options: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the headers of a GetObject with these options; None if only botocore knows them."""
    headers: dict[str, str] = {}
    for name, value in options.items():
        if name in _FOR_OTHERS:
            continue
        header = _HEADERS.get(name)
        if header is None or not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            return None
        headers[header] = value
    key = options.get("SSECustomerKey")
    if key is not None and "SSECustomerKeyMD5" not in options:
        # As botocore does: the option has the key itself.
        from base64 import b64encode
        from hashlib import md5

        for name, data in (("", key.encode()), ("-md5", md5(key.encode()).digest())):  # noqa: S324
            headers[_HEADERS["SSECustomerKey"] + name] = b64encode(data).decode()
    return headers
