"""A Lambda function that writes listings: on a schedule, or when objects have changed.

``tmpcache.integrations.listing_writer.handler`` is the handler; examples/listing_writer has a
template. ``TMPCACHE_LISTINGS`` names the prefixes, as for the caches that read the listings.

An event about objects only says that something may have changed below a prefix. What has, S3's own
listing says. So events that come twice, late, in another order or with encoded keys do no harm.
Events about ``.tmpcache-*`` are ignored: the function's own writes would call it for ever. Any
other event, a schedule's for example, means all prefixes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

import tmpcache
from tmpcache.config import split_prefix_url
from tmpcache.fetching.listings.document import is_own

__all__ = ["handler", "prefixes_of"]

#: Events within events: SQS around SNS around S3. More are none that anybody sends.
_DEEPEST = 6


def handler(event: Any, context: object = None) -> dict[str, Any]:
    """Write the listings that an event calls for; return the URLs of their prefixes.

    With ``"pack"`` in the event, which a schedule may have as its input, a pack of so many bytes
    (``{"pack": "64 MB"}``) is put beside each listing.

    Raises what :func:`tmpcache.put_listing` raises, in an ``ExceptionGroup``, after it has tried
    all prefixes: then Lambda, or the queue, sends the event again.

    >>> handler({"pack": "64 MB"})                                          # doctest: +SKIP
    {'written': ['s3://models/micr/']}
    """
    listings = tmpcache.default_cache().listings
    pack = event.get("pack") if isinstance(event, Mapping) else None
    written, errors = [], []
    for url in prefixes_of(event, listings):
        try:
            if pack is not None:
                tmpcache.put_pack(url, max_bytes=pack).release()
            tmpcache.put_listing(url).release()
            written.append(url)
        except (tmpcache.TmpCacheError, OSError) as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of the listings could not be written", errors)
    return {"written": written}


def prefixes_of(event: Any, listings: tuple[str, ...]) -> list[str]:
    """Return those of the prefixes, each a URL, that an event tells to look at.

    >>> created = {"s3": {"bucket": {"name": "models"}, "object": {"key": "micr/a%2Bb.npz"}}}
    >>> prefixes_of({"Records": [created]}, ("s3://models/micr/", "s3://models/ocr/"))
    ['s3://models/micr/']
    """
    changed = [*_changed(event, _DEEPEST)]
    if None in changed:
        return [*listings]
    names = [name for name in changed if name is not None]
    return [url for url in listings if any(_is_below(name, url) for name in names)]


def _is_below(name: tuple[str, str], url: str) -> bool:
    """Return whether an object, its key encoded or not, is below a prefix and not our own."""
    bucket, prefix = split_prefix_url(url)
    keys = name[1], unquote_plus(name[1])
    return (
        name[0] == bucket
        and any(key.startswith(prefix) for key in keys)
        and not any(map(is_own, keys))
    )


def _changed(event: Any, depth: int) -> Iterator[tuple[str, str] | None]:
    """Yield bucket and key of each object that an event is about; None stands for all objects."""
    if not isinstance(event, Mapping) or not depth:
        yield None
        return
    records = event.get("Records")
    inner = event.get("body", event.get("Message"))
    if isinstance(records, list):
        for record in records:
            yield from _changed(record, depth - 1)
    elif isinstance(inner, str):
        yield from _changed(_parsed(inner), depth - 1)
    elif isinstance(event.get("Sns"), Mapping):
        yield from _changed(event["Sns"], depth - 1)
    else:
        yield _named(event.get("s3", event.get("detail")))


def _named(facts: Any) -> tuple[str, str] | None:
    """Return bucket and key that S3 (``s3``) or EventBridge (``detail``) names; None if none."""
    try:
        bucket, key = facts["bucket"]["name"], facts["object"]["key"]
    except (KeyError, TypeError):
        return None
    return (bucket, key) if isinstance(bucket, str) and isinstance(key, str) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
