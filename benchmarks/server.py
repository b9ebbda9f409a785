"""An S3 on loopback, fast enough that the client is what takes time: nginx, or our own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "bench"
#: Bytes per second that one connection to the capped endpoint carries: about what one to S3 does
#: (85 to 90 MB/s, as S3's performance guidelines put it).
CAP = 90_000_000
#: Seconds that a server has to come up.
_TIME_LIMIT = 10.0

# One process that does not change its user: it reads a directory that is nobody else's business.
_NGINX = """
daemon off; master_process off; worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
    default_type binary/octet-stream;
    client_body_temp_path {directory}/nginx-body; proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi; uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    log_format answer "$server_port $request_method $msec $request_time $body_bytes_sent";
    server {{ listen 127.0.0.1:{port}; root {objects}; }}
    server {{ listen 127.0.0.1:{noted}; root {objects}; access_log {answers} answer; }}
    server {{
        listen 127.0.0.1:{capped}; root {objects}; access_log {answers} answer; limit_rate {cap};
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Noting:
    """Endpoints that note each answer in the file `answers`; only nginx has them.

    A line is: port, method, seconds since the epoch at the end, seconds taken, bytes of the body.
    """

    answers: str
    plain: str
    #: Each connection carries at most `CAP`.
    capped: str


@dataclass(frozen=True, slots=True)
class Server:
    """What serves the files under `objects` as the objects of one bucket."""

    name: str
    endpoint: str
    objects: str
    noting: Noting | None = None

    def put(self, key: str, content: bytes) -> str:
        """Store an object; its key."""
        path = os.path.join(self.objects, BUCKET, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return key

    def put_zeros(self, key: str, size: int) -> str:
        """Store an object of `size` zero bytes, which take no room here; its key."""
        self.put(key, b"")
        os.truncate(os.path.join(self.objects, BUCKET, key), size)
        return key


@contextmanager
def serving(directory: str) -> Iterator[Server]:
    """Run a server during the block, with its files in `directory`.

    For that long the environment is such that every boto3 client, here and in child processes,
    talks to it, whatever the user's configuration says.
    """
    objects = os.path.join(directory, "objects")
    os.makedirs(os.path.join(objects, BUCKET))
    with ExitStack() as stack:
        nginx = stack.enter_context(_nginx(directory, objects))
        server = nginx or stack.enter_context(_plain(objects))
        stack.enter_context(_environment(server.endpoint))
        yield server


def client() -> S3Client:
    """Return a client of its own for that server; all of them are alike."""
    import boto3

    return boto3.session.Session().client("s3")


@contextmanager
def _nginx(directory: str, objects: str) -> Iterator[Server | None]:
    path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        yield None
        return
    ports = _free_ports(3)
    endpoints = [f"http://127.0.0.1:{port}" for port in ports]
    config, log, answers = (
        os.path.join(directory, name) for name in ("nginx.conf", "nginx.log", "answers.log")
    )
    places = {"directory": directory, "objects": objects, "answers": answers, "cap": CAP}
    places |= zip(("port", "noted", "capped"), ports, strict=True)
    with open(config, "w", encoding="utf-8") as file:
        file.write(_NGINX.format(**places))
    version = subprocess.run([path, "-v"], capture_output=True, text=True).stderr
    with running([path, "-e", log, "-c", config]) as process:
        name = version.rpartition(" ")[2].strip()
        server = Server(name, endpoints[0], objects, Noting(answers, *endpoints[1:]))
        yield server if _answers(process, ports[-1]) else None


@contextmanager
def _plain(objects: str) -> Iterator[Server]:
    with running([sys.executable, "-m", "benchmarks.plain_server", objects]) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Server("benchmarks.plain_server (no nginx here)", f"http://127.0.0.1:{port}", objects)


@contextmanager
def sink() -> Iterator[str]:
    """Run a server that takes uploads and keeps nothing of them; its endpoint."""
    with running([sys.executable, "-m", "benchmarks.sink_server"]) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def taken(endpoint: str) -> int:
    """Return the bytes that have been uploaded to a :func:`sink` so far."""
    connection = HTTPConnection(endpoint.rpartition("/")[2], timeout=_TIME_LIMIT)
    connection.request("HEAD", "/")
    with connection.getresponse() as answer:
        count = int(answer.headers["X-Taken"])
    connection.close()
    return count


def _free_ports(count: int) -> list[int]:
    """Return ports of loopback that nothing listened on a moment ago."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process with a pipe to its standard output, and kill it at the end of ``with``."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _answers(process: subprocess.Popen[str], port: int) -> bool:
    """Return whether a server comes up, rather than ending or staying silent."""
    end = time.monotonic() + _TIME_LIMIT
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.01)
    return False


@contextmanager
def _environment(endpoint: str) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AWS_", "TMPCACHE_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
