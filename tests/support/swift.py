"""OpenStack Swift with its S3 API on loopback: an object store with users and rights of its own.

Ring, configuration and data are in a temporary directory; the four servers (proxy, account,
container, object) are processes of the running interpreter, which has to have `swift` installed.

    with running_swift() as swift:
        client = swift.client(swift.owner)
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from support.iam import User

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_STARTS = 3  # a port that was free may be gone when a server wants it
_TIME_LIMIT = 60.0  # seconds until all four listen; it takes two
_BACKENDS = {"account": "account", "container": "container", "object": "obj"}  # and their modules

_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
bind_timeout = 1
workers = 0
swift_dir = {directory}
devices = {directory}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
"""
_BACKEND = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """
[pipeline:main]
pipeline = catch_errors s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:s3api]
use = egg:swift#s3api
s3_acl = true
[filter:slo]
use = egg:swift#slo
[filter:tempauth]
use = egg:swift#tempauth
"""


class SwiftNotAvailable(Exception):
    """There is no Swift here, or none can run here."""


@dataclass(frozen=True)
class Swift:
    """The running store."""

    endpoint: str
    owner = User("test:user1", "secret1")  #: may do everything
    guest = User("test:user2", "secret2")  #: may do what objects grant

    def environ(self, user: User) -> Mapping[str, str]:
        """Return the environment variables that make a process be `user` of this store."""
        return {**user.environ, "AWS_ENDPOINT_URL_S3": self.endpoint}

    def client(self, user: User, **settings: Any) -> S3Client:
        """Return a boto3 client of `user`."""
        settings = {"endpoint_url": self.endpoint, "region_name": "us-east-1", **settings}
        return self._session.client(
            "s3", aws_access_key_id=user.key_id, aws_secret_access_key=user.secret, **settings
        )

    @cached_property
    def _session(self) -> boto3.session.Session:
        """One for all clients, since each session reads the description of S3 anew (0.1 s)."""
        return boto3.session.Session()


@contextmanager
def running_swift() -> Iterator[Swift]:
    """Start Swift and stop it at the end of `with`."""
    if find_spec("swift") is None:
        raise SwiftNotAvailable("needs OpenStack Swift: pip install swift")
    with tempfile.TemporaryDirectory(prefix="swift-") as name:
        directory = Path(name)
        _check_attributes(directory)
        for _ in range(_STARTS):
            ports = _free_ports(1 + len(_BACKENDS))
            with _servers(directory, ports) as servers:
                if _all_listen(servers, ports):
                    yield Swift(f"http://127.0.0.1:{ports[0]}")
                    return
        logs = [path.read_text(errors="replace")[-2000:] for path in directory.glob("*.log")]
        raise AssertionError("\n".join(["Swift did not start:", *logs]))


def _check_attributes(directory: Path) -> None:
    """Check for extended attributes, in which Swift keeps what it knows of an object."""
    try:
        os.setxattr(directory, "user.swift", b"1")
    except (AttributeError, OSError) as error:
        raise SwiftNotAvailable(f"needs a file system with extended attributes: {error}") from error


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _servers(directory: Path, ports: Sequence[int]) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    (directory / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = test\n")
    (directory / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    common = [_COMMON.format(port=port, directory=directory) for port in ports]
    users = "".join(
        f"user_{user.key_id.replace(':', '_')} = {user.secret} {group}\n"
        for user, group in ((Swift.owner, ".admin"), (Swift.guest, ""))
    )
    (directory / "proxy.conf").write_text(common[0] + _PROXY + users)
    for kind, port, start in zip(_BACKENDS, ports[1:], common[1:], strict=True):
        (directory / f"{kind}.conf").write_text(start + _BACKEND.format(kind=kind))
        _write_ring(directory / f"{kind}.ring.gz", port)
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for kind, module in {"proxy": "proxy", **_BACKENDS}.items():
            command = [sys.executable, "-P", "-W", "ignore", "-m", f"swift.{module}.server"]
            command += [str(directory / f"{kind}.conf"), "--verbose"]
            with (directory / f"{kind}.log").open("wb") as log:
                servers.append(subprocess.Popen(command, cwd=directory, stdout=log, stderr=log))
        yield servers
    finally:
        for server in servers:
            server.kill()
        for server in servers:
            server.wait()


def _write_ring(path: Path, port: int) -> None:
    """Write a ring of one device and one partition, as `swift-ring-builder` would."""
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "disk", "meta": ""}
    device |= {"ip": "127.0.0.1", "port": port}
    device |= {"replication_ip": "127.0.0.1", "replication_port": port}
    ring = {"devs": [device], "part_shift": 32, "replica_count": 1, "byteorder": sys.byteorder}
    text = json.dumps(ring).encode()
    partitions = struct.pack("=H", 0)  # the first is on device 0
    with gzip.open(path, "wb") as file:
        file.write(struct.pack("!4sHI", b"R1NG", 1, len(text)) + text + partitions)


def _all_listen(servers: Sequence[subprocess.Popen[bytes]], ports: Sequence[int]) -> bool:
    deadline = time.monotonic() + _TIME_LIMIT
    waiting = list(ports)
    while waiting and time.monotonic() < deadline:
        if any(server.poll() is not None for server in servers):
            return False
        try:
            socket.create_connection(("127.0.0.1", waiting[0]), timeout=1).close()
            del waiting[0]
        except OSError:
            time.sleep(0.02)
    return not waiting
