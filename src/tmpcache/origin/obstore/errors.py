"""Translates obstore's exceptions into botocore's, which :mod:`..s3.errors` translates further.

obstore has exceptions of their own for some statuses, and one for everything else. Each carries a
text of the crate object_store: the status and S3's response, or the error of the HTTP client; below
it are the parts of that error, for debugging.
"""

from __future__ import annotations

import errno
import os
import re

from ..s3.errors import RefusalError, status_of
from .stores import NOWHERE

_STATUS = r" - Server returned non-2xx status code: (\d{3})"
#: Exceptions that stand for a status. Their texts begin with the key, whatever that looks like.
_STATUSES = {
    "FileNotFoundError": 404,
    "PermissionDeniedError": 403,
    "UnauthenticatedError": 401,
    "PreconditionError": 412,
    "NotModifiedError": 304,
    "AlreadyExistsError": 409,
}
_BARE_REDIRECT = " - Received redirect without LOCATION"
_HTTP_ERROR = "HTTP error: "
#: A response with an error status broke off before its text was read.
_CUT_OFF = " - HTTP error: request or response body error"
#: The kind of the HTTP client's error, and the system's message.
_KIND = r"HttpError \{\s*kind: (\w+)"
_SYSTEM = r'\bmessage: "([^"]*)"'
#: Statuses, and a code, of a bucket in another region than the request was signed for.
_REDIRECTS = (301, 307, 308)
_OTHER_REGION = "AuthorizationHeaderMalformed"


def as_botocore_error(error: Exception, key: str) -> Exception | None:
    """Return what botocore would have raised; None if the direct origin must repeat the request.

    There are four cases of None:

    * the server does not know a condition (501), and the other origin can leave it out;
    * the response has headers that obstore cannot parse, or lacks some that it needs;
    * the response redirects to another host, which obstore cannot reach (:data:`.stores.NOWHERE`);
    * a refusal broke off before it was read: it may be a 403, which must not pass for an outage.
    """
    text, _, parts = str(error).partition("\n\nDebug source")
    status = _STATUSES.get(type(error).__name__, 0)
    if status:
        text = text.partition(key)[2]
    found = re.search(_STATUS, text)
    if not status:
        status = int(found.group(1)) if found else 301 if _BARE_REDIRECT in text else 0
    if status == 501:
        return None
    if status:
        answer = text[found.end() :] if found else ""
        return RefusalError(status, _element("Code", answer), _element("Message", answer))
    if _HTTP_ERROR not in text or _CUT_OFF in text or NOWHERE in parts:
        return None
    kind, system = re.search(_KIND, parts), re.search(_SYSTEM, parts)
    if kind is not None and kind.group(1) == "Unknown" and system is None:
        return None  # such as a header that is not ASCII
    reason = system or kind
    text = text[text.find(_HTTP_ERROR) :] + (f": {reason.group(1)}" if reason else "")
    if reason is not None and reason.group(1) == os.strerror(errno.EMFILE):
        return OSError(errno.EMFILE, text)
    return OSError(text)


def is_in_another_region(error: Exception) -> bool:
    """Return whether S3 says that the bucket is in another region; boto3 finds out in which."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return status_of(error) in _REDIRECTS or code == _OTHER_REGION


def is_stale_connection(error: Exception) -> bool:
    """Return whether an idle connection may have been closed by the server, as during a freeze."""
    kind = re.search(_KIND, str(error))
    return kind is not None and kind.group(1) == "Request"


def _element(name: str, answer: str) -> str:
    from html import unescape

    return unescape(answer.partition(f"<{name}>")[2].partition(f"</{name}>")[0])
