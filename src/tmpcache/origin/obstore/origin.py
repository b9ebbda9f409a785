"""S3 through obstore, a client in Rust: an unchanged object is confirmed in 40 µs, not 1,000.

obstore sends GETs of whole objects; credentials, endpoint and scope come from the direct origin and
from boto3's, whose class this one inherits from. So all origins share their copies. The others also
send

* ranges, for downloads over several connections and resumed ones;
* keys that obstore would not send as they are;
* listings and uploads, through boto3.

Where the configuration is not plain, botocore prepares one request for each bucket, which is
stopped before it is sent; endpoint, addressing style, region and signature are read off it.

# Differences from the other origins

* The checksums that S3 sends are not visible, so they are not compared. The length is.
* A read that waits for bytes ends at its time-out at the latest (20 s), not at an interrupt.
* Redirects that name their target are followed if it is the same host. obstore's HTTP client
  removes the signature from a request to another port, as it knows that header for a secret. The
  session token would go along, so it is sent to AWS hosts only; boto3 sends requests with one to
  all others.
* Where a proxy is configured, boto3 sends the requests.
* In a child forked after obstore was loaded, the direct origin takes over: obstore's threads stay
  in the parent.
"""

from __future__ import annotations

import re
import sys
import time

from ...common.forking import here, recover_from_fork, reset_in_children
from ...common.handler_exceptions import reraise_from_handler
from ...errors import OriginUnavailableError
from .. import Reply, Unchanged
from ..direct.errors import NotUnderstoodError
from ..direct.origin import DirectOrigin
from ..hooked_botocore import hook
from ..retries import note_retry
from ..s3.errors import named, refuses_condition, translated
from ..s3.origin import S3Origin
from ..s3.timeouts import read_timeout
from ..scope import ANONYMOUS, is_aws
from .body import reply_from
from .errors import as_botocore_error, is_in_another_region, is_stale_connection
from .stores import address_of, make_store, tls_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from ...common.deadline import Deadline
    from ..protocol import GetOptions
    from ..s3.errors import Subject
    from ..scope import Credentials
    from .stores import BucketAddress

#: Keys that obstore sends as they are. It refuses "a//b", "..", control characters; for "/a" and
#: "a/" it would request "a", which is another object.
_SEGMENT = r"(?!\.\.?(?:/|\Z))[^/\x00-\x1f\x7f]+"
_PLAIN_KEY = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")
#: Version ids that look the same in a URL, however it is written.
_PLAIN_VERSION = re.compile(r"[A-Za-z0-9._-]*")
#: Seconds before the second attempt; doubled for each further one, and spread by half.
_PAUSE = 0.1
#: Attempts in botocore's retry modes; `AWS_MAX_ATTEMPTS` and the profile may say otherwise.
_ATTEMPTS = {"legacy": 5}
_DEFAULT_ATTEMPTS = 3
#: The one request option that obstore can send (and sign).
_PAYER = {"RequestPayer": "requester"}


class ObstoreOrigin(DirectOrigin):
    """Objects in S3 as the environment describes it, requested through obstore where it can.

    It can send the `request_options` that :func:`unsendable` does not name.
    """

    def __init__(self, request_options: Mapping[str, str] | None = None) -> None:
        #: The addresses of buckets; None if boto3 sends their requests.
        self._addresses: dict[str, BucketAddress | None] = {}
        #: obstore's stores, by bucket and read time-out, and the credentials that all of them have.
        self._stores: dict[tuple[str, float], Any] = {}
        self._stores_credentials: Credentials | None = None
        super().__init__(request_options)

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | Unchanged:
        """Send one GetObject, through obstore if it can send it as it is."""
        if not here[0]:
            recover_from_fork()
        whole = not options.get("start") and options.get("end") is None
        if not whole or _lost_in_fork or not _is_plain(key, version_id) or hook():
            return super().get(bucket, key, version_id, **options)
        etag, deadline = options.get("if_none_match"), options.get("deadline")
        parameters: dict[str, Any] = {
            "if_none_match": etag,
            "if_match": options.get("if_match"),
            "version": version_id,
        }
        parameters = {name: value for name, value in parameters.items() if value}
        subject, attempts = (bucket, key, version_id), 0
        while True:
            timeout = read_timeout(deadline)
            store, scope = self._store(bucket, subject, timeout)
            if store is None:
                return S3Origin.get(self, bucket, key, version_id, **options)
            try:
                reply = reply_from(store, key, parameters, subject, deadline, timeout)
                reply.scope = scope
                return reply
            except Exception as error:
                reraise_from_handler(error)
                failure = as_botocore_error(error, key)
                if failure is None or (etag and refuses_condition(failure, "IfNoneMatch")):
                    return super().get(bucket, key, version_id, **options)
                if is_in_another_region(failure):
                    self._leave_to_boto3(bucket)
                    return S3Origin.get(self, bucket, key, version_id, **options)
                attempts += 1
                if attempts > 1 or not is_stale_connection(error):
                    self._pause(failure, error, subject, scope, attempts, deadline)

    def _pause(
        self,
        failure: Exception,
        error: Exception,
        subject: Subject,
        scope: str | None,
        attempts: int,
        deadline: Deadline | None,
    ) -> None:
        """Wait for the next attempt, or raise the failure if there is none."""
        client = self._client
        max_attempts = (
            _max_attempts(self._boto3_client()) if client is None else client.endpoint.max_attempts
        )
        is_last = attempts >= max_attempts
        if is_last or not isinstance(translated(failure, subject), OriginUnavailableError):
            raise translated(failure, subject, scope=scope) from error
        from random import uniform

        pause: float = _PAUSE * 2 ** (attempts - 1) * uniform(0.5, 1.5)
        if deadline is not None:
            deadline.check(named(subject), needed=pause)
        note_retry(subject, attempts, pause, failure)
        time.sleep(pause)

    def close(self) -> None:
        """Close all connections, boto3's too."""
        super().close()
        if _lost_in_fork:  # threads of the parent may hold locks of the stores: never free them
            _abandoned.append(self._stores)
        self._stores, self._addresses = {}, {}

    def forked(self) -> None:
        """Drop the parent's stores without freeing them: its threads may hold their locks."""
        _abandoned.append(self._stores)
        self._stores, self._addresses = {}, {}
        super().forked()

    def _leave_to_boto3(self, bucket: str) -> None:
        self._addresses[bucket] = None
        if (client := self._client) is not None:
            client.addresses[bucket] = None

    def _store(self, bucket: str, subject: Subject, timeout: float) -> tuple[Any, str | None]:
        """Return a store of obstore's and the scope that it signs for.

        The store is None if boto3 has to send the requests for this bucket.
        """
        scope: str | None
        try:
            client, direct = self._route(bucket)
            if client is not None and direct is not None:
                endpoint, identity = client.endpoint, client.identities.now(subject)
                host, path = direct
                credentials, scope = identity.credentials, identity.scope
                verify: bool | str = endpoint.ca_bundle
                address = self._addresses.setdefault(
                    bucket, (f"{endpoint.scheme}://{host}{path}", endpoint.region)
                )
            else:
                signer = self._boto3_signer()
                address, credentials = self._address_of_botocore(signer.client, bucket)
                scope = self._scope_of(signer.name, credentials)
                verify = getattr(signer.client._endpoint.http_session, "_verify", True)
            if address is None:
                return None, None
            if credentials[2] and not is_aws(self.name):  # a session token: see the module's text
                return None, None
            if credentials != self._stores_credentials:
                self._stores, self._stores_credentials = {}, credentials
            store = self._stores.get((bucket, timeout))
            if store is None:
                store = make_store(
                    bucket,
                    address,
                    credentials,
                    timeout,
                    tls_options(verify) if address[0].startswith("https:") else {},
                    payer="RequestPayer" in self._options,
                )
                self._stores[bucket, timeout] = store
        except NotUnderstoodError as error:
            reraise_from_handler(error)
            return None, None
        except Exception as error:
            reraise_from_handler(error)
            raise translated(error, subject) from error
        return store, scope

    def _address_of_botocore(
        self, client: Any, bucket: str
    ) -> tuple[BucketAddress | None, Credentials]:
        """Return where botocore would send requests, and the credentials it would sign them with.

        They are those of this moment: botocore chooses them anew for each request, too.
        """
        if bucket not in self._addresses:
            self._addresses[bucket] = address_of(client, bucket)
        address = self._addresses[bucket]
        credentials = client._request_signer._credentials if address and address[1] else None
        if credentials is None:
            return address, ANONYMOUS
        frozen = credentials.get_frozen_credentials()
        return address, (frozen.access_key, frozen.secret_key, frozen.token or "")


def unsendable(request_options: Mapping[str, str] | None) -> list[str]:
    """Return the names of the options that obstore cannot send."""
    return [name for name, value in (request_options or {}).items() if _PAYER.get(name) != value]


def _is_plain(key: str, version_id: str | None) -> bool:
    return bool(_PLAIN_KEY.fullmatch(key)) and bool(_PLAIN_VERSION.fullmatch(version_id or ""))


def _max_attempts(client: Any) -> int:
    """Return how often botocore would send a request that fails."""
    retries = client.meta.config.retries or {}
    return int(
        retries.get("total_max_attempts")
        or _ATTEMPTS.get(str(retries.get("mode")), _DEFAULT_ATTEMPTS)
    )


#: Whether this process was forked from one that had loaded obstore. The threads that do obstore's
#: work stay in the parent, and a request would wait for ever (tokio issue 4301).
_lost_in_fork = False
#: Stores of the parent, which are never freed.
_abandoned: list[object] = []


class _ForkedObstore:
    """Notes in a child, also one that a server in C has forked, that obstore's threads are gone."""

    def forked(self) -> None:
        global _lost_in_fork
        _lost_in_fork = "obstore" in sys.modules


_forked_obstore = _ForkedObstore()
reset_in_children(_forked_obstore)
