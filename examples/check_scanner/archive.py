"""Stages 7 and 9, archive: an original moves when all that is known of it is on record, not before.

It is copied under ``archived/`` before the decision is written down, and removed from ``incoming/``
last of all.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .receive import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

#: Bytes that S3 copies in one request. Larger ones (rejected unseen) stay where they are.
_MOST = 5 * 1024**3
# Gone, replaced, or behind a delete marker.
_NOT_THERE = {404, 405, 412}


def place(upload: Upload, what: str) -> str:
    """The key for something of an upload: by its id, so that no two share one.

    >>> place(Upload("checks", "incoming/a.JPG", "5d41"), "original.jpg")
    'archived/6cd504c45e7bcfcaa3f13d2c58b63610/original.jpg'
    """
    return f"archived/{upload.id}/{what}"


def keep_original(s3: "S3Client", upload: Upload) -> str | None:
    """Copy exactly this version of the object within S3; its new key, None if it is not there."""
    if upload.etag is None or (upload.size is not None and upload.size > _MOST):
        return None
    key = place(upload, f"original{upload.suffix}")
    source: CopySourceTypeDef = {"Bucket": upload.bucket, "Key": upload.key}
    if upload.version_id:
        source["VersionId"] = upload.version_id
    try:
        s3.copy_object(
            Bucket=upload.bucket,
            Key=key,
            CopySource=source,
            CopySourceIfMatch=f'"{upload.etag}"',
            TaggingDirective="REPLACE",  # copying tags would take more rights
        )
    except ClientError as error:
        if _status(error) in _NOT_THERE:
            return None
        raise
    return key


def remove_original(s3: "S3Client", upload: Upload) -> None:
    """Remove exactly this version from ``incoming/``.

    If it is gone already, or another upload of the same name has taken its place, nothing happens.
    """
    try:
        if upload.version_id:
            s3.delete_object(Bucket=upload.bucket, Key=upload.key, VersionId=upload.version_id)
        else:
            s3.delete_object(Bucket=upload.bucket, Key=upload.key, IfMatch=f'"{upload.etag}"')
    except ClientError as error:
        if _status(error) not in _NOT_THERE:
            raise


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
