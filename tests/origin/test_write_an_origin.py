"""The origin that docs/write-an-origin.md shows does what the page says of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.errors import AccessDeniedError, ObjectChangedError, ObjectNotFoundError
from tmpcache.origin import Reply, Unchanged


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """The directory of one bucket, `models`."""
    directory = tmp_path / "artifacts" / "models"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def origin(objects: Path, pytestconfig: pytest.Config) -> Any:
    """An object of the class in the page's first code block."""
    page = (pytestconfig.rootpath / "docs/write-an-origin.md").read_text()
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(re.findall("```python\n(.*?)```", page, re.DOTALL)[0], "page", "exec"), names)
    return names["DirectoryOrigin"](str(objects.parent))


def replace(file: Path, content: bytes) -> None:
    """As writers must: the old file stays what it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name("new")
    new.write_bytes(content)
    new.replace(file)


def test_the_page_is_an_origin(origin: Any, objects: Path, tmp_path: Path) -> None:
    replace(objects / "micr/e13b.npz", b"template")
    with Cache(tmp_path / "root", origin=origin, max_age=60) as cache:
        path = cache.fetch("models", "micr/e13b.npz")
        assert (path.read_bytes(), path.outcome) == (b"template", Outcome.FETCHED)
        assert cache.fetch("models", "micr/e13b.npz").outcome is Outcome.HIT
        assert cache.fetch("models", "micr/e13b.npz", max_age=0).outcome is Outcome.REVALIDATED
        replace(objects / "micr/e13b.npz", b"another")
        assert cache.fetch("models", "micr/e13b.npz", max_age=0).read_bytes() == b"another"
        assert path.read_bytes() == b"template"
        replace(objects / "other", b"")
        assert list(cache.fetch_prefix("models", "micr/")) == ["micr/e13b.npz"]
        with pytest.raises(ObjectNotFoundError, match="models/missing"):
            cache.fetch("models", "missing")


@pytest.mark.parametrize("first", ["", "somebody"])
def test_what_one_scope_was_given_is_not_a_hit_without_a_scope(
    origin: Any, objects: Path, tmp_path: Path, first: str
) -> None:
    """Also if the first scope is the empty string: no scope is `None` alone."""
    replace(objects / "a", b"a")
    with Cache(tmp_path / "root", origin=origin, max_age=60) as cache:
        origin.scope = first
        assert cache.fetch("models", "a").outcome is Outcome.FETCHED
        assert cache.fetch("models", "a").outcome is Outcome.HIT
        origin.scope = None
        assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED


def test_it_answers_conditions_and_ranges(origin: Any, objects: Path) -> None:
    replace(objects / "a", b"0123456789")
    whole = origin.get("models", "a")
    assert isinstance(whole, Reply)
    part = origin.get("models", "a", if_match=whole.etag, start=2, end=5, deadline=Deadline(9))
    assert (part.start, part.end, part.size) == (2, 5, 10)
    assert bytes(part.body.read(memoryview(bytearray(100)))) == b"234"
    assert not part.body.read(memoryview(bytearray(100)))
    assert isinstance(origin.get("models", "a", if_none_match=whole.etag), Unchanged)
    replace(objects / "a", b"new")
    with pytest.raises(ObjectChangedError):
        origin.get("models", "a", if_match=whole.etag)
    assert bytes(whole.body.read(memoryview(bytearray(100)))) == b"0123456789"
    for reply in (whole, part):
        reply.body.close()


def test_a_large_object_is_whole(origin: Any, objects: Path, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 3
    replace(objects / "large", content)
    with Cache(tmp_path / "root", origin=origin) as cache:
        assert cache.fetch("models", "large").read_bytes() == content


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "link", "../../../etc/passwd"])
def test_no_key_leads_out_of_the_bucket(origin: Any, objects: Path, key: str) -> None:
    (objects.parent / "secret").write_bytes(b"secret")
    (objects / "link").symlink_to(objects.parent / "secret")
    with pytest.raises(AccessDeniedError):
        origin.get("models", key)


@pytest.mark.parametrize("bucket", ["..", ".", "models/../..", "/etc"])
def test_no_bucket_is_elsewhere(origin: Any, bucket: str) -> None:
    with pytest.raises(ObjectNotFoundError):
        origin.get(bucket, "passwd")
    with pytest.raises(ObjectNotFoundError):
        list(origin.list(bucket, ""))


def test_the_protocols_can_be_imported_and_cost_a_hit_nothing() -> None:
    """`typing` takes 3 ms to import."""
    code = """
import sys
from tmpcache.origin import Reply
assert "typing" not in sys.modules and "tmpcache.origin.protocol" not in sys.modules
from tmpcache.origin import Body, GetOptions, ListableOrigin, Origin, WritableOrigin
assert Origin in WritableOrigin.__mro__ and Body.read and GetOptions.__optional_keys__
"""
    subprocess.run([sys.executable, "-S", "-c", code], check=True, env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
