"""What all commands share: the cache, and URLs."""

from __future__ import annotations

import os
from functools import cached_property

import click

from .. import Cache
from ..config import Settings
from ..errors import ConfigError
from ..store.root import Root
from ..store.statistics import quota_in_use


class State:
    """The options of ``tmpcache`` itself, and the cache that they describe."""

    def __init__(self, root: str | None, quota: str | None) -> None:
        self._given = root
        self.quota = quota

    @cached_property
    def settings(self) -> Settings:
        """The settings from the options and the environment."""
        return Settings(self._given)

    @property
    def root(self) -> str:
        """The cache directory."""
        return self.settings.root

    @cached_property
    def cache(self) -> Cache:
        """The cache, with the quota that programs use it with unless another one is given.

        A command that looks or cleans up must not evict what another quota has room for.
        """
        quota: str | int | None = self.quota
        if not quota and not os.environ.get("TMPCACHE_QUOTA"):
            quota = quota_in_use(Root(self.root).index)
        cache = Cache(self._given, quota=quota)
        click.get_current_context().find_root().call_on_close(cache.close)
        return cache


pass_state = click.make_pass_decorator(State)


def split(url: str) -> tuple[str, str]:
    """Return the bucket and the rest of ``s3://bucket/rest``; the rest may be empty.

    >>> split("s3://models/micr/"), split("s3://models")
    (('models', 'micr/'), ('models', ''))
    """
    bucket, _, rest = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise ConfigError(f"{url!r} is no URL of an object: give s3://bucket/key")
    return bucket, rest


def url_of(bucket: str, key: str) -> str:
    """Return the URL of an object.

    >>> url_of("models", "micr/e13b.npz")
    's3://models/micr/e13b.npz'
    """
    return f"s3://{bucket}/{key}"
