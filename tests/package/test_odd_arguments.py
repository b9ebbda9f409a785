"""Odd arguments: what cannot be right is a ConfigError, never a raw error from within."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.processes import spawn

import tmpcache
from tmpcache.errors import ConfigError, TmpCacheError, UnsafeRootError
from tmpcache.testing import Bucket

NOT_A_NAME: list[Any] = [None, b"model", 0, "", [], {}, "a\udc80", Path("model")]
ODD = object()


def names(value: object) -> str:
    return "object" if value is ODD else ascii(value)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> Iterator[tmpcache.Cache]:
    bucket.put("model", b"one")
    with tmpcache.Cache(root, quota="16 MiB") as cache:
        cache.fetch("models", "model")  # so that it is remembered
        yield cache


def refused(call: Callable[[], object], kind: type[Exception] = ConfigError) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, TmpCacheError)


@pytest.mark.parametrize("odd", NOT_A_NAME, ids=names)
def test_what_is_no_name(cache: Any, odd: Any, tmp_path: Path) -> None:
    refused(lambda: cache.fetch(odd, "model"))
    if odd is not None:
        refused(lambda: cache.fetch("models", odd))
    refused(lambda: cache.fetch(odd))
    refused(lambda: cache.fetch_many(odd, ["model"]))
    refused(lambda: cache.fetch_many("models", [odd]))
    refused(lambda: cache.fetch_prefix(odd, ""))
    if odd != "":
        refused(lambda: cache.fetch_prefix("models", odd))
    refused(lambda: cache.load(odd, "model", len))
    refused(lambda: cache.load("models", odd, len))
    refused(lambda: cache.put(odd, "model", b""))
    refused(lambda: cache.put("models", odd, b""))
    refused(lambda: cache.evict(odd))
    if odd is not None:
        refused(lambda: cache.evict("models", odd))
    with cache.scratch() as work:
        refused(lambda: work.fetch("models", odd) if odd is not None else work.fetch(odd))
    if odd not in (None, ""):
        refused(lambda: cache.fetch("models", "model", version_id=odd))


@pytest.mark.parametrize("odd", ["60", b"60", [], -1, float("nan"), "soon", ODD], ids=names)
def test_what_is_no_duration(cache: Any, odd: Any) -> None:
    for option in ({"max_age": odd}, {"stale_if_error": odd}):
        refused(partial(cache.fetch, "models", "model", **option))
        refused(partial(cache.fetch_many, "models", ["model"], **option))
        refused(partial(cache.load, "models", "model", len, **option))
    refused(lambda: cache.fetch_prefix("models", "", stale_if_error=odd))
    refused(lambda: cache.warm('{"tmpcache-manifest": 1, "objects": []}', max_seconds=odd))
    refused(lambda: cache.invocation(margin=odd))


@pytest.mark.parametrize("odd", ["lots", b"1", [], -1, 1.5, float("nan"), True, ODD], ids=names)
def test_what_is_no_size(cache: Any, odd: Any) -> None:
    refused(lambda: cache.make_room(odd))
    refused(lambda: cache.warm('{"tmpcache-manifest": 1, "objects": []}', max_bytes=odd))
    with cache.scratch() as work:
        refused(lambda: work.reserve(odd))


ODD_CALLS: dict[str, Callable[[Any], object]] = {
    "keys=None": lambda cache: cache.fetch_many("models", None),
    "keys=1": lambda cache: cache.fetch_many("models", 1),
    "keys='model'": lambda cache: cache.fetch_many("models", "model"),
    "keys=b''": lambda cache: cache.fetch_many("models", b"model"),
    "keys=[[]]": lambda cache: cache.fetch_many("models", [["model"]]),
    "threads=0": lambda cache: cache.fetch_many("models", ["model"], threads=0),
    "threads='4'": lambda cache: cache.fetch_prefix("models", "", threads="4"),
    "progress=1": lambda cache: cache.fetch_many("models", ["model"], progress=1),
    "prefix progress=1": lambda cache: cache.fetch_prefix("models", "", progress=1),
    "into=0": lambda cache: cache.fetch_prefix("models", "", into=0),
    "into=b''": lambda cache: cache.fetch_prefix("models", "", into=b"/tmp/tree"),
    "into NUL": lambda cache: cache.fetch_prefix("models", "", into="a\0b"),
    "into=/proc/x": lambda cache: cache.fetch_prefix("models", "", into="/proc/x"),
    "links=None": lambda cache: cache.fetch_prefix("models", "", links=None),
    "loader=None": lambda cache: cache.load("models", "model", None),
    "source=None": lambda cache: cache.put("models", "new", None),
    "source=0": lambda cache: cache.put("models", "new", 0),
    "source=[]": lambda cache: cache.put("models", "new", ["a"]),
    "source NUL": lambda cache: cache.put("models", "new", "a\0b"),
    "source Path NUL": lambda cache: cache.put("models", "new", Path("a\0b")),
    "source generator": lambda cache: cache.put("models", "new", (b"a" for _ in "a")),
    "if_match=0": lambda cache: cache.put("models", "new", b"", if_match=3),
    "if_none_match=b''": lambda cache: cache.put("models", "new", b"", if_none_match=b"*"),
    "content_type=3": lambda cache: cache.put("models", "new", b"", content_type=3),
    "request_options=3": lambda cache: cache.put("models", "new", b"", request_options=3),
    "manifest=None": lambda cache: cache.warm(None),
    "manifest=b''": lambda cache: cache.warm(b"{}"),
    "manifest=0": lambda cache: cache.warm(0),
    "manifest=[]": lambda cache: cache.warm([]),
    "manifest='{'": lambda cache: cache.warm("{"),
    "manifest NUL": lambda cache: cache.warm(Path("a\0b")),
    "evict version=0": lambda cache: cache.evict("models", "model", 7),
    "URL without key": lambda cache: cache.fetch("s3://models"),
    "URL with empty key": lambda cache: cache.fetch("s3://models/"),
    "URL without bucket": lambda cache: cache.fetch("s3:///model"),
    "another URL": lambda cache: cache.fetch("https://models/model"),
    "URL as bucket": lambda cache: cache.fetch("s3://models", "model"),
    "bucket alone": lambda cache: cache.fetch("models"),
}


@pytest.mark.parametrize("call", ODD_CALLS.values(), ids=ODD_CALLS)
def test_odd_arguments(cache: Any, call: Callable[[Any], object]) -> None:
    refused(lambda: call(cache))
    assert cache.fetch("models", "model").read_bytes() == b"one", "nothing was harmed"


@pytest.mark.parametrize("name", [b"a", 3, ODD], ids=names)
def test_a_file_name_that_is_none(cache: Any, name: Any) -> None:
    with cache.scratch() as work:
        refused(lambda: work.fetch("models", "model", name=name))
        refused(lambda: work.fetch("models", "model", links=name))
        for odd in ("a\0b", "a/b", "..", "", "x" * 500, "a\udc80"):
            assert work.fetch("models", "model", name=odd).parent == Path(work)


@pytest.mark.parametrize(
    "settings",
    [
        {"root": 0},
        {"root": b"/tmp/x"},
        {"root": ["a"]},
        {"root": "/proc/x"},
        {"root": "/dev/null/x"},
        {"quota": float("inf")},
        {"quota": 2**30 + 0.5},
        {"quota": b"1 GB"},
        {"min_free": []},
        {"lock_timeout": "x"},
        {"client": 3},
        {"clock": 3},
        {"origin": "ftp"},
        {"request_options": 3},
        {"request_options": ["a"]},
        {"loaded_most": 1.5},
        {"loaded_weigher": 3, "loaded_weight": 3},
        {"loaded_weigher": len, "loaded_weight": "much"},
        {"loaded_weigher": len, "loaded_weight": float("nan")},
    ],
    ids=names,
)
def test_odd_settings(settings: dict[str, Any], root: Path) -> None:
    refused(lambda: tmpcache.Cache(**{"root": root, **settings}), TmpCacheError)


def test_a_quota_that_was_computed(root: Path) -> None:
    assert tmpcache.Cache(root, quota=2**30 / 2).usage().quota == 2**29


def test_a_resource_or_a_session_is_no_client(root: Path) -> None:
    for given in (boto3.resource("s3"), boto3.Session(), boto3.client("sqs")):
        with pytest.raises(ConfigError, match=r"boto3\.client\('s3'\)"):
            tmpcache.Cache(root, client=given)


def test_a_directory_for_everybody_is_not_to_be_made_private(common_ground: Path) -> None:
    with pytest.raises(UnsafeRootError, match="in it") as caught:
        tmpcache.Cache(common_ground)
    assert "chmod" not in str(caught.value)
    assert f"'{common_ground}/tmpcache'" in str(caught.value)
    home = common_ground / "home"
    home.mkdir(mode=0o755)
    os.chmod(home, 0o755)
    (home / "letters").write_text("x")
    with pytest.raises(UnsafeRootError, match="holds other things") as caught:
        tmpcache.Cache(home)
    assert "chmod" not in str(caught.value)
    tmpcache.Cache(home / "tmpcache").close()


def test_one_url_is_bucket_and_key(cache: tmpcache.Cache, bucket: Bucket) -> None:
    for key in ("a b/ü%20+?x=1#y", "//a", "a"):
        bucket.put(key, key.encode())
        path = cache.fetch(f"s3://models/{key}", max_age=60)
        assert (path.bucket, path.key, path.read_bytes()) == ("models", key, key.encode())
        assert cache.fetch("models", key, max_age=60).outcome is tmpcache.Outcome.HIT
        with cache.scratch() as work:
            assert work.fetch(f"s3://models/{key}").read_bytes() == key.encode()
    tmpcache.configure(root=cache.root)
    assert tmpcache.fetch("s3://models/model").read_bytes() == b"one"


# ---- pickling (mosaicml/streaming issue 847, pytorch issue 51836)


def read(cache: tmpcache.Cache) -> tuple[bytes, str, int]:
    path = cache.fetch("models", "model")
    return path.read_bytes(), str(cache.root), cache.usage().quota


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_cache_goes_to_workers(cache: tmpcache.Cache, root: Path, method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(read, (cache,)) == (b"one", str(root), 16 * 2**20)


def test_a_cache_pickles_by_its_settings(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPCACHE_QUOTA", "8 MiB")
    monkeypatch.chdir(root.parent)
    cache = tmpcache.Cache(root.name, max_age=7, loaded_most=3)
    data = pickle.dumps(cache)
    monkeypatch.delenv("TMPCACHE_QUOTA")
    monkeypatch.chdir("/")
    again = pickle.loads(data)
    assert (again.root, again.usage().quota) == (root, 8 * 2**20)
    assert again._fetcher.freshness_limits(None, None) == (7.0, 0.0)
    assert again._loaded._max_count == 3


def test_what_belongs_to_this_process_does_not_pickle(root: Path, bucket: Bucket) -> None:
    from tmpcache.origin.s3.origin import S3Origin

    with pytest.raises(ConfigError, match="client="):
        pickle.dumps(tmpcache.Cache(root, client=bucket.client))
    with pytest.raises(ConfigError, match="origin="):
        pickle.dumps(tmpcache.Cache(root, origin=S3Origin()))


# ---- the C locale


def test_names_beyond_ascii_in_the_c_locale(
    root: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    bucket.put("größe/模型.npz", b"one")
    bucket.put("größe/x.größe", b"two")
    code = """
        import sys, tmpcache
        assert sys.getfilesystemencoding() == "ascii"
        cache = tmpcache.Cache(root.encode().decode("ascii", "surrogateescape"), quota="10 MB")
        key = "gr\\xf6\\xdfe/\\u6a21\\u578b.npz"
        assert cache.fetch("models", key).read_bytes() == b"one"
        assert cache.fetch("s3://models/" + key, max_age=60).outcome.name == "HIT"
        assert len(cache.fetch_many("models", [key, "gr\\xf6\\xdfe/x.gr\\xf6\\xdfe"])) == 2
        tree = cache.fetch_prefix("models", "gr", into=tree)
        assert key in tree and not tree.unlinked, dict(tree.unlinked)
        with cache.scratch() as work:
            assert work.fetch("models", key).read_bytes() == b"one"
            for links in ("hard", "copy"):
                odd = work.fetch("models", key, name="\\xe9.npz", links=links)
                assert odd.read_bytes() == b"one"
            found = cache.fetch_prefix("models", "gr", into=work)
            assert not found.unlinked
        cache.put("models", "\\xfc", b"three")
        assert cache.load("models", "\\xfc", lambda path: path.read_bytes()) == b"three"
        manifest = cache.manifest()
        assert cache.warm(manifest).problems == ()
        assert {entry.key for entry in cache.entries()} >= {key, "\\xfc"}
        try:
            cache.fetch("models", "\\xe4")
        except FileNotFoundError as error:
            str(error).encode()
        else:
            raise AssertionError
        assert not cache.verify().damaged
        say()
    """
    with spawn(code, root=str(tmp_path / "größe"), tree=str(tmp_path / "tree")) as child:
        child.hear()
    assert (tmp_path / "tree" / "größe" / "模型.npz").read_bytes() == b"one"
