"""The open files: one reads a copy and holds its lease, the other uploads what was written."""

from __future__ import annotations

import io
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from ...cached_file import CachedFile


class CachedReader(io.BufferedReader):
    """A local copy, open to be read; it stays until the file is closed.

    ``name`` is the path of the copy. Pickled, it becomes the object that has this path then, opened
    anew at the same position.
    """

    def __init__(self, fs: Any, path: str, file: CachedFile) -> None:
        super().__init__(io.FileIO(str(file)))
        self.fs, self.path, self.size = fs, path, file.size
        #: The copy with its lease, which ends with the last reference.
        self.cached: CachedFile | None = file

    def close(self) -> None:
        """Close the file, and end the lease."""
        super().close()
        self.cached = None

    def __del__(self) -> None:
        self.close()  # without a ResourceWarning: libraries leave the closing of files to fsspec

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _reopened, (self.fs, self.path, self.tell())


def _reopened(fs: Any, path: str, position: int) -> Any:
    file = fs.open(path, "rb")
    file.seek(position)
    return file


class Upload(io.BufferedRandom):
    """A file that is uploaded when it is closed: the whole object, or nothing.

    It is written to a nameless temporary file first. A ``with`` block that raises uploads nothing,
    and neither does a file that is never closed. In a transaction of fsspec, `commit` uploads.
    """

    def __init__(self, put: Callable[[io.BufferedRandom], object], autocommit: bool) -> None:
        self._is_done = True  # until there is something to upload
        super().__init__(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - closed with this
        self._put, self._autocommit = put, autocommit
        self._is_done = False

    def close(self) -> None:
        """Upload what was written, unless a transaction will."""
        if self._is_done:
            super().close()
        elif self._autocommit:
            self.commit()
        else:
            self.flush()

    def commit(self) -> None:
        """Upload what was written, and close the file."""
        try:
            self.flush()
            self.seek(0)
            self._put(self)
        finally:
            self.discard()

    def discard(self) -> None:
        """Close the file without an upload."""
        self._is_done = True
        super().close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        if not self._is_done:
            self.discard()
