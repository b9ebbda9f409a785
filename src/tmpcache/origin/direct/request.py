"""One GET: its target and headers, as they are signed and sent for each attempt."""

from __future__ import annotations

import os
import time

from .sigv4 import in_query, path_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Deadline
    from ..endpoint import Address
    from ..protocol import GetOptions
    from ..s3.errors import Subject
    from .sigv4 import Signature

#: Conditional headers, and what botocore calls them.
_CONDITIONS = {"if-none-match": "IfNoneMatch", "if-match": "IfMatch"}
_UNSIGNED = "accept-encoding: identity\r\nuser-agent: tmpcache\r\n"


class Request:
    """A GET, to be signed anew for each attempt."""

    __slots__ = ("deadline", "headers", "is_whole", "path", "query", "scope", "subject")

    def __init__(
        self,
        address: Address,
        subject: Subject,
        option_headers: dict[str, str],
        options: GetOptions,
    ) -> None:
        host, directory = address
        _, key, version_id = self.subject = subject
        self.path = f"{directory}/{path_of(key)}"
        self.query = f"versionId={in_query(version_id)}" if version_id else ""
        self.deadline: Deadline | None = options.get("deadline")
        #: That of the credentials which signed it last; None before it is sent.
        self.scope: str | None = None
        self.headers = {"host": host, "x-amz-checksum-mode": "ENABLED", **option_headers}
        if etag := options.get("if_none_match"):
            self.headers["if-none-match"] = etag
        if etag := options.get("if_match"):
            self.headers["if-match"] = etag
        start, end = options.get("start", 0), options.get("end")
        #: Whether the whole object is requested, not a range of it.
        self.is_whole = not start and end is None
        if not self.is_whole:
            self.headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"

    @property
    def is_sendable(self) -> bool:
        """Whether all headers are printable ASCII; botocore encodes others in its own way."""
        text = "".join(self.headers.values())
        return text.isascii() and text.isprintable()

    @property
    def conditions(self) -> list[str]:
        """The conditions that are sent, as botocore names them."""
        return [name for header, name in _CONDITIONS.items() if header in self.headers]

    def drop_conditions(self) -> None:
        """Remove the conditions; the ETag of the response tells as well."""
        for header in _CONDITIONS:
            self.headers.pop(header, None)

    def signed(self, signature: Signature) -> bytes:
        """Return the bytes to send now."""
        headers = self.headers.copy()
        signature.sign(self.path, self.query, headers, time.time())
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        target = f"{self.path}?{self.query}" if self.query else self.path
        return f"GET {target} HTTP/1.1\r\n{lines}{_unsigned_headers()}\r\n".encode("ascii")


def _unsigned_headers() -> str:
    """Return the headers that are not signed; botocore does not sign them either.

    In Lambda the trace id is one of them, so that X-Ray knows which trace a request belongs to.
    """
    trace = (
        os.environ.get("_X_AMZN_TRACE_ID", "") if "AWS_LAMBDA_FUNCTION_NAME" in os.environ else ""
    )
    if trace and trace.isascii() and trace.isprintable():
        return f"{_UNSIGNED}x-amzn-trace-id: {trace}\r\n"
    return _UNSIGNED
