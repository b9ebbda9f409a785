"""S3 through obstore, a client in Rust: an unchanged object is confirmed in 40 µs, not 1,000.

Here obstore asks for whole objects: questions and downloads, small ones above all. Everything else
is the direct origin's, by inheritance: who asks, whom, and as which scope (so all origins share
their copies); ranges, which parallel parts and resumed downloads need; keys that obstore would not
send as they are; and, through boto3, listing and uploads. Where the case is not plain, what
botocore would do with a request (endpoint, addressing style, region, signature) is not guessed: it
is asked, once for each bucket, by a request that is stopped before it is sent.

What is different from the others:

* Checksums that S3 sends along are not seen, so not compared. The length is.
* A read that waits for bytes ends at its time-out at the latest (20 s), not at an interrupt.
* Redirects that name their target are followed if it is the same host. The signature does not go
  along to another port, as obstore's HTTP client takes it for a secret. The session token would:
  so only AWS's own hosts are sent one, and boto3 asks others.
* Where a proxy is to be used, boto3 asks.
* In a forked child the direct origin takes over if obstore was there before: its threads stay in
  the parent.
"""

from __future__ import annotations

import random
import re
import sys
import time
from functools import partial

from ...common.forking import here, recover_from_fork, reset_in_children
from ...common.interruption import raise_if_interrupted
from ...errors import OriginUnavailableError
from .. import Reply, Unchanged
from ..direct.origin import DirectOrigin
from ..hooks import hook
from ..s3.errors import named, refuses_condition, translated
from ..s3.origin import S3Origin
from ..s3.timeouts import read_timeout
from ..scope import ANONYMOUS, is_aws
from .body import _Body
from .errors import as_botocore_error, is_elsewhere, is_stale_connection
from .stores import address_of, make_store, tls_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...common.deadline import Deadline
    from ..s3.errors import Subject
    from ..scope import Keys
    from .stores import BucketAddress

#: Keys that obstore sends as they are. It refuses "a//b", "..", control characters; it would ask
#: for "a" when told "/a" or "a/", which is another object.
_PART = r"(?!\.\.?(?:/|\Z))[^/\x00-\x1f\x7f]+"
_PLAIN = re.compile(f"{_PART}(?:/{_PART})*")
#: Version ids that look the same in a URL, however it is written.
_PLAIN_VERSION = re.compile(r"[A-Za-z0-9._-]*")
#: Seconds before the second try; doubled for each further one, and spread by half.
_PAUSE = 0.1
#: Tries in botocore's retry modes; `AWS_MAX_ATTEMPTS` and the profile may say otherwise.
_TRIES = {"legacy": 5}
_TRIES_ELSE = 3
#: The one request option that obstore can send (and sign).
_PAYER = {"RequestPayer": "requester"}


class ObstoreOrigin(DirectOrigin):
    """Objects in S3 as the environment describes it, asked for through obstore where that can be.

    Of `request_options` obstore can send those that :func:`unsendable` does not name.
    """

    def __init__(self, request_options: Mapping[str, str] | None = None) -> None:
        self._addresses: dict[str, BucketAddress | None] = {}
        self._stores: dict[tuple[str, float], Any] = {}
        self._credentials: object = None
        super().__init__(request_options)

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        if_none_match: str = "",
        if_match: str = "",
        start: int = 0,
        end: int | None = None,
        deadline: Deadline | None = None,
    ) -> Reply | Unchanged:
        """One GetObject."""
        if not here[0]:
            recover_from_fork()
        conditions = {"if_none_match": if_none_match, "if_match": if_match}
        asked: Any = {**conditions, "start": start, "end": end, "deadline": deadline}
        ask_otherwise = partial(super().get, bucket, key, version_id, **asked)
        whole = not start and end is None
        if not whole or _lost_in_fork or not _is_plain(key, version_id) or hook():
            return ask_otherwise()
        options: Any = {**conditions, "version": version_id}
        options = {name: value for name, value in options.items() if value}
        subject, tries = (bucket, key, version_id), 0
        while True:
            timeout = read_timeout(deadline)
            store, scope = self._store(bucket, subject, timeout)
            if store is None:
                return S3Origin.get(self, bucket, key, version_id, **asked)
            try:
                reply = _reply(store, key, options, subject, deadline, timeout)
                reply.scope = scope
                return reply
            except Exception as error:
                raise_if_interrupted(error)
                failure = as_botocore_error(error, key)
                if failure is None or (if_none_match and refuses_condition(failure, "IfNoneMatch")):
                    return ask_otherwise()
                if is_elsewhere(failure):
                    self._addresses[bucket] = self._places[bucket] = None
                    return S3Origin.get(self, bucket, key, version_id, **asked)
                tries += 1
                if tries > 1 or not is_stale_connection(error):
                    self._wait_or_raise(failure, error, subject, scope, tries, deadline)

    def _wait_or_raise(
        self,
        failure: Exception,
        error: Exception,
        subject: Subject,
        scope: str | None,
        tries: int,
        deadline: Deadline | None,
    ) -> None:
        """Wait for the next try, or raise what there is no other for."""
        endpoint = self._endpoint
        most = _most_tries(self._connected()) if endpoint is None else endpoint.tries
        if tries >= most or not isinstance(translated(failure, subject), OriginUnavailableError):
            raise translated(failure, subject, scope=scope) from error
        pause = _PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
        if deadline is not None:
            deadline.check(named(subject), needed=pause)
        time.sleep(pause)

    def close(self) -> None:
        """Close connections, boto3's too."""
        super().close()
        if _lost_in_fork:  # locks in there may be held by threads of the parent: touch nothing
            _abandoned.append(self._stores)
        self._stores, self._addresses = {}, {}

    def forked(self) -> None:
        """In a child: stores are the parent's, and so are the threads that may hold their locks."""
        _abandoned.append(self._stores)
        self._stores, self._addresses = {}, {}
        super().forked()

    def _store(self, bucket: str, subject: Subject, timeout: float) -> tuple[Any, str | None]:
        """What obstore asks through, and the scope that signs; None if another origin is to ask."""
        try:
            place, endpoint = self._place(bucket), self._endpoint
            if place is not None and endpoint is not None:
                address: BucketAddress | None = (
                    f"{endpoint.scheme}://{place[0]}{place[1]}",
                    endpoint.region,
                )
                address = self._addresses.setdefault(bucket, address)
                keys, trust = endpoint.keys, partial(_trust_in, endpoint.trust)
                scope = self._settled
            else:
                signer = self._signing()
                address, keys = self._road_of_boto3(signer.client, bucket)
                trust = partial(tls_options, signer.client)
                scope = self._scope_of(signer.name, keys)
            if address is None:
                return None, None
            if keys[2] and not is_aws(self.name):  # see the module's text
                return None, None
            if keys != self._credentials:
                self._stores, self._credentials = {}, keys
            store = self._stores.get((bucket, timeout))
            if store is None:
                payer = "RequestPayer" in self._options
                trusted = trust() if address[0].startswith("https:") else {}
                given = None if keys == ANONYMOUS else _Credentials(*keys)
                store = make_store(bucket, address, given, timeout, trusted, payer=payer)
                self._stores[bucket, timeout] = store
        except Exception as error:
            raise_if_interrupted(error)
            raise translated(error, subject) from error
        return store, scope

    def _road_of_boto3(self, client: Any, bucket: str) -> tuple[BucketAddress | None, Keys]:
        """Where botocore would ask, and with what it would sign now."""
        if bucket not in self._addresses:
            self._addresses[bucket] = address_of(client, bucket)
        address = self._addresses[bucket]
        # As botocore does: each request is signed with what is valid now.
        credentials = client._request_signer._credentials if address and address[1] else None
        if credentials is None:
            return address, ANONYMOUS
        frozen = credentials.get_frozen_credentials()
        return address, (frozen.access_key, frozen.secret_key, frozen.token or "")


class _Credentials:
    """Keys by the names that botocore has for them."""

    def __init__(self, access_key: str, secret_key: str, token: str) -> None:
        self.access_key, self.secret_key, self.token = access_key, secret_key, token or None


def _trust_in(bundle: str) -> Any:
    if not bundle:
        return {}
    with open(bundle, "rb") as file:
        return {"root_certificate": file.read()}


def unsendable(request_options: Mapping[str, str] | None) -> list[str]:
    """The names of those options that obstore has no way to send."""
    return [name for name, value in (request_options or {}).items() if _PAYER.get(name) != value]


def _most_tries(client: Any) -> int:
    """How often botocore would ask."""
    retries = client.meta.config.retries or {}
    return int(
        retries.get("total_max_attempts") or _TRIES.get(str(retries.get("mode")), _TRIES_ELSE)
    )


def _reply(
    store: Any,
    key: str,
    options: Any,
    subject: Subject,
    deadline: Deadline | None,
    timeout: float,
) -> Reply | Unchanged:
    import obstore

    etag_here = options.get("if_none_match")
    try:
        result = obstore.get(store, key, options=options)
    except Exception as error:
        raise_if_interrupted(error)
        if etag_here and type(error).__name__ == "NotModifiedError":  # importing it takes 4 µs
            return Unchanged()
        raise
    meta = result.meta
    etag, size = meta["e_tag"] or "", meta["size"]
    if etag_here and etag == etag_here:  # a store that says 200 for 304
        return Unchanged()
    return Reply(_Body(result, size, subject, deadline, timeout), etag, size, meta["version"])


def _is_plain(key: str, version_id: str | None) -> bool:
    return bool(_PLAIN.fullmatch(key)) and bool(_PLAIN_VERSION.fullmatch(version_id or ""))


#: Whether this process was forked from one that had loaded obstore. Its threads, which do the work,
#: are not here: a request would wait for ever (tokio issue 4301).
_lost_in_fork = False
_abandoned: list[object] = []


class _Threads:
    """Those of obstore."""

    def forked(self) -> None:
        """In a child, also of a server in C that forks without Python's hooks."""
        global _lost_in_fork
        _lost_in_fork = "obstore" in sys.modules


_threads = _Threads()
reset_in_children(_threads)
