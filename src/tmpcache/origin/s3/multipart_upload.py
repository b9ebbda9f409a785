"""A multipart upload: its parts are sent by several threads, which end with the call.

All its requests are sent by threads of its own. A signal handler raises in the main thread only, so
an interrupt cannot come between the response that has the upload's id and the code that notes it.
The calling thread waits. If it is interrupted, it cancels the deadline that all threads share: they
end as if their time were up, and the upload is aborted. Where the system has no more threads, the
calling thread sends one part after the other.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial

from ...common.deadline import deadline_within
from ...common.handler_exceptions import reraise_from_handler
from ...common.threads import Worker, join_all
from ...errors import OriginUnavailableError, TmpCacheError
from ..transfer.parallel import MAX_CONNECTIONS
from ..transfer.range_reader import open_connections
from .errors import named, status_of, translated
from .parameters import options_for
from .signing import current
from .upload_body import Parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from ...common.deadline import Deadline
    from .errors import Subject

#: Threads of one upload, as many as s3transfer has; S3's own guide says 8 to 16.
_THREADS = 10
#: Seconds for the request that aborts an upload, if the call has so many left.
_ABORT_TIME = 6.0
#: Options about the bytes of the whole object, which no part has.
_OF_THE_WHOLE = ("ContentLength", "ContentMD5")


class MultipartUpload:
    """The upload of one object in parts. S3 keeps no part of one that fails.

    `conditions` go with the request that completes the upload; S3 takes them with no other.
    """

    def __init__(
        self,
        client: Any,
        subject: Subject,
        conditions: dict[str, str],
        options: dict[str, str],
        deadline: Deadline | None,
    ) -> None:
        self._client, self._subject = client, subject
        self._conditions, self._options = conditions, options
        self._callers_deadline, self._deadline = deadline, deadline_within(deadline)
        #: The call of botocore that all requests belong to, whatever thread sends them.
        self._call = current.call
        self._target = {"Bucket": subject[0], "Key": subject[1]}
        #: Of the parts that S3 has: what it answered, by number.
        self._sent: dict[int, dict[str, Any]] = {}
        self._threads: list[Worker] = []
        self._answer: dict[str, Any] = {}
        self._error: BaseException | None = None

    def run(self, body: BinaryIO, size: int) -> dict[str, Any]:
        """Upload `size` bytes of the body; return what S3 answers at the end."""
        outer = self._callers_deadline
        parts = Parts(body, size, self._subject, self._deadline)
        lead = [Worker(partial(copy_context().run, self._lead, parts), "tmpcache upload")]
        try:
            if outer is not None:
                outer.watch(self._deadline)
            if lead[0].start():
                lead[0].join()
            else:
                lead.clear()
                self._lead(parts, helped=False)
            if self._error is not None:
                raise self._error
        except BaseException as error:
            self._halt(error)
            join_all(lead)
            raise
        finally:
            self._error = None  # its traceback has this frame
            if outer is not None:
                outer.forget(self._deadline)
        return self._answer

    def _halt(self, error: BaseException) -> None:
        """Let all threads end because of an error, unless they do already."""
        self._error = self._error or error
        self._deadline.cancel()

    # ---- the leading thread -------------------------------------------------------------------

    def _lead(self, parts: Parts, *, helped: bool = True) -> None:
        """Send all requests but those of the helpers. Keep the error, if there is one."""
        current.call = self._call
        try:
            self._deadline.check(named(self._subject))
            if self._call is not None:
                self._call.deadline = self._deadline
            created = self._request("create_multipart_upload")
            self._target["UploadId"] = created["UploadId"]
            try:
                self._send_all(parts, helped)
                self._answer = self._complete()
            except BaseException:
                self._abort()
                raise
        except BaseException as error:
            self._halt(error)

    def _send_all(self, parts: Parts, helped: bool) -> None:
        """Send all parts, with or without helpers, and wait for those."""
        try:
            if helped:
                self._start_helpers(parts)
            self._send_parts(parts)
        except BaseException as error:
            self._halt(error)
            raise
        finally:
            join_all(self._threads)
            open_connections.difference_update(self._threads)
            self._threads.clear()
        if self._error is not None:
            raise self._error

    def _start_helpers(self, parts: Parts) -> None:
        """Start as many as there are parts for, as this process may have, and has threads for."""
        for _ in range(min(_THREADS, parts.count) - 1):
            helper = Worker(partial(copy_context().run, self._help, parts), "tmpcache upload")
            if len(open_connections) >= MAX_CONNECTIONS or not helper.start():
                return
            open_connections.add(helper)
            self._threads.append(helper)

    def _complete(self) -> dict[str, Any]:
        """Make the parts an object. Say so if S3 did not answer whether it is one."""
        self._deadline.check(named(self._subject))
        parts = [self._sent[number] for number in sorted(self._sent)]
        try:
            return self._request(
                "complete_multipart_upload", MultipartUpload={"Parts": parts}, **self._conditions
            )
        except Exception as error:
            reraise_from_handler(error)
            if not _is_unconfirmed(error, self._subject):
                raise
            raise OriginUnavailableError(
                f"{named(self._subject)}: S3 did not confirm that the upload is complete ({error})"
                ": the object may be in place, or not. Look at it before you put it again.",
                bucket=self._subject[0],
                key=self._subject[1],
            ) from error

    def _abort(self) -> None:
        """Abort the upload, which is tried once; what is raised is why it is aborted."""
        deadline = deadline_within(self._callers_deadline, _ABORT_TIME, asks_once=True)
        if self._call is not None:
            self._call.deadline = deadline
        try:
            self._request("abort_multipart_upload")
        except Exception as error:
            reraise_from_handler(error)

    # ---- all threads --------------------------------------------------------------------------

    def _help(self, parts: Parts) -> None:
        """Send parts in a thread of its own. An error ends the whole upload."""
        current.call = self._call
        try:
            self._send_parts(parts)
        except BaseException as error:
            self._halt(error)

    def _send_parts(self, parts: Parts) -> None:
        """Send part after part, as long as there are any."""
        while (part := parts.take()) is not None:
            self._deadline.check(named(self._subject))
            number, body = part
            sent = self._request("upload_part", Body=body, PartNumber=number)
            self._sent[number] = {"ETag": sent["ETag"], "PartNumber": number, **_checksums(sent)}

    def _request(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send the request of one step, with those of the options that it has."""
        operation = self._client.meta.method_to_api_mapping[method]
        options = options_for(self._client, operation, self._options)
        if operation == "UploadPart":
            options = {name: value for name, value in options.items() if _may_be_of_a_part(name)}
        send = getattr(self._client, method)
        answer: dict[str, Any] = send(**self._target, **parameters, **options)
        return answer


def _may_be_of_a_part(name: str) -> bool:
    """Return whether an option is about each part, not about the bytes of the whole object."""
    is_checksum = name.startswith("Checksum") and name != "ChecksumAlgorithm"
    return not is_checksum and name not in _OF_THE_WHOLE


def _checksums(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the checksums of a part, which S3 compares when the upload is completed."""
    return {
        name: value
        for name, value in sent.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }


def _is_unconfirmed(error: Exception, subject: Subject) -> bool:
    """Return whether S3 may have completed an upload in spite of an error.

    It answers 404 to the second request if it did so with the first, whose answer was lost.
    """
    if not isinstance(error, TmpCacheError):
        error, status = translated(error, subject), status_of(error)
        return status == 404 or isinstance(error, OriginUnavailableError)
    return isinstance(error, OriginUnavailableError)
