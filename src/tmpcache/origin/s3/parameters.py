"""Request options: what a caller wants sent along, with each operation that has a place for it."""

from __future__ import annotations

import re

from ...errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What is asked for, and under which conditions: not the caller's to say in an option.
_OURS = (
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
#: All operations that are used.
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
    """Options that are only that; :class:`ConfigError` for what decides which object is meant."""
    if options is not None and not (hasattr(options, "keys") and hasattr(options, "items")):
        raise ConfigError(f"request_options={options!r} is not a mapping of names to values")
    taken = dict(options or {})
    if strange := [name for name in taken if not isinstance(name, str)]:
        raise ConfigError(f"request_options: {strange[0]!r} is not a name")
    if ours := [name for name in _OURS if name in taken]:
        raise ConfigError(
            f"request_options cannot have {', '.join(ours)}: that is said by the call itself"
        )
    return taken


def known(client: Any, options: Mapping[str, str]) -> None:
    """Raise :class:`ConfigError` for an option that S3 has nowhere: it would be sent nowhere."""
    if others := [
        name
        for name in options
        if not any(has(client, operation, name) for operation in _OPERATIONS)
    ]:
        raise ConfigError(f"request_options: S3 has no option {', '.join(others)}")


def has(client: Any, operation: str, name: str) -> bool:
    """Whether a request of this kind has a place for the option."""
    return name in client.meta.service_model.operation_model(operation).input_shape.members


def of(client: Any, operation: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that a request of this kind has a place for."""
    return {name: value for name, value in options.items() if has(client, operation, name)}


#: What a GetObject sends of options, as headers.
_HEADERS = {
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "RequestPayer": "x-amz-request-payer",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-md5",
}
#: Options that S3 has for uploads and listings only.
_FOR_OTHERS = {
    *("ACL", "BucketKeyEnabled", "CacheControl", "ChecksumAlgorithm", "ContentDisposition"),
    *("ContentEncoding", "ContentLanguage", "ContentType", "Metadata", "SSEKMSEncryptionContext"),
    *("SSEKMSKeyId", "ServerSideEncryption", "StorageClass", "Tagging"),
}


def as_headers(options: Mapping[str, Any]) -> dict[str, str] | None:
    """The headers of a GetObject with these options; None if only botocore knows them."""
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
        # As botocore does: what is given is the key itself.
        from base64 import b64encode
        from hashlib import md5

        for name, data in (("", key.encode()), ("-md5", md5(key.encode()).digest())):  # noqa: S324
            headers[_HEADERS["SSECustomerKey"] + name] = b64encode(data).decode()
    return headers
