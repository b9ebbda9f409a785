"""Request options: what a caller wants sent along, with each operation that has a place for it."""

from __future__ import annotations

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
