"""Sending a file to S3: in one request, or, when it is large, in parts that become one object."""

from __future__ import annotations

from ...common.interruption import reraise_interrupt
from .parameters import of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

#: Bytes of a part, all of which is in memory while it is sent; larger where there would be more
#: than 10,000 parts, which S3 does not take. Files of up to two parts go in one request.
_PART = 16 * 1024 * 1024
_MOST_PARTS = 10_000


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
    """Send `size` bytes of `body`; the ETag and the version that S3 answers.

    `conditions` hold for the moment in which the object comes to be. Each of the `options` goes to
    every step that has it. `check` is called between parts and may raise. An upload in parts that
    fails is aborted, so that S3 keeps none of them.
    """
    place: dict[str, Any] = {"Bucket": bucket, "Key": key}
    if size <= 2 * _PART:
        whole = of(client, "PutObject", options)
        answer = client.put_object(Body=body, **place, **conditions, **whole)
        return answer.get("ETag", ""), answer.get("VersionId")
    begun = client.create_multipart_upload(**place, **of(client, "CreateMultipartUpload", options))
    place["UploadId"] = begun["UploadId"]
    each, last = (of(client, name, options) for name in ("UploadPart", "CompleteMultipartUpload"))
    try:
        parts: list[dict[str, Any]] = []
        length = max(_PART, -(-size // _MOST_PARTS))
        while chunk := body.read(length):
            check()
            number = len(parts) + 1
            sent = client.upload_part(Body=chunk, PartNumber=number, **place, **each)
            parts.append({"ETag": sent["ETag"], "PartNumber": number, **_checksums(sent)})
        answer = client.complete_multipart_upload(
            MultipartUpload={"Parts": parts}, **place, **conditions, **last
        )
    except BaseException:
        try:
            client.abort_multipart_upload(**place, **of(client, "AbortMultipartUpload", options))
        except Exception as error:  # the reason why there is an abort is what counts
            reraise_interrupt(error)
        raise
    return answer.get("ETag", ""), answer.get("VersionId")


def _checksums(sent: dict[str, Any]) -> dict[str, Any]:
    """What was computed of a part and S3 wants to hear again at the end."""
    return {
        name: value
        for name, value in sent.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }
