"""The response to a GetObject as a `Reply`: what its headers say, and its body."""

from __future__ import annotations

from ...common.interruption import raise_if_interrupted
from .. import Reply
from ..s3 import timeouts
from ..s3.errors import named, translated
from ..s3.headers import announced_checksum, extent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.deadline import Deadline
    from ..s3.errors import Subject
    from .connections import Answer
    from .request import _Question

_CHECKSUM = "x-amz-checksum-"


class Body:
    """A body under way whose errors are ours, and which keeps to the deadline."""

    __slots__ = ("_answer", "_deadline", "_subject")

    def __init__(self, answer: Answer, subject: Subject, deadline: Deadline | None) -> None:
        self._answer, self._subject, self._deadline = answer, subject, deadline

    def read(self, buffer: memoryview, /) -> memoryview:
        """The next bytes, in `buffer`."""
        answer, deadline = self._answer, self._deadline
        try:
            if deadline is not None and (left := deadline.remaining()) < timeouts.READ_TIMEOUT:
                answer.wait_at_most(max(left, 0.001))
            return buffer[: answer.read_into(buffer)]
        except Exception as error:
            raise_if_interrupted(error)
            answer.close()
            if deadline is not None and deadline.remaining() <= 0:
                raise deadline.exceeded(named(self._subject)) from error
            raise translated(error, self._subject) from error

    def interrupt(self) -> None:
        """Let a read under way, in another thread, fail."""
        self._answer.interrupt()

    def close(self) -> None:
        """Give the connection up, if there is more to come over it."""
        self._answer.close()


def _reply_from(answer: Answer, question: _Question, *, whole: bool) -> Reply:
    headers = answer.headers
    length = headers.get("content-length")
    said: dict[str, Any] = {
        "ContentLength": None if length is None else int(length),
        "ContentRange": headers.get("content-range"),
    }
    start, end, size = extent_of(said)
    checksum = ""
    if whole:
        for name, value in headers.items():
            if name.startswith(_CHECKSUM):
                algorithm = name.removeprefix(_CHECKSUM)
                said["ChecksumType" if algorithm == "type" else f"Checksum{algorithm.upper()}"] = (
                    value
                )
        if len(said) > 2:
            checksum = announced_checksum(said)
    return Reply(
        Body(answer, question.subject, question.deadline),
        headers.get("etag", ""),
        size,
        headers.get("x-amz-version-id"),
        start,
        end,
        checksum,
    )
