"""Requests to S3 that only a file system needs: one level of a listing, HEAD, buckets, DELETE."""

from __future__ import annotations

from .. import Listed
from . import parameters
from .errors import named
from .headers import listed_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ...common.deadline import Deadline
    from .origin import S3Origin


def list_level(
    origin: S3Origin, bucket: str, prefix: str, deadline: Deadline | None
) -> Iterator[Listed]:
    """List the objects below a prefix whose keys have no further ``/``, and the common prefixes.

    A common prefix is a `Listed` whose key ends with ``/``, without an ETag; it stands for all keys
    that begin with it. So does an object of such a key (a directory marker), unless `prefix` is it.
    """
    subject = (bucket, f"{prefix}*", None)
    pages: Any = None

    def next_page(client: Any) -> Any:
        nonlocal pages
        if pages is None:
            options = parameters.options_for(client, "ListObjectsV2", origin._options)
            names = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/"}
            pages = iter(client.get_paginator("list_objects_v2").paginate(**names, **options))
        return next(pages, None)

    while True:
        if deadline is not None:
            deadline.check(named(subject))
        page, scope = origin._call(subject, deadline, next_page, "s3:ListBucket")
        if page is None:
            return
        for common in page.get("CommonPrefixes", ()):
            yield Listed(common["Prefix"], "", 0, scope)
        yield from listed_in(page, scope)


def head(
    origin: S3Origin, bucket: str, key: str, version_id: str | None, deadline: Deadline | None
) -> Listed:
    """Send one HeadObject."""
    request = {"Bucket": bucket, "Key": key, **({"VersionId": version_id} if version_id else {})}

    def send(client: Any) -> Any:
        options = parameters.options_for(client, "HeadObject", origin._options)
        return client.head_object(**request, **options)

    response, scope = origin._call((bucket, key, version_id), deadline, send)
    return Listed(key, response.get("ETag", ""), response.get("ContentLength", 0), scope)


def list_buckets(origin: S3Origin, deadline: Deadline | None) -> list[str]:
    """Return the names of the buckets that these credentials own."""
    response, _ = origin._call(
        ("*", "*", None), deadline, lambda client: client.list_buckets(), "s3:ListAllMyBuckets"
    )
    return [bucket["Name"] for bucket in response.get("Buckets", ())]


def delete(origin: S3Origin, bucket: str, key: str, deadline: Deadline | None) -> None:
    """Delete an object; in a bucket with versions, S3 puts a delete marker on top of them."""

    def send(client: Any) -> Any:
        options = parameters.options_for(client, "DeleteObject", origin._options)
        return client.delete_object(Bucket=bucket, Key=key, **options)

    origin._call((bucket, key, None), deadline, send, "s3:DeleteObject")
