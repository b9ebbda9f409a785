"""The pool of connections to the hosts of one endpoint."""

from __future__ import annotations

from weakref import finalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..endpoint import Endpoint
    from .connection import Connection

#: Idle connections to a host: one for each thread there may be.
_MAX_IDLE_CONNECTIONS = 64


class ConnectionPool:
    """Idle connections, and how new ones are made."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: dict[str, list[Connection]] = {}
        # Else Python warns of each socket of a cache that was dropped without being closed.
        finalize(self, _close_all, self._idle).atexit = False
        self._tls_context: object = None
        self._is_closed = False

    def take(self, host: str) -> Connection | None:
        """Take an idle connection that is still open, as far as can be seen; None for none."""
        idle = self._idle.get(host)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if connection.is_reusable:
                return connection
            connection.close()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request; close it if more has arrived than a response."""
        idle = self._idle.setdefault(connection.host, [])
        if connection.has_unread or self._is_closed or len(idle) >= _MAX_IDLE_CONNECTIONS:
            return connection.close()
        connection.rest()
        return idle.append(connection)

    def connect(self, host: str, timeout: float) -> Connection:
        """Make a connection to a host, whose name may end in the endpoint's port."""
        import socket

        from .connection import OpenConnection

        port = self._endpoint.port
        name = host.removesuffix(f":{port}").strip("[]")
        # As bytes: for text, Python loads what encodes international names.
        connected = socket.create_connection((name.encode(), port), timeout)  # type: ignore[arg-type]
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._endpoint.scheme == "https":
                connected = self._tls().wrap_socket(connected, server_hostname=name)  # type: ignore[attr-defined]
            return OpenConnection(host, connected)
        except BaseException:
            connected.close()
            raise

    def close(self) -> None:
        """Close idle connections now, and those in use when their responses have been read."""
        self._is_closed = True
        _close_all(self._idle)

    def _tls(self) -> object:
        if self._tls_context is None:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_alpn_protocols(["http/1.1"])
            context.load_verify_locations(self._endpoint.ca_bundle or certificates())
            self._tls_context = context
        return self._tls_context


def _close_all(idle: dict[str, list[Connection]]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().close()


def certificates() -> str:
    """Return the file of the authorities that botocore trusts if no other is configured.

    It is certifi's if that is installed, else botocore's own, which is found without importing it.
    """
    try:
        from certifi import where
    except ImportError:
        from importlib.util import find_spec
        from os.path import dirname, join

        found = find_spec("botocore")
        assert found is not None
        assert found.origin is not None
        return join(dirname(found.origin), "cacert.pem")
    return str(where())
