"""An S3 endpoint: its host, its credentials, and the addresses of its buckets."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .s3.credentials import ChainCredentials
    from .scope import Credentials

    #: The host of a bucket, with the port unless it is the usual one, and the bucket's path there.
    Address = tuple[str, str]

#: Regions whose endpoints follow from their names.
_REGION = r"(?:us|eu|ap|sa|ca|me|af|il|mx|us-gov|cn)-[a-z]+-\d"
#: What may be signed for at an endpoint that is not AWS's; not the pseudo regions of AWS.
_ANY_REGION = r"(?!aws-global|s3-external|.*fips)[a-z0-9][a-z0-9-]*"
_ENDPOINT = r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(\d+))?/?"
#: Parts of AWS's own host names. botocore has rules of its own for such endpoint URLs.
_AWS_HOSTS = ("amazonaws", "amazon.", "aws.", ".aws", ".gov", "adc-e.uk", "api.cloud")
#: A bucket whose name can be part of a host name, and any bucket. Names with two dashes have
#: meanings: ``--x-s3``, ``--ol-s3``, ``xn--``.
_HOST_BUCKET = r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_BUCKET = r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]"


class NotPlainError(Exception):
    """Only boto3 can handle this configuration or bucket; the text says why, in a few words."""


class Endpoint:
    """An S3 endpoint and the credentials for it."""

    __slots__ = (
        *("ca_bundle", "credentials", "host", "is_aws", "max_attempts"),
        *("chain", "name", "port", "region", "retry_mode", "scheme", "url"),
    )

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        region: str,
        credentials: Credentials | None,
        max_attempts: int,
        ca_bundle: str,
    ) -> None:
        self.scheme, self.host, self.port = scheme, host, port
        #: For the signature; None if the credentials are those of a chain.
        self.region, self.credentials = region, credentials
        #: What botocore's chain of credential sources has found; None for static credentials.
        self.chain: ChainCredentials | None = None
        #: How often botocore would send a request that fails, the first time included.
        self.max_attempts = max_attempts
        #: botocore's name for the way in which it does so.
        self.retry_mode = "standard"
        #: A file of certificates; "" for those that botocore brings.
        self.ca_bundle = ca_bundle
        self.is_aws = False
        #: The endpoint URL as it is configured; "" for AWS itself.
        self.url = ""
        #: The name of the origin; see :func:`.scope.origin_name`.
        self.name = ""

    def address(self, bucket: str) -> Address:
        """Return the host and the path of a bucket.

        Raises :class:`NotPlainError` if this is no bucket's name, or that of a special one.
        """
        if not re.fullmatch(_BUCKET, bucket) or "--" in bucket or ".." in bucket:
            raise NotPlainError("the bucket's name")
        if self.is_aws and re.fullmatch(_HOST_BUCKET, bucket):
            return self._authority(f"{bucket}.{self.host}"), ""
        return self._authority(self.host), f"/{bucket}"

    def _authority(self, host: str) -> str:
        usual_port = 443 if self.scheme == "https" else 80
        return host if self.port == usual_port else f"{host}:{self.port}"


def endpoint_at(
    url: str, region: str, credentials: Credentials | None, max_attempts: int, ca_bundle: str
) -> Endpoint:
    """Return the endpoint at a URL that is not AWS's; raise :class:`NotPlainError` for others."""
    parts = re.fullmatch(_ENDPOINT, url)
    if parts is None or any(domain in url for domain in _AWS_HOSTS):
        raise NotPlainError("the endpoint URL")
    region = region or "us-east-1"
    if not re.fullmatch(_ANY_REGION, region):
        raise NotPlainError("the region")
    scheme, host, digits = parts.groups()
    port = int(digits) if digits else 443 if scheme == "https" else 80
    if not 0 < port < 65536:
        raise NotPlainError("the port")
    endpoint = Endpoint(scheme, host, port, region, credentials, max_attempts, ca_bundle)
    endpoint.url = url
    return endpoint


def aws_endpoint(
    region: str, credentials: Credentials | None, max_attempts: int, ca_bundle: str
) -> Endpoint:
    """Return AWS's endpoint in a region; raise :class:`NotPlainError` for special regions."""
    region = region or "us-east-1"
    if not re.fullmatch(_REGION, region):
        raise NotPlainError("the region")
    host = "s3.amazonaws.com" if region == "us-east-1" else f"s3.{region}.amazonaws.com"
    if region.startswith("cn-"):
        host += ".cn"
    endpoint = Endpoint("https", host, 443, region, credentials, max_attempts, ca_bundle)
    endpoint.is_aws = True
    return endpoint
