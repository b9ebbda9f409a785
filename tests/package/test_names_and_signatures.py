"""What tab completion, ``help`` and type checkers see of tmpcache."""

from __future__ import annotations

import inspect
import pickle
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import assert_type

import pytest

import tmpcache
from tmpcache import Cache, CachedFile, Scratch
from tmpcache.testing import Bucket

METHODS = (
    *("fetch", "fetch_many", "fetch_prefix", "load", "manifest", "peek", "put", "put_listing"),
    *("put_pack", "scratch", "warm"),
)


@pytest.mark.parametrize("name", METHODS)
def test_functions_have_the_signatures_of_the_methods(name: str) -> None:
    function, method = (inspect.signature(getattr(of, name)) for of in (tmpcache, Cache))
    own, *parameters = method.parameters.values()
    assert own.name == "self"
    assert [*function.parameters.values()] == parameters


@pytest.mark.parametrize("name", [*METHODS, "afetch", "aload"])
def test_functions_can_be_sent_to_another_process(name: str) -> None:
    """A pool's ``map`` pickles the function that it calls."""
    function = getattr(tmpcache, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert function.__module__ == "tmpcache"


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert dir(tmpcache) == sorted({*tmpcache.__all__, "__version__"})
    for name in tmpcache.__all__:
        assert getattr(tmpcache, name) is not None
    public = {name for name in vars(tmpcache.errors) if name.endswith("Error")}
    assert public <= {*tmpcache.__all__}
    with pytest.raises(AttributeError, match="no attribute 'fetsch'"):
        tmpcache.fetsch  # noqa: B018


def test_help_tells_every_function() -> None:
    text = pydoc.plain(pydoc.render_doc(tmpcache))
    for name in METHODS:
        assert f"{name}(" in text
    assert "max_age" in text


def test_a_typo_in_an_option_is_an_error_before_and_at_run_time() -> None:
    """Type checkers refuse these calls: else the comments would be unused, an error as well."""
    with pytest.raises(TypeError, match="max_agee"):
        tmpcache.fetch("models", "a", max_agee=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="thread"):
        tmpcache.fetch_many("models", ["a"], thread=3)  # type: ignore[call-overload]


def test_types_say_what_is_returned(root: Path, bucket: Bucket) -> None:
    bucket.put("a.txt", b"a")
    cache = Cache(root)
    path = cache.fetch("models", "a.txt")
    assert_type(path, CachedFile)
    assert_type(path.parent, Path)
    assert_type(path / "x", Path)
    assert_type(path.with_suffix(".md"), Path)
    assert type(path.parent) is type(path / "x") is type(path.with_suffix(".md")) is type(Path())
    assert_type(cache.fetch_many("models", ["a.txt"]), list[CachedFile])
    found = cache.fetch_many("models", ["a.txt", "b"], return_exceptions=True)
    assert_type(found, list[CachedFile | Exception])
    assert isinstance(found[1], tmpcache.ObjectNotFoundError)
    assert_type(cache.load("models", "a.txt", lambda file: file.size), int)
    with cache.scratch() as work:
        assert_type(work, Scratch)
        assert_type(work / "x", Path)
        assert type(work / "x") is type(Path())


def test_importing_the_names_imports_little() -> None:
    code = "import sys, tmpcache; dir(tmpcache); print(sum('tmpcache.' in n for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1  # tmpcache.errors


def test_representations_are_for_people(root: Path, bucket: Bucket) -> None:
    bucket.put("micr/e13b.npz", b"x" * 698)
    cache = Cache(root, quota="400 MB")
    path = cache.fetch("models", "micr/e13b.npz")
    name = f"{path.name[:12]}….npz"
    assert repr(path) == f"<CachedFile s3://models/micr/e13b.npz 698 Bytes FETCHED …/blobs/{name}>"
    assert repr(cache) == f"<Cache {root} of at most 400.0 MB>"
    assert repr(cache.usage()).startswith("<Usage ")
    assert " of 400.0 MB by 1 object, 4.1 kB leased, " in repr(cache.usage())
    assert "1 fetched" in repr(cache.stats())
    assert "698 Bytes received" in repr(cache.stats())
    with cache.scratch() as work:
        assert repr(work) == f"<Scratch {work}>"
        image = work.fetch("models", "micr/e13b.npz")
        assert repr(image).endswith(
            f"HIT …/{work.name}/e13b.npz>".replace("HIT", image.outcome.name)
        )
