"""One GET, as it is signed and sent."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ..s3.errors import Subject
    from .sigv4 import Signature

#: Conditions, by their headers.
_CONDITIONS = {"if-none-match": "IfNoneMatch", "if-match": "IfMatch"}


_ALWAYS = "accept-encoding: identity\r\nuser-agent: tmpcache\r\n"


class _Question:
    """A GET, to be signed for each try."""

    __slots__ = ("deadline", "headers", "path", "query", "subject")

    def __init__(
        self,
        subject: Subject,
        path: str,
        query: str,
        headers: dict[str, str],
        deadline: Deadline | None,
    ) -> None:
        self.subject, self.path, self.query = subject, path, query
        self.headers, self.deadline = headers, deadline

    def conditions(self) -> list[str]:
        """Those it has, as botocore names them."""
        return [name for header, name in _CONDITIONS.items() if header in self.headers]

    def drop_conditions(self) -> None:
        """Ask whatever the object is: the ETag of the answer tells as well."""
        for header in _CONDITIONS:
            self.headers.pop(header, None)

    def signed(self, signature: Signature) -> bytes:
        """The request as it is sent now."""
        headers = self.headers.copy()
        signature.sign(self.path, self.query, headers, time.time())
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        target = f"{self.path}?{self.query}" if self.query else self.path
        return f"GET {target} HTTP/1.1\r\n{lines}{_unsigned()}\r\n".encode("ascii")


def _unsigned() -> str:
    """Headers that are no part of the signature: as botocore's, and who is asking.

    Lambda's trace goes along, so that X-Ray knows what a request belongs to.
    """
    trace = (
        os.environ.get("_X_AMZN_TRACE_ID", "") if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else ""
    )
    if trace and trace.isascii() and trace.isprintable():
        return f"{_ALWAYS}x-amzn-trace-id: {trace}\r\n"
    return _ALWAYS
