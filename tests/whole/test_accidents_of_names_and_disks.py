"""Accidents of names, paths and file systems that users of other caches have reported.

Each test is named after what went wrong there, and shows what happens here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.content import content
from support.handmade import Answer, Asked, HandmadeS3, etag_of, handmade, object_answer
from support.processes import spawn
from support.shelf import Shelf

from tmpcache import Cache, Outcome
from tmpcache.testing import Bucket

MIB = 1 << 20


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HandmadeS3]]:
    """Makes the environment's S3 one whose answers a function writes."""
    with ExitStack() as stack:

        def start(answer: Callable[[Asked], Answer]) -> HandmadeS3:
            server = stack.enter_context(handmade(answer))
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
            return server

        yield start


def listing(*keys: str) -> Answer:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>5</Size><ETag>{etag_of(b'hello')}</ETag></Contents>"
        for key in keys
    )
    text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


# ---- names -------------------------------------------------------------------------------------


def test_a_marker_of_a_directory_is_in_no_files_way(
    root: Path, store: Callable[..., HandmadeS3], tmp_path: Path
) -> None:
    keys = ["p/abc", "p/abc/", "p/abc/asd", "p/d/", "p/d/e"]

    def answer(asked: Asked) -> Answer:
        body = b"" if asked.path.endswith("/") else b"hello"
        return listing(*keys) if "list-type" in asked.query else object_answer(asked, body)

    store(answer)
    with Cache(root, quota="8 MiB") as cache:
        tree = cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        assert sorted(tree) == keys
        assert (tmp_path / "tree/d/e").read_bytes() == b"hello"
        # There is no room for a file and a directory of one name; the mapping has them all.
        assert set(tree.unlinked) == {"p/abc/", "p/abc/asd"}
        assert (tmp_path / "tree/abc").read_bytes() == b"hello"


@pytest.mark.parametrize("length", [250, 300, 1000])
def test_a_long_key_is_no_file_name(root: Path, tmp_path: Path, length: int) -> None:
    keys = [("k" * length), ("k" * (length - 4) + ".npz"), "k." + "s" * (length - 2)]
    shelf = Shelf({key: key.encode() for key in keys})
    with Cache(root, quota="8 MiB", origin=shelf) as cache:
        for key in keys:
            assert cache.fetch("b", key).read_bytes() == key.encode()
        tree = cache.fetch_prefix("b", "k", into=tmp_path / "tree")
        assert sorted(tree) == sorted(keys)
        too_long = keys if length > 255 else []
        assert dict(tree.unlinked) == dict.fromkeys(too_long, "File name too long")


def test_names_that_look_the_same_are_different_objects(root: Path, tmp_path: Path) -> None:
    keys = ["p/caf\u00e9.txt", "p/cafe\u0301.txt", "p/A.1", "p/a.1", "p/A.2"]
    shelf = Shelf({key: key.encode() for key in keys})
    with Cache(root, quota="8 MiB", origin=shelf, max_age=60) as cache:
        for _ in range(2):
            for key in keys:
                assert cache.fetch("b", key).read_bytes() == key.encode()
        cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        files = (tmp_path / "tree").iterdir()
        assert {f"p/{file.name}": file.read_text() for file in files} == {key: key for key in keys}


@pytest.mark.parametrize(
    "name", ["a%2Fb", "a?mode=ro", "a#b", "a%41", "a b", "a'\"b", "file:a", "a\nb", "ü", "a\udcff"]
)
def test_signs_in_the_path_of_the_cache_mean_nothing(tmp_path: Path, name: str) -> None:
    shelf = Shelf({"a": b"hello"})
    for outcome in (Outcome.FETCHED, Outcome.HIT):
        with Cache(tmp_path / name, quota="8 MiB", origin=shelf, max_age=60) as cache:
            assert cache.fetch("b", "a").outcome is outcome
    assert set(os.listdir(tmp_path)) == {name, "home"}


# ---- the disk ----------------------------------------------------------------------------------


def test_a_temporary_directory_on_another_file_system(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.stat(root.parent).st_dev
    others = [place for place in ("/dev/shm", "/tmp") if os.stat(place).st_dev != here]
    if not others:
        pytest.skip("needs two file systems")
    bucket.put("small", b"x" * 100)
    bucket.put("large", content("large", MIB))
    code = """
        import tempfile, tmpcache
        with tempfile.TemporaryDirectory(dir=place) as other:
            os.environ["TMPDIR"] = tempfile.tempdir = other
            with tmpcache.Cache(root, quota="8 MiB") as cache:
                assert len(cache.fetch("models", "large").read_bytes()) == 1 << 20
                assert len(cache.fetch_many("models", ["small", "large"])) == 2
                cache.put("models", "new", b"new")
                assert cache.fetch_prefix("models", "", into=other + "/tree").unlinked == {}
                with cache.scratch() as work:
                    work.fetch("models", "large")
                assert os.listdir(other) == ["tree"], os.listdir(other)
        say()
    """
    with spawn(code, root=str(root), place=others[0]) as child:
        child.hear()


def test_a_tool_that_rewrites_a_link_in_place_does_not_change_the_cache(
    root: Path, tmp_path: Path
) -> None:
    shelf = Shelf({"p/code.py": b"def hello( ):\n    pass\n"})
    with Cache(root, quota="8 MiB", origin=shelf, max_age=3600) as cache:
        tree = cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        link = tmp_path / "tree" / "code.py"
        assert link.samefile(tree["p/code.py"])
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                link.write_bytes(b"")
        link.chmod(0o644)
        link.write_bytes(b"def hello():\n    pass\n")
        assert cache.fetch("b", "p/code.py").read_bytes() == b"def hello( ):\n    pass\n"
        assert link.read_bytes() == b"def hello():\n    pass\n"
