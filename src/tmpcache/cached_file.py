"""The path that a fetch returns: a ``pathlib.Path`` with a lease and the facts of the copy."""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path, PosixPath

from .common.objects import ObjectName
from .errors import ReadOnlyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import IO, Any, Protocol, Self

    from .common.objects import Copy

    class Lease(Protocol):
        """Protects a blob from eviction; the store makes it."""

        #: The lease is an entry in the table of this process's session, at this index.
        session: Any
        slot: int

        def release(self) -> None:
            """End the lease. May be called again."""


if TYPE_CHECKING:

    class PathOfPlainPaths(PosixPath):
        """A path whose derived paths are plain ones, as type checkers see it."""

        parent: Path  # type: ignore[assignment]
        parents: Sequence[Path]  # type: ignore[assignment]

        joinpath: Callable[..., Path]  # type: ignore[assignment]
        with_name: Callable[[str], Path]  # type: ignore[assignment]
        with_stem: Callable[[str], Path]  # type: ignore[assignment]
        with_suffix: Callable[[str], Path]  # type: ignore[assignment]
        absolute: Callable[[], Path]  # type: ignore[assignment]
        resolve: Callable[..., Path]  # type: ignore[assignment]

        def __truediv__(self, other: str | os.PathLike[str]) -> Path: ...  # type: ignore[override]

else:
    PathOfPlainPaths = PosixPath


class Outcome(Enum):
    """How a fetch was answered."""

    # Enum's own is a function in Python. Each fetch counts its outcome, and so calls it twice.
    __hash__ = object.__hash__

    HIT = "hit"  #: served without asking the origin
    REVALIDATED = "revalidated"  #: the origin confirmed that the copy is current
    FETCHED = "fetched"  #: downloaded
    STALE = "stale"  #: the origin could not be asked; ``stale_if_error`` allowed the copy


class CachedFile(PathOfPlainPaths):
    """The local path of a whole, read-only copy of exactly one version of an object.

    While this object lives, no process evicts the file, unless its lease ends before: at
    :meth:`release`, at the end of ``with path:``, and at the end of the invocation or scratch
    directory that it was fetched in. Paths derived from it (``path.parent``), pickled and copied
    ones are plain Paths without a lease.

    Methods that would change the file raise :class:`~tmpcache.errors.ReadOnlyError`. A copy that
    ``scratch().fetch(…, writable=True)`` made may be changed.

    Only tmpcache makes these.
    """

    __slots__ = ("__weakref__", "_copy", "_lease", "outcome")

    _copy: Copy
    _lease: Lease
    #: How this fetch was answered.
    outcome: Outcome

    if sys.version_info >= (3, 12):

        def with_segments(self, *segments: Any) -> Path:
            """Make derived paths plain ones: the lease is for this file."""
            return PosixPath(*segments)

    else:  # 3.11 makes derived paths with these two
        _from_parts = PosixPath._from_parts  # type: ignore[attr-defined]
        _from_parsed_parts = PosixPath._from_parsed_parts  # type: ignore[attr-defined]

    @property
    def bucket(self) -> str:
        """The bucket that the object is in."""
        return self._copy.identity[0]

    @property
    def key(self) -> str:
        """The key of the object."""
        return self._copy.identity[1]

    @property
    def etag(self) -> str:
        """The ETag that came in the same response as the bytes; opaque, quotes included."""
        return self._copy.etag

    @property
    def version_id(self) -> str | None:
        """The version that the origin named, if the bucket has versions."""
        return self._copy.version_id

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self._copy.size

    @property
    def digest(self) -> str:
        """The xxh3_128 hash of the content: 32 hexadecimal digits."""
        return self._copy.digest

    def release(self) -> None:
        """End the lease: from now on the file may be evicted. May be called again."""
        self._lease.release()

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        """Open the file to read it, as :meth:`pathlib.Path.open` does."""
        if not {*mode} <= {*"rbtU"}:
            self._refuse_changes()
        return super().open(mode, *args, **kwargs)

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Refuse to change the mode, unless this is a writable copy."""
        self._refuse_changes()
        super().chmod(mode, follow_symlinks=follow_symlinks)

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Refuse to change the times, unless this is a writable copy."""
        self._refuse_changes()
        super().touch(mode, exist_ok)

    def unlink(self, missing_ok: bool = False) -> None:
        """Refuse to delete a cached file; in a scratch directory delete it."""
        self._refuse_to_leave()
        super().unlink(missing_ok)

    def rename(self, target: str | os.PathLike[str]) -> Path:  # type: ignore[override]
        """Refuse to move a cached file; in a scratch directory move it."""
        self._refuse_to_leave()
        return super().rename(target)

    def replace(self, target: str | os.PathLike[str]) -> Path:  # type: ignore[override]
        """Refuse to move a cached file; in a scratch directory move it."""
        self._refuse_to_leave()
        return super().replace(target)

    def _refuse_to_leave(self) -> None:
        """Raise an error if this is the cached file itself, not one in a scratch directory."""
        if str(self).endswith(f"/blobs/{self._copy.name}"):
            self._refuse_changes()

    def _refuse_changes(self) -> None:
        """Raise an error if the file may not be changed: root could, whatever its mode says."""
        if not os.stat(self).st_mode & 0o200:
            raise ReadOnlyError(
                f"{self.bucket}/{self.key} is a cached file, which others read, and cannot be "
                "changed: get a copy with scratch().fetch(…, writable=True), or forget the object "
                "with evict()"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        return PosixPath, (str(self),)

    def __repr__(self) -> str:
        from humanize import naturalsize

        name = ObjectName(self._copy.identity[3], *self._copy.identity[:3])
        directory, file = str(self).rsplit("/", 2)[1:]
        if len(file) > 24:
            file = f"{file[:12]}…{self.suffix}"
        size, outcome = naturalsize(self.size), self.outcome.name
        return f"<{type(self).__name__} {name} {size} {outcome} …/{directory}/{file}>"


if sys.version_info >= (3, 12):

    def cached_file(copy: Copy, outcome: Outcome, lease: Lease) -> CachedFile:
        """Return the path of `copy`, protected by the `lease`."""
        file = CachedFile(copy.path)
        file._copy, file._lease, file.outcome = copy, lease, outcome
        return file

else:
    #: Paths that were returned, as pathlib of 3.11 parses them, which takes it 2 µs.
    _parsed: dict[str, PosixPath] = {}
    _MAX_PARSED = 50_000

    def cached_file(copy: Copy, outcome: Outcome, lease: Lease) -> CachedFile:
        """Return the path of `copy`, protected by the `lease`."""
        file: CachedFile = object.__new__(CachedFile)
        plain = _parsed.get(copy.path)
        if plain is None:
            if len(_parsed) >= _MAX_PARSED:
                _parsed.clear()
            plain = _parsed[copy.path] = PosixPath(copy.path)
        file._drv, file._root, file._parts = plain._drv, plain._root, plain._parts  # type: ignore
        file._copy, file._lease, file.outcome = copy, lease, outcome
        return file
