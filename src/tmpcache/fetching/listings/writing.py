"""Lists a prefix, and puts the listing beside the objects."""

from __future__ import annotations

from ...common.deadline import deadline_within
from ...common.objects import ObjectName
from ...errors import ConfigError
from ...invocations.context import current_deadline
from ..put import put
from .document import LISTING, MOST_BYTES, is_own, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...cached_file import CachedFile
    from ...origin import Listed
    from ..fetcher import Fetcher


def put_listing(fetcher: Fetcher, bucket: str, prefix: str) -> CachedFile:
    """See :meth:`tmpcache.Cache.put_listing`."""
    name = ObjectName(fetcher.origin.name, bucket, prefix + LISTING)
    at, found = list_prefix(fetcher, name, prefix)
    etags = {one.key[len(prefix) :]: one.etag for one in found}
    document = text_of(at, prefix, etags)
    if len(document) > MOST_BYTES:
        raise ConfigError(
            f"the listing of s3://{bucket}/{prefix} with {len(etags)} objects is longer than "
            f"{MOST_BYTES} bytes, and nobody would read it: make one for each prefix below it"
        )
    return put_own(fetcher, name, document, "application/json")


def list_prefix(fetcher: Fetcher, name: ObjectName, prefix: str) -> tuple[float, list[Listed]]:
    """Return the objects below a prefix, without our own, and when their LIST began.

    That is what S3's clock said or what this machine's says, whichever is earlier: a clock that
    is fast would make the listing look younger than it is.
    """
    if not hasattr(fetcher.origin, "list"):
        raise ConfigError(f"{name}: the origin {fetcher.origin.name} cannot list objects")
    at = fetcher.clock()
    listed = fetcher.origin.list(name.bucket, prefix, deadline=deadline_within(current_deadline()))
    found = [one for one in listed if one.key.startswith(prefix) and not is_own(one.key)]
    fetcher.tally.add(requests=1 + max(0, len(found) - 1) // 1000)
    return min([at, *(one.date for one in found if one.date is not None)]), found


def put_own(
    fetcher: Fetcher, name: ObjectName, source: bytes | str, content_type: str
) -> CachedFile:
    """Put one of tmpcache's own objects."""
    return put(
        fetcher,
        name,
        source,
        if_match=None,
        if_none_match=None,
        content_type=content_type,
        request_options=None,
    )
