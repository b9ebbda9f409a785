"""The origin of a cache that is offline: it sends no request."""

from __future__ import annotations

from ..errors import NotCachedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from . import Origin


class OfflineOrigin:
    """Stands for another origin, whose name and scope it has, and refuses every request."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    @property
    def name(self) -> str:
        """The name of the origin that is not asked."""
        return self._origin.name

    @property
    def scope(self) -> str | None:
        """The scope that a request would have."""
        return self._origin.scope

    def get(self, bucket: str, key: str, version_id: str | None = None, **options: Any) -> NoReturn:
        """Raise `NotCachedError`."""
        raise _refused(bucket, key, "is not cached for these credentials")

    def list(self, bucket: str, prefix: str, **options: Any) -> NoReturn:
        """Raise `NotCachedError`: a listing is not cached."""
        raise _refused(bucket, f"{prefix}*", "cannot be listed")

    def put(self, bucket: str, key: str, *arguments: Any, **options: Any) -> NoReturn:
        """Raise `NotCachedError`."""
        raise _refused(bucket, key, "cannot be uploaded")

    def close(self) -> None:
        """Close the other origin."""
        self._origin.close()


def _refused(bucket: str, key: str, what: str) -> NotCachedError:
    return NotCachedError(
        f"s3://{bucket}/{key} {what}, and this cache is offline (offline=True or "
        "TMPCACHE_OFFLINE=1), so S3 was not asked. Fetch it once while online.",
        bucket=bucket,
        key=key,
    )
