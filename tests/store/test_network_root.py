"""A root on a network file system is refused, with an error that says what to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tmpcache import Cache
from tmpcache.errors import UnsafeRootError
from tmpcache.store.filesystem import mounts
from tmpcache.store.filesystem.mounts import network_file_system

EFS = "127.0.0.1:/ rw,vers=4.1,rsize=1048576,hard,noresvport,proto=tcp"
TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
{disk} / / rw,relatime - ext4 /dev/root rw
40 27 {number} / /mnt/efs\\040share rw,relatime shared:9 - {kind} {options}
broken line
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory on a file system without a device, as those of networks are."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def mount(directory: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str = EFS) -> None:
    """Have the mount table say that the directory's file system is of this kind."""
    device = directory.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = directory / "mountinfo"
    table.write_text(TABLE.format(disk="27 1 8:1", number=number, kind=kind, options=options))
    monkeypatch.setattr(mounts, "_TABLE", str(table))


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs"])
def test_a_root_on_it_is_refused_and_nothing_is_made(
    kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(directory, monkeypatch, kind)
    root = directory / "cache"
    with pytest.raises(UnsafeRootError, match=f"network file system \\({kind}\\).*local disk"):
        Cache(root)
    assert not root.exists()
    root.mkdir(mode=0o700)
    with pytest.raises(UnsafeRootError, match="put_pack"):
        Cache(root)
    assert not [*root.iterdir()]


@pytest.mark.parametrize("option", ["local_lock=all", "nolock"])
def test_locks_of_one_machine_are_named(
    option: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(directory, monkeypatch, "nfs", f"{EFS},{option}")
    with pytest.raises(UnsafeRootError, match="locks that other machines do not see"):
        Cache(directory / "cache")


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "fuse.nfs-like", "9p"])
def test_other_file_systems_are_not(
    kind: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(directory, monkeypatch, kind)
    Cache(directory / "cache").close()


def test_without_a_table_nothing_is_known(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_TABLE", str(directory / "none"))
    assert network_file_system(str(directory)) == ""
