"""Upload a file to S3: in one request, or, if it is large, in parts over several connections."""

from __future__ import annotations

from .multipart_upload import MultipartUpload
from .parameters import options_for
from .upload_body import part_size, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from ...common.deadline import Deadline
    from .errors import Subject

#: A file of up to so many parts is sent in one request: two requests more take as long as a second
#: connection saves.
_MAX_PARTS_OF_ONE_REQUEST = 2


def upload(
    client: Any,
    subject: Subject,
    body: BinaryIO,
    size: int,
    *,
    conditions: dict[str, str],
    options: dict[str, str],
    deadline: Deadline | None,
) -> tuple[str, str | None]:
    """Send `size` bytes of `body`; return the ETag and the version id that S3 answers.

    S3 checks the `conditions` at the moment in which the object comes to be. Each of the `options`
    is sent with every step that has such a parameter. Called within a call of botocore
    (:data:`.signing.current`).
    """
    if size <= _MAX_PARTS_OF_ONE_REQUEST * part_size(size):
        bucket, key, _ = subject
        answer = client.put_object(
            Bucket=bucket,
            Key=key,
            Body=whole(body, size, subject, deadline),
            **conditions,
            **options_for(client, "PutObject", options),
        )
    else:
        answer = MultipartUpload(client, subject, conditions, options, deadline).run(body, size)
    return answer.get("ETag", ""), answer.get("VersionId")
