"""What objects contain, and where it is found again."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import TYPE_CHECKING

from support.disk import allocated

if TYPE_CHECKING:
    from tmpcache import Cache


def content(seed: object, size: int) -> bytes:
    """Bytes that look random and are the same for the same `seed` in every process."""
    return random.Random(repr(seed)).randbytes(size)


def holders(root: Path, body: bytes) -> list[Path]:
    """The files under `root` that hold the beginning of `body`."""
    start = body[:64]
    files = (path for path in root.rglob("*") if path.is_file())
    return [path for path in files if start in path.read_bytes()]


def assert_accounts_balance(cache: Cache) -> None:
    """With no download under way: nothing is reserved, and the ledger says what `du` says.

    But for one block per blob: ext4 maps a file that was written in several places at once in a
    block of its own, and takes that back when it has written it out in one piece.
    """
    usage = cache.usage()
    assert usage.reserved == 0
    assert 0 <= usage.used - allocated(cache.root) <= 4096 * usage.blobs
    assert usage.used <= usage.quota


def assert_nothing_is_left(cache: Cache, body: bytes) -> None:
    """No byte of `body` is under the root, and no room is kept for it."""
    assert holders(cache.root, body) == []
    assert_accounts_balance(cache)


def assert_crosses_a_process_pool(error: Exception) -> None:
    """What arrives on the other side is the same error."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert vars(again) == vars(error)
