"""Who signs the requests of a boto3 client: the next one, and the one that was just sent.

botocore decides that anew for each request: credentials are refreshed or replaced, and event
handlers may have a request not signed at all. So it is read off each request when it is sent. Of
the next one it can be told without sending anything, or it is unknown.
"""

from __future__ import annotations

import time
from threading import local

from ...common.interruption import reraise_interrupt
from ..scope import ANONYMOUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.deadline import Deadline
    from ..scope import Keys
    from .errors import Subject

#: Sessions that are remembered: they last five minutes, and botocore has one for each bucket.
_MOST_SESSIONS = 1000
#: Which handlers botocore asks whether a GetObject is to be signed.
_CHOICE = "choose-signer.s3.GetObject"


class Signer:
    """The signatures of one client."""

    def __init__(self, client: Any, name: str) -> None:
        """Have signatures noted of what the client sends; `name` is whom it asks."""
        self.client, self.name = client, name
        #: Handlers of botocore's own that do not change their mind, and what they said.
        self._handlers: object = None
        self._is_unsigned = False
        #: Credentials, when they expire, and the time from which on they would be refreshed.
        self._due: tuple[object, object, float | None] = None, None, None
        #: Whose session a token stands for, of directory buckets: those sign with session keys.
        self._sessions: dict[str, Keys | None] = {}
        events = client.meta.events
        events.register_last("before-send.s3", _note, unique_id="tmpcache-signature")
        events.register_last(
            "after-call.s3.CreateSession", _note_session, unique_id="tmpcache-session"
        )

    def next(self) -> Keys | None:
        """The keys that the next GetObject will be signed with; None if that is not known."""
        try:
            if self._unsigned():
                return ANONYMOUS
            credentials = self.client._request_signer._credentials
            return None if self._is_due(credentials) else _keys(credentials)
        except Exception as error:  # credentials of somebody else's making, or none
            reraise_interrupt(error)
            return None

    def of(self, request: Any) -> Keys | None:
        """The keys that a request has been signed with; None if that was somebody else."""
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
            reraise_interrupt(error)
            return None
        if keys is None or token != keys[2]:
            return None
        return keys if f" {keys[0]}:" in signature or f"={keys[0]}/" in signature else None

    def begin_session(self, token: str, keys: Keys | None) -> None:
        """What this token is sent with is asked by whoever signed the request for the session."""
        if len(self._sessions) >= _MOST_SESSIONS:
            self._sessions.clear()
        self._sessions[token] = keys

    def _is_due(self, credentials: Any) -> bool:
        """Whether credentials would be refreshed first. They take 30 µs to tell that."""
        expiry = getattr(credentials, "_expiry_time", None)
        if expiry is None:
            return False
        whose, when, at = self._due
        if credentials is not whose or expiry is not when:
            at = _due_at(credentials, expiry)
            self._due = credentials, expiry, at
        return bool(credentials.refresh_needed() if at is None else time.time() >= at)

    def _unsigned(self) -> bool:
        """Whether a handler, or the client's configuration, says that nothing is to be signed."""
        events = self.client.meta.events
        emitter = getattr(events, "_emitter", events)  # registering a handler empties its cache
        handlers = getattr(emitter, "_lookup_cache", {}).get(_CHOICE)
        if handlers is None or handlers is not self._handlers:
            from botocore import UNSIGNED

            signer = self.client._request_signer
            version = signer._choose_signer("GetObject", "standard", {})
            self._is_unsigned = version is UNSIGNED
            handlers = getattr(emitter, "_lookup_cache", {}).get(_CHOICE)
            self._handlers = handlers if _is_botocores(handlers) else None
        return self._is_unsigned


def _keys(credentials: Any) -> Keys | None:
    """What credentials are now. Refreshable ones would ask for others if they were asked."""
    frozen = getattr(credentials, "_frozen_credentials", credentials)
    if frozen is credentials:
        frozen = credentials.get_frozen_credentials()
    if frozen is None or not frozen.access_key:
        return None
    return frozen.access_key, frozen.secret_key, frozen.token or ""


def _due_at(credentials: Any, expiry: Any) -> float | None:
    """When credentials will be refreshed; None if they are of a kind that may think otherwise."""
    from botocore import credentials as own

    kinds = own.RefreshableCredentials, own.DeferredRefreshableCredentials
    if type(credentials) not in kinds or credentials._time_fetcher is not getattr(
        own, "_local_now", None
    ):
        return None
    return float(expiry.timestamp() - credentials._advisory_refresh_timeout)


def _is_botocores(handlers: Any) -> bool:
    return bool(handlers) and all(
        str(getattr(handler, "__module__", "")).startswith("botocore.") for handler in handlers
    )


def _text(header: Any) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header or "")


class Question:
    """A call of botocore that is under way in a thread, for the hooks in its client."""

    __slots__ = ("deadline", "is_sent", "keys", "signer", "subject")

    def __init__(self, signer: Signer, subject: Subject, deadline: Deadline | None) -> None:
        self.signer, self.subject, self.deadline = signer, subject, deadline
        #: Whether a request has been sent at all: a stand-in may answer without any.
        self.is_sent = False
        #: The keys that the last request was signed with; None if unknown.
        self.keys: Keys | None = None


class _Here(local):
    question: Question | None = None


#: What the calling thread is asking. Whatever refreshes credentials may itself ask S3 meanwhile.
here = _Here()


def _note(request: Any, **_: object) -> None:
    """A hook: called for each try of a request, with its signature in place."""
    if (question := here.question) is not None:
        question.keys, question.is_sent = question.signer.of(request), True


def _note_session(parsed: Any, **_: object) -> None:
    """A hook: called with what S3 answered to the request for a session."""
    token = parsed.get("Credentials", {}).get("SessionToken")
    if token and (question := here.question) is not None:
        question.signer.begin_session(token, question.keys)
