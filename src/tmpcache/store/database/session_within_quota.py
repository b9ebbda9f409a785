"""The session file of this process: begun, grown and made anew within the quota.

Session files count against the quota. So each of these functions runs in a write transaction, and
makes room before it writes.
"""

from __future__ import annotations

from ..content import crash_recovery
from ..leases.session import PAGE, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..content.quota import Quota
    from ..index import Index
    from ..root import Root


def begin(index: Index, root: Root, quota: Quota) -> Session:
    """Begin the session of this process, and reclaim what dead processes left."""
    crash_recovery.reclaim(index, root, keep_resumable=True)
    _make_room(index, quota, PAGE)
    return Session(root.sessions)


def grow(index: Index, quota: Quota, session: Session) -> None:
    """Double the session's table of leases."""
    _make_room(index, quota, session.size)
    session.grow()


def keep_visible(index: Index, quota: Quota, session: Session) -> None:
    """Make the session's file anew if somebody has deleted it: others look there for leases."""
    session.clear_announcement()
    if not session.is_visible():
        _make_room(index, quota, session.size)
        session.renew()
    session.shrink()


def create_child_session(index: Index, quota: Quota, session: Session) -> Session:
    """Make a session with the same leases for a child that is about to be forked."""
    _make_room(index, quota, session.size)
    return session.create_child_session()


def _make_room(index: Index, quota: Quota, size: int) -> None:
    while not quota.make_room(index, size, "a session", slack=0):
        continue
