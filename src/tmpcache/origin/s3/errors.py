"""Translates the errors of S3, botocore and the network into those of tmpcache."""

from __future__ import annotations

import re
import sys

from ...common.handler_exceptions import reraise_from_handler
from ...common.objects import ObjectName
from ...errors import (
    TOO_MANY_FILES,
    AccessDeniedError,
    ConfigError,
    IntegrityError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
    TmpCacheError,
    is_out_of_files,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    #: Bucket, key and version: formatted only for an error.
    Subject = tuple[str, str, str | None]

#: Codes that S3 sends with status 400 although they are about the credentials.
CREDENTIALS = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"}
#: Codes that mean "later", whatever their status.
LATER = {
    "InternalError",
    "RequestTimeout",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}
#: Of a request that was signed for another region than the bucket's.
_OTHER_REGION = "AuthorizationHeaderMalformed"
_HINTS = {
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidAccessKeyId": "S3 does not know this access key id: check the credentials",
    "InvalidObjectState": "the object is archived: restore it first",
    "NoSuchBucket": "there is no such bucket at this endpoint: check its name, region and endpoint",
    "NoSuchVersion": "the object has no such version",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "SignatureDoesNotMatch": "the secret key does not fit the access key id: check the credentials",
}


#: What else S3 refuses with 403.
_ALSO_DENIED = {
    "s3:GetObject": "; without s3:ListBucket S3 says this of a missing key, too",
    "s3:PutObject": "; the bucket's policy may demand an option, such as ServerSideEncryption or "
    "ACL, which request_options= of put can give",
}
_REDIRECTED = (
    "the endpoint answers with a redirect, which is followed only where S3 names the bucket's "
    "region: check the endpoint URL, and AWS_DEFAULT_REGION"
)
#: Packages whose exceptions are failures of a request; others come from hooks of the caller's.
_BOTOCORES = ("botocore.exceptions", "botocore.compat")
_CLIENTS = {"boto3", "botocore", "awscrt", "s3transfer", "urllib3", "obstore", "moto", "responses"}


class RefusalError(Exception):
    """A response that refuses a request which was sent without botocore.

    It has the same `response` as botocore's ClientError.
    """

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(f"{code or status}: {message}")
        self.response = {
            "Error": {"Code": code or str(status), "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }


class BrokenError(ConnectionError):
    """The connection ended before the response did."""


def is_of_the_client(error: Exception) -> bool:
    """Return whether an exception is of a kind that the client, or Python itself, raises."""
    if isinstance(error, (RefusalError, BrokenError)):
        return True
    package = type(error).__module__.partition(".")[0]
    return package in _CLIENTS or package in sys.stdlib_module_names


def status_of(error: Exception) -> int:
    """Return the HTTP status of a ClientError; its code may be the number as text (a bare 304)."""
    response = getattr(error, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(status) if str(status).isdigit() else 0


def refuses_condition(error: Exception, *conditions: str) -> bool:
    """Return whether a server says that it does not know the conditions of a GetObject."""
    status, code = status_of(error), _detail(error).get("Code")
    if "IfNoneMatch" in conditions:
        return status in (412, 501) or (status == 400 and code not in CREDENTIALS)
    return status == 501 and "IfMatch" in conditions


def _detail(error: Exception) -> Mapping[str, Any]:
    detail: Mapping[str, Any] = (getattr(error, "response", None) or {}).get("Error", {})
    return detail


def named(subject: Subject) -> ObjectName:
    """Return the object that a request is about, as errors name it."""
    return ObjectName("", *subject)


def translated(
    error: Exception, subject: Subject, permission: str = "s3:GetObject", scope: str | None = ""
) -> TmpCacheError:
    """Return the error to raise for an exception that a request for an object has raised.

    `permission` is what the credentials need for the request, and `scope` is theirs. An exception
    of a signal handler is raised as it is, and so is one of a hook of the caller's.
    """
    reraise_from_handler(error, sys._getframe(1))
    if not is_of_the_client(error):
        raise error
    translation = _translated(error, subject, permission)
    if isinstance(translation, OriginError):
        translation.scope = scope
    return translation


def _translated(error: Exception, names: Subject, permission: str) -> TmpCacheError:
    bucket, key, subject = names[0], names[1], str(named(names))
    if isinstance(error, RefusalError):
        return _answer(error, bucket, key, subject, permission)
    if type(error).__module__ not in _BOTOCORES and isinstance(error, OSError):
        return _unreachable(error, bucket, key, subject)
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _answer(error, bucket, key, subject, permission)
    no_credentials = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
    )
    if isinstance(error, no_credentials):
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
    # botocore follows S3 from region to region, for ever; its HTTP client wraps the end of that.
    wrapped = getattr(error, "kwargs", {}).get("error")
    if isinstance(error, RecursionError) or isinstance(wrapped, RecursionError):
        return OriginError(f"{subject}: {_REDIRECTED}.", bucket=bucket, key=key)
    no_response = (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, OSError)
    if is_out_of_files(error):
        return OriginUnavailableError(
            f"{subject}: S3 cannot be asked ({error}): {TOO_MANY_FILES}.", bucket=bucket, key=key
        )
    if isinstance(error, no_response) or type(error).__module__.startswith(("urllib3.", "http.")):
        return _unreachable(error, bucket, key, subject)
    return OriginError(f"{subject}: {type(error).__name__}: {error}", bucket=bucket, key=key)


def _unreachable(error: Exception, bucket: str, key: str, subject: str) -> OriginUnavailableError:
    return OriginUnavailableError(
        f"{subject}: S3 cannot be reached ({error}). Check network, endpoint, region and "
        "time-outs; stale_if_error= serves a known copy meanwhile.",
        bucket=bucket,
        key=key,
    )


def no_client(error: Exception) -> TmpCacheError:
    """Return the error to raise for what boto3 raised while it made a client."""
    from botocore import exceptions as boto

    kinds = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.TokenRetrievalError,
    )
    if isinstance(error, kinds):
        return AccessDeniedError(f"there are no AWS credentials ({error}): check where they are")
    return ConfigError(
        f"boto3 cannot make a client for S3 ({type(error).__name__}: {error}): check the AWS_* "
        "variables and the files in ~/.aws, or give the cache a client"
    )


def _answer(error: Exception, bucket: str, key: str, subject: str, permission: str) -> OriginError:
    detail = _detail(error)
    code, status = str(detail.get("Code", "")), status_of(error)
    text = f"{code} ({status})" if code and code != str(status) else f"status {status}"
    kind, hint = OriginError, str(detail.get("Message", "")) or "S3 gave no reason"
    if status == 404 or code == "NoSuchVersion" or (status == 405 and code == "MethodNotAllowed"):
        kind, hint = ObjectNotFoundError, "there is no such object: check bucket and key"
    elif status in (401, 403) or code in CREDENTIALS:
        kind = AccessDeniedError
        hint = f"check that these credentials have {permission} on it"
        hint += _ALSO_DENIED.get(permission, "")
    elif status in (412, 416) or code == "ConditionalRequestConflict":
        kind, hint = (
            ObjectChangedError,
            "the object is not what it was, or is being replaced: look at it and decide again",
        )
    elif status >= 500 or status == 429 or code in LATER:
        kind = OriginUnavailableError
        hint = "S3 fails or throttles: try later; stale_if_error= serves a known copy meanwhile"
    elif 300 <= status < 400:
        hint = _REDIRECTED
    elif code == _OTHER_REGION:
        hint += "; set AWS_DEFAULT_REGION to the bucket's region, or give the cache a client"
    hint = _HINTS.get(code, hint)
    if kind in (ObjectNotFoundError, AccessDeniedError) and re.search("%[0-9A-Fa-f]{2}", key):
        hint += (
            "; the key looks percent-encoded, as keys in S3's events are: "
            "urllib.parse.unquote_plus makes it the key of the object"
        )
    return kind(f"{subject}: S3 answered {text}: {hint}.", bucket=bucket, key=key)
