"""How large the index file is, and how large it may become: the quota reserves for the latter.

SQLite decides when a page moves from the log into the file. So the quota counts what the three
files may occupy, not only what they occupy now: the pages that a checkpoint will add to the file,
the log at its full length, and what one more transaction adds.
"""

from __future__ import annotations

from ..filesystem import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

#: Pages that the index may grow by between two measurements.
_SPARE_PAGES = 8
#: A quota below this gets pages of 1 KiB, others of 4 KiB.
_SMALL_QUOTA = 64 * 1024 * 1024
#: B-trees that one object's rows are in, with a page for the rest of a long key where there is one.
_PAGES_PER_OBJECT = 12
#: Pages of an index that holds nothing.
_EMPTY_PAGES = 24
#: SQLite writes this many bytes before each page in the log.
_FRAME_HEADER = 24
#: Bytes of the smallest ``-shm`` file.
_MIN_SHARED = 32 * 1024


def preferred_page_size(quota: int) -> int:
    """Return the page size in bytes for an index under this quota.

    A small quota gets small pages, so that even 1 MiB holds mostly content.
    """
    return 1024 if quota < _SMALL_QUOTA else 4096


def max_rows(quota: int) -> int:
    """Return how many objects' rows one transaction adds or deletes at most."""
    return 16 if quota < _SMALL_QUOTA else 64


class IndexSize:
    """The size of one open index, in bytes and pages."""

    def __init__(self, path: str, connection: sqlite3.Connection, quota: int) -> None:
        self._path, self._connection = path, connection
        #: Bytes of a page: those that the file was created with.
        self.page = self._pragma("page_size")
        page = preferred_page_size(quota)
        #: Bytes to which SQLite cuts the log: 1/64 of the quota, at most 1,000 pages, which is
        #: SQLite's own default.
        self.log = min(max(quota // 64, 16 * page), 1000 * page)
        self._share, self._max_rows = quota // 8, max_rows(quota)
        self._measured_pages = 0

    def has_grown(self) -> bool:
        """Return whether the file is larger than the last :meth:`measure` allowed for."""
        return self._pages() > self._measured_pages + _SPARE_PAGES

    def excess_rows(self) -> int:
        """Return the bytes of pages in use beyond the index's share, an eighth of the quota."""
        return (self._pages() - self.free_pages()) * self.page - self._share

    def measure(self) -> tuple[int, int]:
        """Return the bytes allocated now, and an upper bound, true until :meth:`has_grown`."""
        file, log, shared = (files.allocated(self._path + end) for end in ("", "-wal", "-shm"))
        self._measured_pages = pages = self._pages()
        limit = max(file, self._file_with(pages)) + max(log, self.log) + self._transaction(pages)
        return file + log + shared, limit + max(shared, _MIN_SHARED)

    def _file_with(self, pages: int) -> int:
        return (pages + _SPARE_PAGES) * self.page

    def _transaction(self, pages: int) -> int:
        """Return the bytes that one transaction adds to the log at most.

        It writes no more pages than there are, nor more than the rows of its objects are in.
        """
        written = min(pages, 2 * self._max_rows * _PAGES_PER_OBJECT) + _SPARE_PAGES
        return written * (self.page + _FRAME_HEADER)

    def shrinkable(self, rows_left: int) -> int:
        """Return by how many bytes :meth:`measure` may fall if only `rows_left` blobs stay."""
        pages = self._measured_pages
        file = max(files.allocated(self._path), self._file_with(pages))
        left = min(pages, _EMPTY_PAGES + rows_left)
        return file - self._file_with(left) + self._transaction(pages) - self._transaction(left)

    def is_loose(self) -> bool:
        """Return whether much of the file is free pages."""
        return self.free_pages() > _EMPTY_PAGES + self._measured_pages // 4

    def free_pages(self) -> int:
        """Return how many pages of the file are free."""
        return self._pragma("freelist_count")

    def _pages(self) -> int:
        return self._pragma("page_count")

    def _pragma(self, name: str) -> int:
        # All rows at once: a statement left half-read would keep the log from being emptied.
        return int(self._connection.execute(f"PRAGMA {name}").fetchall()[0][0])
