"""The SHA-256 of cached files, for callers who know which one an object must have.

Hashing takes 0.5 s for 1 GB, so the index keeps what was found: later processes only read it.
"""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..common.objects import Copy
    from .store import Store


def recorded(store: Store, copy: Copy) -> str | None:
    """Return the SHA-256 of a copy as 64 hexadecimal digits; None if nobody has asked for it."""
    rows = store.database.read(
        lambda index: index.rows("SELECT sha256 FROM blobs WHERE name = ?", copy.name)
    )
    return rows[0][0] if rows else None


def computed(store: Store, copy: Copy) -> str:
    """Read a copy that is leased, and return its SHA-256; record it."""
    with open(copy.path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    store.database.write(
        lambda index: index.run("UPDATE blobs SET sha256 = ? WHERE name = ?", found, copy.name)
    )
    return found
