"""Notes what happened, for the hooks of :func:`tmpcache.subscribe` and for the log.

An event often happens in a transaction or under a lock, and a hook may do anything. So an event is
*noted* where it happens, and *delivered* by the same thread once it holds neither
(:mod:`.subscriptions`). A hit notes nothing, and without hooks and log nothing is kept.
"""

from __future__ import annotations

import sys
from collections import deque
from threading import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The events (:mod:`tmpcache.events`), and the level at which the logger ``tmpcache`` tells each:
#: DEBUG what each fetch does, INFO what happens seldom, WARNING what a user should look into.
LEVELS = {
    **{"Fetched": 10, "ListingRead": 10, "Revalidated": 10},
    **{"Evicted": 20, "Retried": 20, "Swept": 20, "Waited": 20},
    **{"Damaged": 30, "ListingUnusable": 30, "Stale": 30},
}

#: The subscriptions of this process. A forked child goes on with them.
subscriptions: list[Any] = []


class _Noted(local):
    """What a thread has noted and not delivered yet, and whether it is delivering."""

    def __init__(self) -> None:
        self.events: deque[tuple[str, dict[str, Any]]] = deque()
        self.is_delivering = False


noted = _Noted()


def note(kind: str, identity: tuple[str, ...] = (), **facts: Any) -> None:
    """Keep an event until the next :func:`.subscriptions.deliver`, if anybody wants it.

    `identity` begins with the bucket, key and version of its object. What a hook itself causes is
    not noted: a hook that fetches would never end.
    """
    if not (subscriptions or _is_logged(LEVELS[kind])) or noted.is_delivering:
        return
    if identity:
        bucket, key, version = identity[:3]
        facts = {"bucket": bucket, "key": key, "version_id": version or None, **facts}
    noted.events.append((kind, facts))


def _is_logged(level: int) -> bool:
    """Return whether the logger wants this level. Without ``logging`` imported, nobody listens."""
    get_logger = getattr(sys.modules.get("logging"), "getLogger", None)
    return get_logger is not None and get_logger("tmpcache").isEnabledFor(level)
