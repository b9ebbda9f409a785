"""What obstore says when something is wrong, in botocore's words, which :mod:`.s3_errors` knows.

obstore has exceptions of their own for some statuses, and one for all else. Each carries a text of
object_store's: the status and S3's answer, or what the HTTP client met with; below it, its parts,
for debugging.
"""

from __future__ import annotations

import errno
import os
import re
from html import unescape

from ..s3.errors import RefusalError, status_of
from .stores import NOWHERE

_STATUS = re.compile(r" - Server returned non-2xx status code: (\d{3})")
#: Exceptions that say it by their kind; their texts begin with the key, whatever that looks like.
_STATUSES = {
    "FileNotFoundError": 404,
    "PermissionDeniedError": 403,
    "UnauthenticatedError": 401,
    "PreconditionError": 412,
    "NotModifiedError": 304,
    "AlreadyExistsError": 409,
}
_BARE_REDIRECT = " - Received redirect without LOCATION"
_LOST = "HTTP error: "
#: An answer whose status was bad began to arrive, and broke before it was known what it says.
_UNHEARD = " - HTTP error: request or response body error"
#: What the HTTP client met with, and the system's word for it.
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_SYSTEM = re.compile(r'\bmessage: "([^"]*)"')
#: A bucket in another region than was signed for, by status or by code.
_REDIRECTS = (301, 307, 308)
_OTHER_REGION = "AuthorizationHeaderMalformed"


def as_botocore_error(error: Exception, key: str) -> Exception | None:
    """What botocore would have raised; None if only boto3 can find out what is the matter.

    That is so where an answer has headers that obstore cannot do with (or without), where it was
    led to another host and did not go there, and where a refusal broke off before it was read: it
    may be a 403, which must not pass for an outage.
    """
    text, _, parts = str(error).partition("\n\nDebug source")
    status = _STATUSES.get(type(error).__name__, 0)
    if status:
        text = text.partition(key)[2]
    found = _STATUS.search(text)
    if not status:
        status = int(found.group(1)) if found else 301 if _BARE_REDIRECT in text else 0
    if status == 501:  # boto3's way knows what to leave out then
        return None
    if status:
        answer = text[found.end() :] if found else ""
        return RefusalError(status, _element("Code", answer), _element("Message", answer))
    if _LOST not in text or _UNHEARD in text or NOWHERE in parts:
        return None
    kind, system = _KIND.search(parts), _SYSTEM.search(parts)
    if kind is not None and kind.group(1) == "Unknown" and system is None:
        return None  # such as a header that is not ASCII
    reason = system or kind
    text = text[text.find(_LOST) :] + (f": {reason.group(1)}" if reason else "")
    if reason is not None and reason.group(1) == os.strerror(errno.EMFILE):
        return OSError(errno.EMFILE, text)
    return OSError(text)


def is_elsewhere(error: Exception) -> bool:
    """Whether S3 says that the bucket is in another region; boto3 finds out in which."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return status_of(error) in _REDIRECTS or code == _OTHER_REGION


def is_stale_connection(error: Exception) -> bool:
    """Whether a connection may just have been too old: closed by the server, as after a freeze."""
    kind = _KIND.search(str(error))
    return kind is not None and kind.group(1) == "Request"


def _element(name: str, answer: str) -> str:
    return unescape(answer.partition(f"<{name}>")[2].partition(f"</{name}>")[0])
