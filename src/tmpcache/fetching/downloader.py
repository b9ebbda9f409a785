"""Revalidates an object, and downloads it if its copy is not current.

# Locking

A download holds the download lock, which is the lock on the partial file. A process that finds it
held waits. When it gets the lock, the other process may have published the object, so the index is
read once more before anything is downloaded.
"""

from __future__ import annotations

from ..cached_file import Outcome
from ..errors import AccessDeniedError, ObjectNotFoundError, UnsafeRootError
from ..origin import Unchanged, scope_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..common.deadline import Deadline
    from ..common.objects import Copy, ObjectName
    from ..origin import Origin, Reply
    from ..origin.transfer.sink import Sink
    from ..store import Store
    from ..store.downloads.partial_file import Partial
    from ..store.downloads.publish import Arrival
    from ..store.leases.lease import Lease
    from .origin_requests import OriginRequests
    from .progress import ByteProgress
    from .tally import Tally

    #: The copy that a fetch is answered with, how the fetch came by it, and its lease.
    Served = tuple[Copy, Outcome, Lease]

#: Downloads of one call: a second one is begun if somebody deleted the partial file of the first.
_MAX_DOWNLOADS = 2


class Downloader:
    """Brings the copies of single objects up to date."""

    def __init__(
        self,
        requests: OriginRequests,
        store: Store,
        lock_timeout: float,
        progress: ByteProgress | None = None,
    ) -> None:
        """`progress` is called with what is received of an object."""
        self.requests, self._store, self._lock_timeout = requests, store, lock_timeout
        self._progress = progress

    def with_origin(self, origin: Origin, tally: Tally) -> Downloader:
        """Return a copy of this object that sends through `origin`, and counts in `tally`."""
        requests = self.requests.with_origin(origin, tally)
        return Downloader(requests, self._store, self._lock_timeout)

    def with_progress(self, progress: ByteProgress) -> Downloader:
        """Return a copy of this object that reports what it receives."""
        return Downloader(self.requests, self._store, self._lock_timeout, progress)

    def revalidate_or_download(
        self, name: ObjectName, copy: Copy | None, deadline: Deadline | None
    ) -> Served:
        """Send one conditional GET, and download the body if it brings another version.

        `copy` is what the caller knows of the object, None for nothing.
        """
        lease = self._store.lease_copy(copy) if copy is not None else None
        if copy is not None and lease is None:  # damaged, or the index has a later one
            copy = self._store.look_up(name, self.requests.origin.scope)
            lease = self._store.lease_copy(copy) if copy is not None else None
        if copy is None or lease is None:
            return self._download(name, None, deadline)
        try:
            reply = self.requests.get(name, deadline, copy.etag)
            if isinstance(reply, Unchanged):
                return self.requests.confirm(name, copy, reply), Outcome.REVALIDATED, lease
        except BaseException:  # a kept error must not keep the lease
            lease.release()
            raise
        lease.release()
        return self._download(name, reply, deadline)

    def _download(self, name: ObjectName, reply: Reply | None, deadline: Deadline | None) -> Served:
        """Download and publish an object, or serve what another process published meanwhile.

        `reply` is the origin's, if that has been asked already.
        """
        from ..store.downloads.partial_file import PartialLostError

        for downloads_left in reversed(range(_MAX_DOWNLOADS)):
            close_response = None if reply is None else reply.body.close
            try:
                with self._store.downloads.locked_partial(
                    name, self._lock_timeout, close_response, deadline
                ) as partial:
                    served, reply = self._look_up_again(name, reply, partial.waited, deadline)
                    if served is not None:
                        return served
                    arrival = self.receive(name, reply, partial, deadline)
                    copy, lease = self._store.downloads.publish(arrival)
                    return copy, Outcome.FETCHED, lease
            except PartialLostError as error:
                if not downloads_left:
                    raise UnsafeRootError(
                        f"{name} cannot be downloaded: {error}, again and again. Keep cleaners out "
                        "of the cache directory, or choose another root."
                    ) from error
                reply = None
        raise AssertionError("the last download returns or raises")

    def _look_up_again(
        self, name: ObjectName, reply: Reply | None, waited: bool, deadline: Deadline | None
    ) -> tuple[Served | None, Reply | None]:
        """Return a copy that was published meanwhile, or else the response to download from.

        Called while holding the download lock: another process may have published the object since
        this one looked. `reply` is the response so far, None if the origin has not been asked. Its
        body is closed if this process `waited` for the lock; the ETag still counts.
        """
        unread = None if waited else reply
        copy = self._store.look_up(name, self.requests.origin.scope, after_writers=True)
        if copy is None or (unread is not None and not _has_etag_of(copy, unread)):
            return None, unread
        lease = self._store.lease_copy(copy)
        if lease is None:
            return None, unread
        try:
            found = self._confirm_published(name, copy, reply, deadline)
            if isinstance(found, tuple):
                return (*found, lease), None
        except BaseException:  # a kept error must not keep the lease
            lease.release()
            raise
        lease.release()
        return None, found

    def _confirm_published(
        self, name: ObjectName, copy: Copy, reply: Reply | None, deadline: Deadline | None
    ) -> tuple[Copy, Outcome] | Reply:
        """Return a copy that another process published, once it is confirmed to our scope.

        That process may have other credentials. So the copy is served only if the origin has just
        named its ETag in `reply`, has confirmed it to our scope already, or does so now. Otherwise
        return the response with another version.
        """
        if reply is not None and _has_etag_of(copy, reply):
            reply.body.close()
            return self.requests.confirm(name, copy, reply), Outcome.REVALIDATED
        if reply is None and copy.validated_at is not None:
            return copy, Outcome.HIT
        latest = self.requests.get(name, deadline, copy.etag)
        if isinstance(latest, Unchanged):
            return self.requests.confirm(name, copy, latest), Outcome.REVALIDATED
        return latest

    def receive(
        self, name: ObjectName, reply: Reply | None, partial: Partial, deadline: Deadline | None
    ) -> Arrival:
        """Receive the body into the partial file, and return the finished download.

        Bytes of the same version that the file already holds are kept.
        """
        from ..origin.transfer.download import download
        from ..origin.transfer.requests import is_strong
        from ..store.downloads.publish import Arrival

        requests, tally = self.requests, self.requests.tally
        asked_at = requests.clock() if reply is None else reply.asked_at
        try:
            if reply is not None and partial.etag:
                if reply.etag == partial.etag and is_strong(reply.etag):
                    reply.body.close()  # only the missing bytes are requested
                    reply = None
                else:
                    partial.rewind()
            if reply is None:
                tally.add(requests=1)
            sink: Sink = partial
            if self._progress is not None:
                from .progress import ReportingPartial

                sink = ReportingPartial(partial, self._progress)
            etag, version_id, scope = download(requests.origin, name, reply, sink, deadline)
            return Arrival(
                partial, name, etag, version_id, asked_at, scope_of(requests.origin, scope)
            )
        except (ObjectNotFoundError, AccessDeniedError) as error:
            requests.record_refusal(name, error)
            raise
        finally:
            tally.add(bytes_received=partial.transferred)


def _has_etag_of(copy: Copy, reply: Reply) -> bool:
    return "" != reply.etag == copy.etag
