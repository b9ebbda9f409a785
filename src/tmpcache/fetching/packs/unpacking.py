"""Unpacks a pack while it is received, as far as there is room; nothing is evicted for it.

A body is published as an object's copy if its MD5 is the ETag that the manifest names. The copy
counts as given by S3 to the credentials that requested the pack: as of the listing, if that names
the same ETag, else as of when the pack was made. What a later listing contradicts is left out.

# Crash safety

Until its MD5 is checked, a body is in a partial file without an ETag, so no download resumes it.
"""

from __future__ import annotations

from collections import deque
from hashlib import md5

from ...cached_file import Outcome
from ...common.handler_exceptions import reraise_from_handler
from ...common.objects import ObjectName
from ...errors import DeadlineExceededError, IntegrityError, TmpCacheError
from ...origin import Reply, scope_of
from ...store.downloads.publish import Arrival
from ...store.downloads.publish_many import MOST
from ...store.many_copies import FreeSpace, look_up_many, touch_in_order
from ..freshness import has_listed_etag
from ..listings.document import MOST_BYTES, PACK
from .document import packed_objects, parse
from .stream import BrokenPackError, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.deadline import Deadline
    from ...common.objects import Copy
    from ...store.downloads.publish import Published
    from ..fetcher import Fetcher
    from ..listings.document import Listing
    from .document import PackedObject

_CHUNK = 256 * 1024


class Unpacking:
    """One pack that is unpacked, and what has become of its objects."""

    def __init__(
        self,
        fetcher: Fetcher,
        place: tuple[str, str],
        listing: Listing | None,
        max_bytes: int | None,
        deadline: Deadline,
    ) -> None:
        """Unpack the pack at `place`, a bucket and a prefix, but no more than `max_bytes`."""
        self._fetcher, (self._bucket, self._prefix) = fetcher, place
        self._listing = None if listing and listing.at > fetcher.clock() else listing
        self._deadline, self._downloads = deadline, fetcher.store.downloads
        space = FreeSpace(fetcher.store)
        self._free, self._cost, self._left = space.bytes, space.cost, max_bytes
        self._arrivals: list[Arrival] = []
        self._scope: str | None = None
        self._made_at = 0.0
        #: The copies that were published, hottest first.
        self.copies: list[Copy] = []
        self.present = self.changed = self.skipped = self.received = self._pending = 0
        self.problems: list[str] = []

    def run(self, progress: Callable[[int, int, int], object] | None) -> bool:
        """Request the pack and unpack it; return False if it is none.

        Raises what the request raises. A pack that breaks is unpacked as far as it goes, and so is
        one for which the time is not enough.
        """
        name = ObjectName(self._fetcher.origin.name, self._bucket, self._prefix + PACK)
        reply = self._fetcher.downloader.requests.get(name, self._deadline)
        assert isinstance(reply, Reply), "no ETag was given"
        self._scope = scope_of(self._fetcher.origin, reply.scope)
        stream = Stream(reply.body)
        try:
            return self._unpack(stream, progress)
        except DeadlineExceededError as error:
            reraise_from_handler(error)
            if not self._pending:  # nobody knows yet what is in it
                raise
            self.skipped += self._pending
            return True
        except (BrokenPackError, TmpCacheError, OSError) as error:
            reraise_from_handler(error)
            self.problems.append(f"{name}: {error}")
            return bool(self.copies or self._arrivals or self.present)
        finally:
            reply.body.close()
            self._publish()
            touch_in_order(self._fetcher.store, self.copies)
            self._fetcher.tally.add(bytes_received=stream.received)
            self.received = stream.received

    def _unpack(self, stream: Stream, progress: Callable[[int, int, int], object] | None) -> bool:
        manifest = parse(stream.line(MOST_BYTES))
        if manifest is None:
            return False
        made_at, entries = manifest
        self._made_at = made_at if made_at <= self._fetcher.clock() else 0.0
        packed = [*packed_objects(entries, self._bucket, self._prefix)]
        known = self._known([one.key for one, _ in packed if one is not None])
        self._pending = len(packed)
        for one, size in packed:
            self._deadline.check(self._prefix + PACK)
            if one is None or not self._is_wanted(one, known.get(one.key)):
                stream.skip(size)
            else:
                self._receive(one, stream)
            self._pending -= 1
            if len(self._arrivals) == MOST:
                self._publish()
            if progress is not None:
                progress(len(packed) - self._pending, len(packed), stream.received)
        return True

    def _known(self, keys: list[str]) -> dict[str, Copy]:
        """Return the copies that this cache has of the objects."""
        fetcher = self._fetcher
        return look_up_many(fetcher.store, fetcher.origin.name, self._bucket, keys, self._scope)

    def _is_wanted(self, one: PackedObject, copy: Copy | None) -> bool:
        """Return whether an object is to be unpacked; count it if it is not."""
        if copy is not None and copy.validated_at is not None:  # S3 has said what it is
            self.present += 1
            return False
        if self._is_contradicted(one):
            self.changed += 1
            return False
        if self._cost(one.size) > self._free or (self._left is not None and one.size > self._left):
            self.skipped += 1
            return False
        return True

    def _is_contradicted(self, one: PackedObject) -> bool:
        """Return whether a listing that was made after the pack names another version, or none."""
        listing = self._listing
        if listing is None or listing.at < self._made_at:
            return False
        return not has_listed_etag(one.etag, self._listed_etag(one, listing))

    def _listed_etag(self, one: PackedObject, listing: Listing) -> str:
        return listing.etag(one.key[len(self._prefix) :])

    def _receive(self, one: PackedObject, stream: Stream) -> None:
        """Receive a body into the partial file of its object, and check it."""
        name = ObjectName(self._fetcher.origin.name, self._bucket, one.key)
        partial = self._downloads.try_lock_partial(name)
        if partial is None:  # somebody downloads it, or has begun to
            self.skipped += 1
            return stream.skip(one.size)
        error: BaseException | None = IntegrityError("not received")
        try:
            with self._downloads.explain_full_disk(name):
                partial.begin("", one.size)  # without an ETag nobody resumes it
                hashed, at = md5(usedforsecurity=False), 0
                while at < one.size:
                    piece = stream.piece(min(_CHUNK, one.size - at))
                    hashed.update(piece)
                    partial.write(piece, at)
                    at += len(piece)
            if hashed.hexdigest() == one.md5:
                error = None
                at_time = self._given_at(one)
                self._arrivals.append(Arrival(partial, name, one.etag, None, at_time, self._scope))
                self._free -= self._cost(one.size)
                self._left = None if self._left is None else self._left - one.size
            else:
                self.problems.append(f"{name}: its body in the pack does not have its MD5")
        finally:
            if error is not None:
                self._downloads.end(partial, error)
        return None

    def _given_at(self, one: PackedObject) -> float:
        """Return when S3 gave an object, as far as the listing or else the pack can tell."""
        listing = self._listing
        if listing is not None and has_listed_etag(one.etag, self._listed_etag(one, listing)):
            return listing.at
        return self._made_at

    def _publish(self) -> None:
        """Publish what was received and checked."""
        arrivals, self._arrivals = self._arrivals, []
        pairs = deque(zip(arrivals, self._downloads.publish_many(arrivals), strict=True))
        try:
            while pairs:
                self._publish_one(*pairs.popleft())
        finally:
            for _, published in pairs:  # after Ctrl-C
                if published is not None:
                    published[1].release()
            for arrival in arrivals:
                self._downloads.end(arrival.partial)

    def _publish_one(self, arrival: Arrival, published: Published | None) -> None:
        """Keep the copy; publish it alone if the batch did not."""
        try:
            copy, lease = published or self._downloads.publish(arrival)
        except (TmpCacheError, OSError) as error:
            reraise_from_handler(error)
            self.problems.append(f"{arrival.name}: {error}")
            return
        lease.release()
        self.copies.append(copy)
        tally = self._fetcher.tally
        with tally.lock:
            tally.outcomes[Outcome.FETCHED] += 1
