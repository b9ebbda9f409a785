"""The protocols that an origin fits; :mod:`tmpcache.origin` has their names.

Importing this module imports `typing` (3 ms), so a hit does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Protocol, TypedDict, Unpack

from ..common.deadline import Deadline
from .replies import Listed, Reply, Unchanged


class GetOptions(TypedDict, total=False):
    """The keyword arguments of :meth:`Origin.get`. A caller leaves out those that do not apply."""

    #: Answer `Unchanged` if the object still has this ETag; "" for no condition.
    if_none_match: str
    #: Raise :class:`~tmpcache.errors.ObjectChangedError` unless the object has this ETag.
    if_match: str
    #: Answer the bytes from `start` up to before `end` only; None: to the end of the object.
    start: int
    end: int | None
    #: Wait for nothing past it, neither for the response nor in its body; None: no limit.
    deadline: Deadline | None


class Origin(Protocol):
    """Where objects come from.

    All methods raise :class:`~tmpcache.errors.OriginError` or one of its subclasses.
    """

    @property
    def name(self) -> str:
        """The name of this origin: a bucket of the same name at another origin is another one."""

    @property
    def scope(self) -> str | None:
        """A hash of the credentials that would sign the next request.

        None if they are not known: then no copy is fresh.
        """

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        **options: Unpack[GetOptions],
    ) -> Reply | Unchanged | None:
        """Request an object, or some bytes of it.

        None means the same as `Unchanged`. Several threads may call this at the same time.
        """

    def close(self) -> None:
        """Close all connections."""


class ListableOrigin(Origin, Protocol):
    """An origin that can list the objects of a bucket."""

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """List all objects whose keys begin with `prefix`; 1,000 of them cost a request."""


class WritableOrigin(Origin, Protocol):
    """An origin that can store objects."""

    def put(
        self,
        bucket: str,
        key: str,
        body: BinaryIO,
        size: int,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        request_options: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[str, str | None] | tuple[str, str | None, str | None]:
        """Store `size` bytes of `body` as an object; return its ETag, version id and scope.

        The scope may be left out. `request_options` are given only if the caller has some.

        Raises :class:`~tmpcache.errors.ObjectChangedError` if a condition does not hold.
        """
