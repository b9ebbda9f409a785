"""One of the objects of a call for many, and its state until there is a path or an error."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...cached_file import CachedFile
    from ...common.objects import Copy, ObjectName
    from ...store.downloads.partial_file import Partial
    from ...store.downloads.publish import Arrival


class Job:
    """An object to fetch, and its path or error once it is done."""

    __slots__ = ("arrival", "copy", "error", "file", "name", "partial", "seconds")

    def __init__(self, name: ObjectName, copy: Copy | None) -> None:
        #: The object, and the copy that the index has of it, None for nothing.
        self.name, self.copy = name, copy
        self.file: CachedFile | None = None
        self.error: Exception | None = None
        #: While it is downloaded in a batch: its locked partial file, and the finished download.
        self.partial: Partial | None = None
        self.arrival: Arrival | None = None
        self.seconds = 0.0  # that the download took
