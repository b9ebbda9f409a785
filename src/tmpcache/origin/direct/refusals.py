"""Responses that refuse, as far as they are understood without boto3."""

from __future__ import annotations

from ...common.interruption import raise_if_interrupted
from ..s3.errors import CREDENTIALS, LATER, RefusalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connections import Answer


class NotUnderstoodError(Exception):
    """Only boto3 can tell what this answer means."""


#: Bytes of a refusal that are read.
_REFUSAL = 64 * 1024


#: Refusals that say all there is to say; all other ones are left to boto3, which knows more: of
#: other regions, of clocks, of signatures.
_UNDERSTOOD = {
    401: None,
    403: {"", "AccessDenied", "AllAccessDisabled", "Forbidden", "InvalidObjectState", "403"}
    | {"NotSignedUp", *CREDENTIALS},
    404: None,
    405: {"MethodNotAllowed"},
    412: None,
    416: None,
    429: None,
    400: CREDENTIALS | LATER,
}


def _refusal(answer: Answer) -> RefusalError:
    """What an answer says that is none of success, as far as it is understood here."""
    status = answer.status
    try:
        body = answer.read_all(_REFUSAL)
    except OSError as error:
        raise_if_interrupted(error)
        answer.close()
        raise NotUnderstoodError(f"an answer of status {status} broke off") from error
    text = body.decode("utf-8", "replace")
    code, message = _element("Code", text), _element("Message", text)
    if status < 500 and (status not in _UNDERSTOOD or (text.strip() and not code)):
        raise NotUnderstoodError(f"an answer of status {status} ({code or 'no code'})")
    codes = _UNDERSTOOD.get(status)
    if codes is not None and code not in codes:
        raise NotUnderstoodError(f"an answer of status {status} ({code or 'no code'})")
    return RefusalError(status, code, message)


def _element(name: str, text: str) -> str:
    value = text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    if "&" in value:
        from html import unescape

        value = unescape(value)
    return value
