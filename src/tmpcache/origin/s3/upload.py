"""Upload a file to S3: in one request, or, if it is large, as a multipart upload."""

from __future__ import annotations

from ...common.interruption import reraise_from_handler
from .parameters import options_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

#: Bytes of a part, which is in memory while it is sent. S3 takes 10,000 parts at most, so the parts
#: of a very large file are larger. A file of up to two parts is sent in one request.
_MIN_PART = 16 * 1024 * 1024
_MAX_PARTS = 10_000


def upload(
    client: Any,
    bucket: str,
    key: str,
    body: BinaryIO,
    size: int,
    *,
    conditions: dict[str, str],
    options: dict[str, str],
    check: Callable[[], None],
) -> tuple[str, str | None]:
    """Send `size` bytes of `body`; return the ETag and the version id that S3 answers.

    S3 checks the `conditions` at the moment in which the object comes to be. Each of the `options`
    is sent with every step that has such a parameter. `check` is called between parts and may
    raise. A multipart upload that fails is aborted, so that S3 keeps no parts of it.
    """
    target: dict[str, Any] = {"Bucket": bucket, "Key": key}
    if size <= 2 * _MIN_PART:
        put_options = options_for(client, "PutObject", options)
        answer = client.put_object(Body=body, **target, **conditions, **put_options)
        return answer.get("ETag", ""), answer.get("VersionId")
    create_options = options_for(client, "CreateMultipartUpload", options)
    created = client.create_multipart_upload(**target, **create_options)
    target["UploadId"] = created["UploadId"]
    part_options = options_for(client, "UploadPart", options)
    complete_options = options_for(client, "CompleteMultipartUpload", options)
    try:
        parts: list[dict[str, Any]] = []
        length = max(_MIN_PART, -(-size // _MAX_PARTS))
        while chunk := body.read(length):
            check()
            number = len(parts) + 1
            sent = client.upload_part(Body=chunk, PartNumber=number, **target, **part_options)
            parts.append({"ETag": sent["ETag"], "PartNumber": number, **_checksums(sent)})
        answer = client.complete_multipart_upload(
            MultipartUpload={"Parts": parts}, **target, **conditions, **complete_options
        )
    except BaseException:
        try:
            client.abort_multipart_upload(
                **target, **options_for(client, "AbortMultipartUpload", options)
            )
        except Exception as error:  # raised is why the upload is aborted
            reraise_from_handler(error)
        raise
    return answer.get("ETag", ""), answer.get("VersionId")


def _checksums(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the checksums of a part, which S3 compares when the upload is completed."""
    return {
        name: value
        for name, value in sent.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }
