"""HTTPS in front of a server that speaks HTTP."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme


@contextmanager
def encrypted(upstream: tuple[str, int], directory: Path) -> Iterator[tuple[str, Path]]:
    """Serve `upstream` over TLS; yield the endpoint and the authority to trust for it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    certificate = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, context, upstream))
        accepting.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", certificate
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def _accept(listener: socket.socket, context: ssl.SSLContext, upstream: tuple[str, int]) -> None:
    threads = []
    with suppress(OSError):  # shut down
        while True:
            link = listener.accept()[0]
            threads.append(threading.Thread(target=_serve, args=(link, context, upstream)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _serve(link: socket.socket, context: ssl.SSLContext, upstream: tuple[str, int]) -> None:
    """Pass requests and answers on alternately: no HTTP/1.1 client has both under way at once."""
    with (
        suppress(OSError),
        socket.create_connection(upstream) as server,
        context.wrap_socket(link, server_side=True) as client,
    ):
        answering = threading.Thread(target=_copy, args=(server, client))
        answering.start()
        _copy(client, server)
        answering.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
