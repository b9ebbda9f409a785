"""S3 without boto3 where that is plain: requests take a third of the time, the first one too.

The configuration is *plain* if :mod:`..configuration` can tell what boto3 would do with it:
endpoint, credentials and signature. Then this origin signs each request (:mod:`.sigv4`) and sends
it over a connection of a pool (:mod:`.connections`). In all other cases boto3 sends the request,
through the class that this one inherits from:

* listings and uploads;
* configurations, buckets and request options that are not plain;
* all requests while botocore is mocked, recorded or traced (:mod:`..hooked_botocore`);
* a response that is not understood: the request is repeated through boto3, and if that succeeds,
  boto3 sends the further requests for that bucket.

# Identity

Endpoint and credentials are resolved once, for the first request, and again after `close` and in a
forked child. Credentials of roles are botocore's objects, which it refreshes: the scope of a reply
is that of the credentials that signed its request. A boto3 client that the same origin makes later
gets the same endpoint, the same credentials and the same settings, even if the environment has
changed by then.
"""

from __future__ import annotations

import os
import sys

from ...common.handler_exceptions import reraise_from_handler
from .. import Reply, Unchanged
from ..s3 import parameters
from ..s3.origin import S3Origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Unpack

    from ..endpoint import Address
    from ..protocol import GetOptions
    from ..s3.credentials import ChainCredentials
    from ..s3.signing import Signer
    from .client import Client


class DirectOrigin(S3Origin):
    """Objects in S3 as the environment describes it, without boto3 where that is plain."""

    def __init__(self, request_options: Mapping[str, str] | None = None) -> None:
        #: None if boto3 sends all requests, or if nothing was resolved yet.
        self._client: Client | None = None
        self._is_resolved = False
        #: Why boto3 sends all requests; "" if it does not.
        self._reason = ""
        self._last_logged = ""
        super().__init__(None, request_options)

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | Unchanged:
        """Send one GetObject: without boto3 if that is plain, else through boto3."""
        client, address = self._route(bucket)
        if client is None or address is None:
            return super().get(bucket, key, version_id, **options)
        from .body import reply_from
        from .errors import NotUnderstoodError
        from .request import Request

        request = Request(address, (bucket, key, version_id), client.option_headers, options)
        if not request.is_sendable:
            return super().get(bucket, key, version_id, **options)
        try:
            response = client.send(request)
        except NotUnderstoodError as error:
            reraise_from_handler(error)
            reply = super().get(bucket, key, version_id, **options)
            client.addresses[bucket] = None
            self._log(f"boto3 for s3://{bucket}", str(error))
            return reply
        if response is None:
            return Unchanged(request.scope)
        etag = options.get("if_none_match")
        if etag and response.headers.get("etag") == etag:  # a server that sends 200 for 304
            response.close()
            return Unchanged(request.scope)
        return reply_from(response, request)

    def close(self) -> None:
        """Close all connections, boto3's too. The next request resolves the configuration anew."""
        super().close()
        self._forget_client()

    def forked(self) -> None:
        """Drop the parent's connections: the child may have other credentials."""
        super().forked()
        self._forget_client()

    def _forget_client(self) -> None:
        client, self._client = self._client, None
        self._is_resolved = False
        self._fixed_scope = self._fixed_name = None
        if client is not None:
            client.pool.close()

    def _boto3_signer(self) -> Signer:
        """Return the boto3 client in use, which has the credentials that were resolved first."""
        if self._pid != os.getpid():
            self.forked()
        if not self._is_resolved:
            from ..hooked_botocore import hook

            self._resolve(hook())
        return super()._boto3_signer()

    def _source(self) -> Signer | ChainCredentials | None:
        client = self._client
        return super()._source() if client is None else client.endpoint.chain

    def _make_client(self) -> Any:
        from ..s3.client import make_client

        client = self._client
        return make_client(None if client is None else client.endpoint)

    def explain(self) -> tuple[str, str]:
        """Return what would send the next request, ``"direct"`` or ``"boto3"``, and why."""
        from ..hooked_botocore import hook

        hooked = hook()
        if not self._is_resolved:
            self._resolve(hooked)
        reason = hooked or self._reason
        return ("boto3", reason) if reason else ("direct", "all is plain")

    def _route(self, bucket: str) -> tuple[Client | None, Address | None]:
        """Return what sends the requests for a bucket, and where to; an address of None: boto3."""
        from ..hooked_botocore import hook

        if self._pid != os.getpid():
            self.forked()
        hooked = hook()
        if not self._is_resolved:
            self._resolve(hooked)
        client = self._client
        if hooked or client is None:
            if hooked:
                self._log("boto3", hooked)
            return None, None
        addresses = client.addresses
        if bucket not in addresses and (reason := client.resolve(bucket)):
            self._log(f"boto3 for s3://{bucket}", reason)
        return client, addresses[bucket]

    def _resolve(self, hooked: str) -> None:
        """Resolve endpoint and credentials, or find that boto3 must send the requests."""
        with self._lock:
            if self._is_resolved:
                return
            headers = parameters.as_headers(self._options)
            if hooked:
                reason = hooked
            elif headers is None:
                reason = "the request options"
            else:
                reason = self._connect(headers)
            self._is_resolved, self._reason = True, reason
        self._log("boto3" if reason else "direct", reason or "all is plain")

    def _connect(self, option_headers: dict[str, str]) -> str:
        """Make the client; return why boto3 must send the requests, "" if it need not."""
        from ..configuration import resolve
        from ..endpoint import NotPlainError

        try:
            endpoint = resolve()
        except NotPlainError as reason:
            return str(reason)
        from .client import Client

        self._fixed_scope = self._scope_of(endpoint.name, endpoint.credentials)
        self._fixed_name = endpoint.name
        self._client = Client(endpoint, self._options, option_headers)
        return ""

    def _log(self, sender: str, reason: str) -> None:
        """Log, once for each change, what sends the requests and why.

        Importing logging takes 3 ms, so there is no line in a process that has not imported it.
        """
        line = f"S3 is asked through {sender}: {reason}"
        if "logging" in sys.modules and self._last_logged != line:
            self._last_logged = line
            sys.modules["logging"].getLogger("tmpcache").debug("%s", line)
