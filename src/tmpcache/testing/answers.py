"""Responses that the S3 server makes itself, without its store."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True)
class Canned:
    """An object that the WSGI layer serves, for keys that moto's URL patterns do not match."""

    body: bytes
    etag: str

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Make the response that S3 would send, conditions and ranges included."""
        response = Response(self.body, mimetype="binary/octet-stream")
        response.set_etag(self.etag)
        return response.make_conditional(
            Request(environ), accept_ranges=True, complete_length=len(self.body)
        )


def error(status: HTTPStatus, code: str) -> Response:
    """Make the response that S3 sends for an error."""
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{status.phrase}</Message></Error>"
    )
    return Response(xml, status=status.value, content_type="application/xml")
