"""A fetch of an object whose SHA-256 the caller knows.

A copy with that hash is what the caller wants, however old it is, so S3 is not asked about it. Only
the credentials must have been given the object before, as for every hit. All other copies are
revalidated or downloaded as usual, and must have the hash then.
"""

from __future__ import annotations

import re

from ..cached_file import Outcome
from ..errors import ConfigError, IntegrityError
from ..store import maintenance, sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cached_file import CachedFile
    from ..common.objects import ObjectName
    from ..store import Store
    from .fetcher import Fetcher

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")


def fetch_pinned(
    fetcher: Fetcher,
    name: ObjectName,
    pin: str,
    known: CachedFile | None,
    fetch: Callable[[], CachedFile],
) -> CachedFile:
    """Return the path of a copy with the SHA-256 that `pin` says: the `known` copy, or a new one.

    The `known` copy, which was not counted yet, is counted as a hit only if it is what is wanted.
    What `fetch` has downloaded and has another hash is deleted.
    """
    match = _SHA256.fullmatch(pin) if isinstance(pin, str) else None
    if match is None:
        raise ConfigError(f"sha256={pin!r} is no SHA-256: give 64 hexadecimal digits")
    wanted, store = match[1].lower(), fetcher.store
    if known is not None:
        if _sha256(store, known) == wanted:
            fetcher.tally.add_outcome(Outcome.HIT, known.size)
            return known
        known.release()
    file = fetch()
    found = _sha256(store, file)
    if found == wanted:
        return file
    file.release()
    if file.outcome is Outcome.FETCHED:
        fetcher.remembered.forget(name)
        maintenance.evict(store, name.bucket, name.key, name.version)
    raise IntegrityError(
        f"{name} has the SHA-256 {found}, but {wanted} was expected: it is another object, or "
        "another version of it, than the caller means"
    )


def _sha256(store: Store, file: CachedFile) -> str:
    return sha256.recorded(store, file._copy) or sha256.computed(store, file._copy)
