"""Contents of objects, the files that hold them, and checks of the cache's accounts."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import TYPE_CHECKING

from support.disk import allocated

if TYPE_CHECKING:
    from tmpcache import Cache


def content(seed: object, size: int) -> bytes:
    """Return bytes that look random and are the same for the same `seed` in every process."""
    return random.Random(repr(seed)).randbytes(size)


def holders(root: Path, body: bytes) -> list[Path]:
    """Return the files under `root` that hold the beginning of `body`."""
    start = body[:64]
    files = (path for path in root.rglob("*") if path.is_file())
    return [path for path in files if start in path.read_bytes()]


def assert_accounts_balance(cache: Cache) -> None:
    """Assert that nothing is reserved and the ledger agrees with `du`, with no download under way.

    But for one block per blob: ext4 maps a file that was written in several places at once in a
    block of its own, and takes that back when it has written it out in one piece.
    """
    usage = cache.usage()
    assert usage.reserved == 0
    assert 0 <= usage.used - allocated(cache.root) <= 4096 * usage.blobs
    assert usage.used <= usage.quota


def assert_nothing_is_left(cache: Cache, body: bytes) -> None:
    """Assert that no byte of `body` is under the root, and nothing is reserved for it."""
    assert holders(cache.root, body) == []
    assert_accounts_balance(cache)


def assert_crosses_a_process_pool(error: Exception) -> None:
    """Assert that an error arrives unchanged from another process."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert vars(again) == vars(error)
