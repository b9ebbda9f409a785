"""The keys that sign the requests of a boto3 client: the last one sent, and the next one.

botocore chooses the keys anew for each request: credentials are refreshed or replaced, and an event
handler may decide that a request is not signed. So a hook reads the keys off each request when it
is sent. The keys of the next request are those of the client's credentials, or unknown; finding out
sends nothing.
"""

from __future__ import annotations

import time
from threading import local

from ...common.interruption import raise_if_interrupted
from ..scope import ANONYMOUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.deadline import Deadline
    from ..scope import Keys
    from .errors import Subject

#: Sessions to remember. A session lasts five minutes, and botocore has one for each directory
#: bucket.
_MAX_SESSIONS = 1000
#: The event whose handlers decide whether and how a GetObject is signed.
_CHOOSE_SIGNER = "choose-signer.s3.GetObject"


class Signer:
    """Knows which keys sign the requests of one client."""

    def __init__(self, client: Any, name: str) -> None:
        """Add hooks to the client that note signatures; `name` is the origin's."""
        self.client, self.name = client, name
        #: Handlers that are all botocore's own, and so decide the same each time, and what they
        #: decided.
        self._handlers: object = None
        self._is_unsigned = False
        #: Credentials, their expiry, and the time from which on they would be refreshed.
        self._refresh: tuple[object, object, float | None] = None, None, None
        #: The keys that requested a session, by its token. Requests to directory buckets are signed
        #: with the keys of a session.
        self._sessions: dict[str, Keys | None] = {}
        events = client.meta.events
        events.register_last("before-send.s3", _note, unique_id="tmpcache-signature")
        events.register_last(
            "after-call.s3.CreateSession", _note_session, unique_id="tmpcache-session"
        )

    def next(self) -> Keys | None:
        """Return the keys that will sign the next GetObject; None if that is not known."""
        try:
            if self._signs_nothing():
                return ANONYMOUS
            credentials = self.client._request_signer._credentials
            return None if self._needs_refresh(credentials) else _keys(credentials)
        except Exception as error:  # no credentials, or of a class that we do not know
            raise_if_interrupted(error)
            return None

    def of(self, request: Any) -> Keys | None:
        """Return the keys that have signed a request; None if they are not the client's."""
        headers = request.headers
        signature, token = (
            _text(headers.get(name)) for name in ("Authorization", "X-Amz-Security-Token")
        )
        if not signature:
            return None if "Signature=" in request.url else ANONYMOUS
        if session := headers.get("X-Amz-S3session-Token"):
            return self._sessions.get(_text(session))
        try:
            keys = _keys(self.client._request_signer._credentials)
        except Exception as error:
            raise_if_interrupted(error)
            return None
        if keys is None or token != keys[2]:
            return None
        return keys if f" {keys[0]}:" in signature or f"={keys[0]}/" in signature else None

    def begin_session(self, token: str, keys: Keys | None) -> None:
        """Note the keys that requested a session: requests with its token have their scope."""
        if len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.clear()
        self._sessions[token] = keys

    def _needs_refresh(self, credentials: Any) -> bool:
        """Return whether botocore would refresh the credentials before it signs with them.

        Their own answer to that takes 30 µs, so the moment is computed once for each expiry.
        """
        expiry = getattr(credentials, "_expiry_time", None)
        if expiry is None:
            return False
        known_credentials, known_expiry, refresh_at = self._refresh
        if credentials is not known_credentials or expiry is not known_expiry:
            refresh_at = _refresh_time(credentials, expiry)
            self._refresh = credentials, expiry, refresh_at
        if refresh_at is None:
            return bool(credentials.refresh_needed())
        return time.time() >= refresh_at

    def _signs_nothing(self) -> bool:
        """Return whether a handler, or the client's configuration, has requests not signed."""
        events = self.client.meta.events
        emitter = getattr(events, "_emitter", events)  # registering a handler empties its cache
        handlers = getattr(emitter, "_lookup_cache", {}).get(_CHOOSE_SIGNER)
        if handlers is None or handlers is not self._handlers:
            from botocore import UNSIGNED

            signer = self.client._request_signer
            version = signer._choose_signer("GetObject", "standard", {})
            self._is_unsigned = version is UNSIGNED
            handlers = getattr(emitter, "_lookup_cache", {}).get(_CHOOSE_SIGNER)
            self._handlers = handlers if _is_botocores(handlers) else None
        return self._is_unsigned


def _keys(credentials: Any) -> Keys | None:
    """Return the keys of credentials as they are now, without a refresh.

    `get_frozen_credentials` of refreshable credentials would request others when they are due.
    """
    frozen = getattr(credentials, "_frozen_credentials", credentials)
    if frozen is credentials:
        frozen = credentials.get_frozen_credentials()
    if frozen is None or not frozen.access_key:
        return None
    return frozen.access_key, frozen.secret_key, frozen.token or ""


def _refresh_time(credentials: Any, expiry: Any) -> float | None:
    """Return when botocore will refresh credentials; None if only their class can tell."""
    from botocore import credentials as own

    kinds = own.RefreshableCredentials, own.DeferredRefreshableCredentials
    if type(credentials) not in kinds or credentials._time_fetcher is not getattr(
        own, "_local_now", None
    ):
        return None
    return float(expiry.timestamp() - credentials._advisory_refresh_timeout)


def _is_botocores(handlers: Any) -> bool:
    """Return whether all handlers are defined in botocore."""
    return bool(handlers) and all(
        str(getattr(handler, "__module__", "")).startswith("botocore.") for handler in handlers
    )


def _text(header: Any) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header or "")


class Question:
    """A call of botocore under way in one thread, as the hooks in its client need it."""

    __slots__ = ("deadline", "is_sent", "keys", "signer", "subject")

    def __init__(self, signer: Signer, subject: Subject, deadline: Deadline | None) -> None:
        self.signer, self.subject, self.deadline = signer, subject, deadline
        #: Whether a request has been sent: a stand-in for S3 may answer without one.
        self.is_sent = False
        #: The keys that the last request was signed with; None if unknown.
        self.keys: Keys | None = None


class _Here(local):
    question: Question | None = None


#: The call under way in this thread. A refresh of credentials may make a further one meanwhile.
here = _Here()


def _note(request: Any, **_: object) -> None:
    """Note who signed a request. A hook, called for each try after it was signed."""
    if (question := here.question) is not None:
        question.keys, question.is_sent = question.signer.of(request), True


def _note_session(parsed: Any, **_: object) -> None:
    """Note who requested a session. A hook, called with the response of CreateSession."""
    token = parsed.get("Credentials", {}).get("SessionToken")
    if token and (question := here.question) is not None:
        question.signer.begin_session(token, question.keys)
