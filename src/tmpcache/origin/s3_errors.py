"""What S3 and botocore say when something is wrong, in this project's errors."""

from __future__ import annotations

import sys

from ..errors import (
    AccessDeniedError,
    ConfigError,
    IntegrityError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
    TmpCacheError,
)
from ..interruption import let_through
from ..objects import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: Bucket, key and version: named in full only when there is something to say of them.
    Subject = tuple[str, str, str | None]

#: Codes that S3 sends with status 400 although they are about who asks.
_CREDENTIALS = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"}
#: Codes that mean "later", whatever their status.
_LATER = {
    "InternalError",
    "RequestTimeout",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
_HINTS = {
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidAccessKeyId": "S3 does not know this access key id: check the credentials",
    "InvalidObjectState": "the object is archived: restore it first",
    "NoSuchBucket": "there is no such bucket at this endpoint: check its name, region and endpoint",
    "NoSuchVersion": "the object has no such version",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "SignatureDoesNotMatch": "the secret key does not fit the access key id: check the credentials",
}


#: Whose exceptions are the client's way to fail; others come from hooks of the caller's.
_CLIENTS = {"boto3", "botocore", "awscrt", "s3transfer", "urllib3", "obstore", "moto", "responses"}


def is_of_the_client(error: Exception) -> bool:
    """Whether an exception is of a kind that the client, or Python itself, raises."""
    package = type(error).__module__.partition(".")[0]
    return package in _CLIENTS or package in sys.stdlib_module_names


def status_of(error: Exception) -> int:
    """The HTTP status of a ClientError; botocore's code may be the number as text (a bare 304)."""
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(status) if str(status).isdigit() else 0


def named(subject: Subject) -> ObjectName:
    """What was asked for, as errors name it."""
    return ObjectName("", *subject)


def translated(error: Exception, asked: Subject, right: str = "s3:GetObject") -> TmpCacheError:
    """The error to raise for what boto3 raised while it asked for an object.

    `right` is what the credentials need for that. What a signal handler raised meanwhile is raised
    from here, untranslated.
    """
    let_through(error, sys._getframe(1))
    if not is_of_the_client(error):
        raise error
    from botocore import exceptions as boto

    bucket, key, subject = asked[0], asked[1], str(named(asked))
    if isinstance(error, boto.ClientError):
        return _answer(error, bucket, key, subject, right)
    if isinstance(error, (boto.NoCredentialsError, boto.CredentialRetrievalError)):
        return AccessDeniedError(
            f"{subject}: there are no AWS credentials ({error}). Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the cache a client.",
            bucket=bucket,
            key=key,
        )
    if isinstance(error, (boto.ParamValidationError, boto.InvalidRegionError)):
        return ConfigError(f"{subject} cannot be asked for: {error}")
    if isinstance(error, boto.FlexibleChecksumError):
        return IntegrityError(
            f"{subject}: the bytes that arrived do not fit S3's checksum ({error}). Nothing was "
            "kept; try again."
        )
    lost = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, OSError)
    if isinstance(error, lost) or type(error).__module__.startswith(("urllib3.", "http.")):
        return OriginUnavailableError(
            f"{subject}: S3 cannot be reached ({error}). Check network, endpoint and time-outs; "
            "stale_if_error= serves a known copy meanwhile.",
            bucket=bucket,
            key=key,
        )
    return OriginError(f"{subject}: {type(error).__name__}: {error}", bucket=bucket, key=key)


def _answer(error: Exception, bucket: str, key: str, subject: str, right: str) -> OriginError:
    detail = getattr(error, "response", {}).get("Error", {})
    code, status = str(detail.get("Code", "")), status_of(error)
    text = f"{code} ({status})" if code and code != str(status) else f"status {status}"
    kind, hint = OriginError, str(detail.get("Message", "")) or "S3 gave no reason"
    if status == 404 or code == "NoSuchVersion" or (status == 405 and code == "MethodNotAllowed"):
        kind, hint = ObjectNotFoundError, "there is no such object: check bucket and key"
    elif status in (401, 403) or code in _CREDENTIALS:
        kind = AccessDeniedError
        hint = f"check that these credentials have {right} on it"
        if right == "s3:GetObject":
            hint += "; without s3:ListBucket S3 says this of a missing key, too"
    elif status in (412, 416) or code == "ConditionalRequestConflict":
        kind, hint = (
            ObjectChangedError,
            "the object is not what it was, or is being replaced: look at it and decide again",
        )
    elif status >= 500 or status == 429 or code in _LATER:
        kind = OriginUnavailableError
        hint = "S3 fails or throttles: try later; stale_if_error= serves a known copy meanwhile"
    elif status in (301, 307, 308):
        hint = "the bucket is in another region: set AWS_DEFAULT_REGION, or give the cache a client"
    return kind(f"{subject}: S3 answered {text}: {_HINTS.get(code, hint)}.", bucket=bucket, key=key)
