"""moto as a WSGI application, for whatever layer is put around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)

from .loopback import QuietHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def moto() -> WSGIApplication:
    """Return moto's services as one WSGI application."""
    return cast("WSGIApplication", DomainDispatcherApplication(create_backend_app))


class MotoHandler(QuietHandler, MotoRequestHandler):
    """Reads requests as moto has to, and answers them as :class:`QuietHandler` does."""


class KeepAliveHandler(MotoHandler):
    """Takes more than one request from a connection."""

    protocol_version = "HTTP/1.1"
