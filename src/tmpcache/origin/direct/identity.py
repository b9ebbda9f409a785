"""The credentials that sign requests, with their signature and their scope."""

from __future__ import annotations

from ...common.handler_exceptions import reraise_from_handler
from .. import scope as scopes
from ..s3.errors import translated
from .errors import NotUnderstoodError
from .sigv4 import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..endpoint import Endpoint
    from ..s3.errors import Subject
    from ..scope import Credentials


class Identity:
    """One set of credentials: how it signs, and the scope of what S3 answers to it.

    They are one object: a request that was signed with these credentials is never taken for one of
    another scope, whatever other threads do meanwhile.
    """

    __slots__ = ("credentials", "scope", "signature")

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, options: Mapping[str, str]
    ) -> None:
        self.credentials = credentials
        self.signature = Signature(credentials, endpoint.region)
        self.scope = scopes.of_request(endpoint.name, credentials, options)


class Identities:
    """The identity of each next request: always the same, or that of credentials which change."""

    def __init__(self, endpoint: Endpoint, options: Mapping[str, str]) -> None:
        self._endpoint, self._options = endpoint, options
        #: The last one; None before the first request with credentials of a chain.
        self._last: Identity | None = None
        if endpoint.credentials is not None:
            self._last = Identity(endpoint, endpoint.credentials, options)

    def now(self, subject: Subject) -> Identity:
        """Return the identity that signs a request now; botocore refreshes its credentials before.

        Raises the errors of tmpcache if there are no credentials, and
        :class:`.errors.NotUnderstoodError` for some that only botocore can sign with.
        """
        last, chain = self._last, self._endpoint.chain
        if chain is None:
            assert last is not None
            return last
        try:
            credentials = chain.now()
        except Exception as error:
            reraise_from_handler(error)
            raise translated(error, subject, scope=None) from error
        if last is None or last.credentials != credentials:
            from ..configuration import can_sign

            if not can_sign(credentials):
                raise NotUnderstoodError("credentials that are not ASCII")
            last = self._last = Identity(self._endpoint, credentials, self._options)
        return last
