"""Responses that refuse a GET, as far as they are understood without boto3."""

from __future__ import annotations

from ...common.handler_exceptions import reraise_from_handler
from ..s3.errors import CREDENTIALS, LATER, RefusalError
from .errors import NotUnderstoodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .response import Response

#: Bytes of a refusal that are read.
_MAX_REFUSAL = 64 * 1024
#: Statuses below 500 and their codes (None: any) that are understood. All others are left to boto3,
#: which knows more of other regions, clocks and signatures.
_UNDERSTOOD = {
    400: CREDENTIALS | LATER,
    401: None,
    403: {"", "AccessDenied", "AllAccessDisabled", "Forbidden", "InvalidObjectState", "403"}
    | {"NotSignedUp", *CREDENTIALS},
    404: None,
    405: {"MethodNotAllowed"},
    412: None,
    416: None,
    429: None,
}


def refusal(response: Response) -> RefusalError:
    """Read a response that is neither success nor a 304, and return it as an error.

    Raises :class:`NotUnderstoodError` if only boto3 can tell what it means.
    """
    status = response.status
    try:
        body = response.read_all(_MAX_REFUSAL)
    except OSError as error:
        reraise_from_handler(error)
        response.close()
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
