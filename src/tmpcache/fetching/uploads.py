"""What a cache offers to upload."""

from __future__ import annotations

from ..common.objects import ObjectName
from ..config import checked_call, split_directory_url, split_url_before
from ..errors import TmpCacheError, brief
from .coroutines import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..cached_file import CachedFile
    from ..common.objects import Source
    from ..invocations.scratch import Scratch
    from ..origin import Origin
    from .fetcher import Fetcher
    from .many.fetch_many import Progress
    from .many.warm import Manifest


class Uploads:
    """The methods of :class:`tmpcache.Cache` that upload.

    Each imports what it needs when it is called, so that a hit in a new process need not wait.
    """

    _fetcher: Fetcher
    _origin: Origin
    _settings: dict[str, Any]
    scratch: Callable[[], Scratch]

    def put(
        self,
        bucket: str,
        key: str | Source,
        source: Source | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        request_options: Mapping[str, str] | None = None,
    ) -> CachedFile:
        """Upload a file, bytes or an open binary file, and put a copy into the cache.

        The object is named by bucket and key, or by one URL. The copy has the ETag that S3 sent,
        so the next fetch is a hit or a 304. Large sources are uploaded in parts. `if_match` (an
        ETag) and `if_none_match` (``"*"``) are for writers that race: the one that loses gets
        :class:`~tmpcache.errors.ObjectChangedError`. An upload that fails changes nothing, in S3 or
        in the cache. `request_options` (``ACL``, …) are for this upload, beside the cache's own.
        """
        from .put import put

        bucket, name, source = split_url_before(bucket, key, source, "source")
        try:
            return put(
                self._fetcher,
                ObjectName(self._origin.name, bucket, name),
                source,
                if_match=if_match,
                if_none_match=if_none_match,
                content_type=content_type,
                request_options=request_options,
            )
        except TmpCacheError as error:
            raise brief(error) from error.__cause__

    aput = awaited(put)
    """As :meth:`put`, in a thread. An upload whose task is cancelled may have gone through."""

    @property
    def listings(self) -> tuple[str, ...]:
        """The prefixes, as URLs, whose listings confirm copies."""
        found: tuple[str, ...] = self._settings["listings"]
        return found

    def put_listing(self, bucket: str, prefix: str | None = None) -> CachedFile:
        """List what is below a prefix, and put that into S3 as ``.tmpcache-listing`` beside it.

        The prefix, given with its bucket or as one URL, is empty or ends with a slash, which is
        added. On all machines whose cache has it among its `listings`, the listing confirms the
        copies that S3 gave their credentials before, as of when the LIST began: one GET for all of
        them. Put it more often than every `max_age` seconds; two writers do no harm.

        Raises what :meth:`put` raises, and :class:`~tmpcache.errors.AccessDeniedError` if these
        credentials may not list the bucket.

        >>> cache.put_listing("s3://models/micr/")                          # doctest: +SKIP
        """
        from .listings.writing import put_listing

        try:
            return put_listing(self._fetcher, *split_directory_url(bucket, prefix))
        except TmpCacheError as error:
            raise brief(error) from error.__cause__

    def put_pack(
        self,
        bucket: str,
        prefix: str | None = None,
        *,
        max_bytes: int | str = "64 MB",
        manifest: Manifest | None = None,
        progress: Progress | None = None,
    ) -> CachedFile:
        """Pack objects below a prefix into one, and put that into S3 as ``.tmpcache-pack``.

        A cold machine unpacks it with :meth:`warm`. The prefix is given as to :meth:`put_listing`.
        The objects that were last used here come first, or those of a `manifest` and no others,
        up to `max_bytes` of content. Only objects whose ETag is their MD5 are packed: those of one
        PUT, without KMS. Who may read the pack may read all that is in it. `progress` is called
        with the number of objects done, of all objects, and of bytes packed.

        Raises what :meth:`put_listing` raises. Objects that cannot be fetched are left out.

        >>> cache.put_pack("s3://models/micr/", max_bytes="20 MB")          # doctest: +SKIP
        """
        from .packs.packing import put_pack

        place = split_directory_url(bucket, prefix)
        if progress is not None:
            checked_call("progress", progress)
        try:
            with self.scratch() as work:
                return put_pack(self._fetcher, work, *place, max_bytes, manifest, progress)
        except TmpCacheError as error:
            raise brief(error) from error.__cause__
