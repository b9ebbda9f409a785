"""Sums of bytes, sizes and names as the index has them, looked at before they are used."""

from __future__ import annotations

from ..index.index import DamagedIndexError
from ..leases.session import lease_id
from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..index.index import Index

#: No file system is larger: what claims to be was not written here.
_LARGEST = 2**60


def lease_of(name: object) -> int:
    """The lease id of a blob that the index names; a name that is none was not written here."""
    if not isinstance(name, str) or not blobs.is_name(name):
        raise DamagedIndexError(f"{name!r} is not the name of a blob")
    return lease_id(name)


def totals(index: Index) -> tuple[int, int]:
    """Allocated bytes of all blobs, and bytes reserved by downloads under way."""
    content, reserved = index.one(
        "SELECT bytes + (SELECT coalesce(sum(allocated), 0) FROM staged), "
        "(SELECT coalesce(sum(reserved), 0) FROM partials) FROM ledger"
    )
    return byte_count(content), byte_count(reserved)


def byte_count(value: object) -> int:
    """A number of bytes as the index has it."""
    if not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise DamagedIndexError(f"{value!r} is not a number of bytes")
    return value
