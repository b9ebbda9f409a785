"""Settings come from arguments, then the environment, then defaults; nonsense is refused early."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import tmpcache
from tmpcache import config
from tmpcache.errors import ConfigError

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (123, 123),
        ("123", 123),
        ("123 B", 123),
        ("400 MB", 400 * 10**6),
        ("400MiB", 400 * 2**20),
        ("1.5 GiB", 3 * 2**29),
        ("2k", 2000),
        ("2 kib", 2048),
        ("1T", 10**12),
        (" 12.5 % ", 125),
    ],
)
def test_sizes(text: int | str, size: int) -> None:
    assert config.parse_size(text, total=1000) == size


@pytest.mark.parametrize(
    "text", ["", "lots", "-1", "1 XB", "1 MB 2", "101%", "1e6", "0x10", "MB", -1, True, 1.5, None]
)
def test_a_size_that_does_not_parse_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="size"):
        config.parse_size(text, total=1000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"quota": "lots"},
        {"quota": "-1 MB"},
        {"quota": 1024},
        {"quota": "1 MB"},  # 1 MiB is the least
        {"quota": "150%"},
        {"min_free": "some"},
        {"max_age": -1},
        {"max_age": "soon"},
        {"max_age": float("nan")},
        {"stale_if_error": -0.1},
        {"lock_timeout": "ever"},
        {"root": "a\0b"},
    ],
)
def test_nonsense_is_refused_before_anything_is_fetched(
    settings: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        tmpcache.Cache(**{"root": tmp_path / "cache", **settings})  # type: ignore[arg-type]


def test_a_sqlite_that_is_too_old_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 7, 17))
    monkeypatch.setattr("sqlite3.sqlite_version", "3.7.17")
    with pytest.raises(tmpcache.errors.TmpCacheError, match=r"SQLite 3\.7\.17, .* needs 3\.24"):
        tmpcache.Cache(root)


def test_the_environment_sets_what_arguments_do_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    monkeypatch.setenv("TMPCACHE_QUOTA", "3 MiB")
    monkeypatch.setenv("TMPCACHE_MIN_FREE", "1 MiB")
    cache = tmpcache.Cache()
    assert cache.root == root
    assert (cache.usage().quota, cache.usage().min_free) == (3 * 2**20, 2**20)
    assert tmpcache.Cache(quota="2 MiB").usage().quota == 2 * 2**20
    monkeypatch.setenv("TMPCACHE_QUOTA", "much")
    with pytest.raises(ConfigError, match=r"quota='much'.*400 MB"):
        tmpcache.Cache()


def test_an_empty_variable_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUOTA", "MIN_FREE", "MAX_AGE", "STALE_IF_ERROR"):
        monkeypatch.setenv(f"TMPCACHE_{name}", "")
    assert tmpcache.Cache(root).usage().min_free == 0


def test_a_share_of_the_file_system(root: Path) -> None:
    cache = tmpcache.Cache(root, quota="10%", min_free="1%")
    status = os.statvfs(root)
    assert cache.usage().quota == status.f_blocks * status.f_frsize // 10
    assert cache.usage().min_free == status.f_blocks * status.f_frsize // 100


def test_the_default_quota() -> None:
    def default(free: int, cached: int = 0) -> int:
        return config.checked_quota(None, total=100 * GIB, free=free, cached=cached)

    assert default(free=4 * GIB) == 2 * GIB
    assert default(free=50 * GIB) == 10 * GIB
    # What the cache holds already could be free: the quota does not shrink as it fills.
    assert default(free=3 * GIB, cached=GIB) == 2 * GIB


def test_the_default_quota_in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    assert config.checked_quota(None, total=10 * GIB, free=GIB, cached=0) == 8 * GIB


def test_configure_replaces_the_default_cache_and_refuses_nonsense(root: Path) -> None:
    tmpcache.configure(root=root, quota="2 MiB")
    try:
        assert tmpcache.default_cache().usage().quota == 2 * 2**20
        with pytest.raises(ConfigError):
            tmpcache.configure(root=root, quota="lots")
        assert tmpcache.default_cache().usage().quota == 2 * 2**20
        tmpcache.configure(root=root, quota="4 MiB")
        assert tmpcache.default_cache().usage().quota == 4 * 2**20
    finally:
        tmpcache.default_cache().close()
