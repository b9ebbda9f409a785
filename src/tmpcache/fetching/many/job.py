"""One of the many objects of a call, on its way from the key to the path or the error."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...cached_file import CachedFile
    from ...common.objects import Copy, ObjectName
    from ...store.downloads.partial_file import Partial
    from ...store.downloads.publish import Arrival


class Job:
    """An object to fetch, and what has come of it."""

    __slots__ = ("arrival", "copy", "error", "file", "name", "partial")

    def __init__(self, name: ObjectName, copy: Copy | None) -> None:
        #: What is to be fetched, and what is known to be here of it.
        self.name, self.copy = name, copy
        self.file: CachedFile | None = None
        self.error: Exception | None = None
        #: On its way in: the file that it is brought into, and what has arrived there.
        self.partial: Partial | None = None
        self.arrival: Arrival | None = None
