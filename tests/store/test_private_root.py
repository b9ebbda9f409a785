"""The root is ours alone, or it is refused; nothing outside it is ever deleted."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from support.child import NOBODY
from support.processes import spawn

import tmpcache
from tmpcache.errors import UnsafeRootError
from tmpcache.testing import Bucket


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_root_is_private_whatever_the_umask(root: Path, bucket: Bucket) -> None:
    bucket.put("a.bin", b"a")
    before = os.umask(0)
    try:
        path = tmpcache.Cache(root).fetch("models", "a.bin")
    finally:
        os.umask(before)
    for directory in (root, *(p for p in root.iterdir() if p.is_dir())):
        assert mode(directory) == 0o700, directory
    assert mode(path) == 0o444
    for file in root.rglob("*"):
        if file.is_file() and file != path:
            assert mode(file) == 0o600, file


def test_the_root_is_tagged_for_backup_programs(root: Path) -> None:
    tmpcache.Cache(root)
    tag = (root / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


def test_the_default_root_is_one_per_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert tmpcache.Cache().root == tmp_path / f"tmpcache-{os.geteuid()}"


def test_a_symbolic_link_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeRootError, match=r"symbolic link.*choose another root"):
        tmpcache.Cache(root)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_dangling_symbolic_link_is_refused(root: Path, tmp_path: Path) -> None:
    root.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnsafeRootError, match="symbolic link"):
        tmpcache.Cache(root)


def test_a_file_is_refused(root: Path) -> None:
    root.write_text("mine")
    with pytest.raises(UnsafeRootError, match="not a directory"):
        tmpcache.Cache(root)
    assert root.read_text() == "mine"


def test_a_root_below_a_file_is_refused(root: Path) -> None:
    root.write_text("mine")
    with pytest.raises(UnsafeRootError, match="Choose another root"):
        tmpcache.Cache(root / "cache")


@pytest.mark.parametrize("bits", [0o770, 0o720, 0o701, 0o750, 0o777])
def test_a_root_that_others_may_enter_is_refused(root: Path, bits: int) -> None:
    root.mkdir()
    root.chmod(bits)
    with pytest.raises(UnsafeRootError, match="chmod 700"):
        tmpcache.Cache(root)
    assert mode(root) == bits
    assert not any(root.iterdir())


@pytest.mark.parametrize("depth", ["cache", "deep/er/cache"])
def test_a_root_that_others_could_replace_is_refused_and_one_as_in_tmp_is_not(
    tmp_path: Path, depth: str
) -> None:
    """An emptyDir of Kubernetes is such a directory, until it gets the sticky bit."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    said = rf"others may write to {volume} \(mode 0777\).*chmod \+t"
    with pytest.raises(UnsafeRootError, match=said):
        tmpcache.Cache(volume / depth)
    assert not (volume / depth).exists()
    volume.chmod(0o1777)
    tmpcache.Cache(volume / depth).close()
    assert mode(volume / depth) == 0o700


@pytest.mark.root
def test_a_root_of_somebody_else_is_refused(common_ground: Path) -> None:
    root = common_ground / "cache"
    root.mkdir(mode=0o700)
    os.chown(root, NOBODY, NOBODY)
    with pytest.raises(UnsafeRootError, match=f"belongs to user {NOBODY}"):
        tmpcache.Cache(root)


@pytest.mark.root
def test_another_user_cannot_use_my_root(common_ground: Path) -> None:
    root = common_ground / "cache"
    tmpcache.Cache(root)
    snippet = """
        import tmpcache, tmpcache.cache, tmpcache.origin.s3.origin
        become(uid)
        try:
            tmpcache.Cache(root)
        except tmpcache.errors.UnsafeRootError as error:
            say(str(error))
    """
    with spawn(snippet, root=str(root), uid=NOBODY) as child:
        assert f"belongs to user {os.geteuid()}" in child.hear()


def test_a_directory_with_files_of_others_is_not_taken_for_a_cache(root: Path) -> None:
    (root / "blobs").mkdir(parents=True)
    root.chmod(0o700)
    (root / "blobs" / "holiday.jpg").write_text("precious")
    (root / "thesis.tex").write_text("precious")
    with pytest.raises(UnsafeRootError, match="'thesis.tex'"):
        tmpcache.Cache(root)
    assert (root / "blobs" / "holiday.jpg").exists()


def test_a_linked_subdirectory_is_refused_and_what_it_leads_to_stays(
    root: Path, tmp_path: Path
) -> None:
    treasure = tmp_path / "elsewhere" / ("0" * 32)
    treasure.parent.mkdir()
    treasure.write_text("precious")
    cache = tmpcache.Cache(root)
    cache.close()
    shutil.rmtree(root / "blobs")
    (root / "blobs").symlink_to(treasure.parent)
    with pytest.raises(UnsafeRootError, match="symbolic link"):
        tmpcache.Cache(root)
    assert treasure.read_text() == "precious"


def test_a_root_deleted_while_open_is_made_again(root: Path, bucket: Bucket) -> None:
    bucket.put("a.bin", b"one")
    cache = tmpcache.Cache(root)
    cache.fetch("models", "a.bin", max_age=60)
    shutil.rmtree(root)
    assert cache.fetch("models", "a.bin", max_age=60).read_bytes() == b"one"
    assert mode(root) == 0o700
    assert cache.usage().objects == 1


def test_a_lost_tag_is_written_again(root: Path, bucket: Bucket) -> None:
    bucket.put("a.bin", b"one")
    tmpcache.Cache(root).fetch("models", "a.bin")
    (root / "CACHEDIR.TAG").unlink()
    assert tmpcache.Cache(root).fetch("models", "a.bin").read_bytes() == b"one"
    assert (root / "CACHEDIR.TAG").exists()
