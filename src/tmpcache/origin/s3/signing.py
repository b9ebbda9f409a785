"""The credentials that sign the requests of a boto3 client: the last one sent, and the next one.

botocore chooses them anew for each request: credentials are refreshed or replaced, and an event
handler may decide that a request is not signed. So a hook reads them off each request when it is
sent. The credentials of the next request are the client's, or unknown; finding out sends nothing.
"""

from __future__ import annotations

from threading import local

from ...common.handler_exceptions import reraise_from_handler
from ..scope import ANONYMOUS
from .credentials import RefreshTime, frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.deadline import Deadline
    from ..scope import Credentials
    from .errors import Subject

#: Sessions to remember. A session lasts five minutes, and botocore has one for each directory
#: bucket.
_MAX_SESSIONS = 1000
#: The event whose handlers decide whether and how a GetObject is signed.
_CHOOSE_SIGNER = "choose-signer.s3.GetObject"


class Signer:
    """Knows which credentials sign the requests of one client."""

    def __init__(self, client: Any, name: str) -> None:
        """Add hooks to the client that note signatures; `name` is the origin's."""
        self.client, self.name = client, name
        #: Handlers that are all botocore's own, and so decide the same each time, and what they
        #: decided.
        self._handlers: object = None
        self._is_unsigned = False
        self._refresh_time = RefreshTime()
        #: The credentials that requested a session, by its token. Requests to directory buckets are
        #: signed with those of a session.
        self._sessions: dict[str, Credentials | None] = {}
        events = client.meta.events
        events.register_last("before-send.s3", _note, unique_id="tmpcache-signature")
        events.register_last(
            "after-call.s3.CreateSession", _note_session, unique_id="tmpcache-session"
        )

    def next(self) -> Credentials | None:
        """Return the credentials that will sign the next GetObject; None if not known."""
        try:
            if self._signs_nothing():
                return ANONYMOUS
            credentials = self.client._request_signer._credentials
            return None if self._refresh_time.has_come(credentials) else frozen(credentials)
        except Exception as error:  # no credentials, or of a class that we do not know
            reraise_from_handler(error)
            return None

    def of(self, request: Any) -> Credentials | None:
        """Return the credentials that have signed a request; None if not the client's."""
        headers = request.headers
        signature, token = (
            _text(headers.get(name)) for name in ("Authorization", "X-Amz-Security-Token")
        )
        if not signature:
            return None if "Signature=" in request.url else ANONYMOUS
        if session := headers.get("X-Amz-S3session-Token"):
            return self._sessions.get(_text(session))
        try:
            held = frozen(self.client._request_signer._credentials)
        except Exception as error:
            reraise_from_handler(error)
            return None
        if held is None or token != held[2]:
            return None
        return held if f" {held[0]}:" in signature or f"={held[0]}/" in signature else None

    def begin_session(self, token: str, credentials: Credentials | None) -> None:
        """Note who requested a session: requests with its token have that scope."""
        if len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.clear()
        self._sessions[token] = credentials

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


def _is_botocores(handlers: Any) -> bool:
    """Return whether all handlers are defined in botocore."""
    return bool(handlers) and all(
        str(getattr(handler, "__module__", "")).startswith("botocore.") for handler in handlers
    )


def _text(header: Any) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header or "")


class Call:
    """A call of botocore under way in one thread, as the hooks in its client need it."""

    __slots__ = ("credentials", "deadline", "signer", "subject", "was_sent")

    def __init__(self, signer: Signer, subject: Subject, deadline: Deadline | None) -> None:
        self.signer, self.subject, self.deadline = signer, subject, deadline
        #: Whether a request has been sent: a stand-in for S3 may answer without one.
        self.was_sent = False
        #: The credentials that signed the last request; None if unknown.
        self.credentials: Credentials | None = None


class _Thread(local):
    call: Call | None = None


#: The call under way in this thread. A refresh of credentials may make a further one meanwhile.
current = _Thread()


def _note(request: Any, **_: object) -> None:
    """Note which credentials signed a request. A hook, called for each try after it was signed."""
    if (call := current.call) is not None:
        call.credentials, call.was_sent = call.signer.of(request), True


def _note_session(parsed: Any, **_: object) -> None:
    """Note which credentials requested a session. A hook, called after CreateSession."""
    token = parsed.get("Credentials", {}).get("SessionToken")
    if token and (call := current.call) is not None:
        call.signer.begin_session(token, call.credentials)
