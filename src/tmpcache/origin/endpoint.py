"""Where S3 is, and as whom to ask it, told without importing boto3, or that only boto3 can tell.

The plain case is most of what there is: keys in the environment (every Lambda function) or in a
profile, AWS itself or one endpoint URL. Everything that this module does not know is *not plain*:
it never guesses. Tests compare what it tells with what botocore would send.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .scope import Keys


#: Regions whose endpoints follow from their names.
_REGION = re.compile(r"(?:us|eu|ap|sa|ca|me|af|il|mx|us-gov|cn)-[a-z]+-\d")
#: What may be signed for at an endpoint of somebody else's; not the pseudo regions of AWS.
_ANY_REGION = re.compile(r"(?!aws-global|s3-external|.*fips)[a-z0-9][a-z0-9-]*")
_ENDPOINT = re.compile(
    r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(\d+))?/?"
)
#: Hosts of AWS: what botocore makes of those as endpoint URLs is its own to know.
_OF_AWS = ("amazonaws", "amazon.", "aws.", ".aws", ".gov", "adc-e.uk", "api.cloud")
#: A bucket whose name can be part of a host name, and any bucket. Names with two dashes have
#: meanings: ``--x-s3``, ``--ol-s3``, ``xn--``.
_HOSTED = re.compile(r"(?!xn--|sthree-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]")


class NotPlainError(Exception):
    """Only boto3 knows; the text says why, in a few words."""


class Endpoint:
    """An S3, and who asks it."""

    __slots__ = ("host", "is_aws", "keys", "name", "port", "region", "scheme", "tries", "trust")

    def __init__(
        self, scheme: str, host: str, port: int, region: str, keys: Keys, tries: int, trust: str
    ) -> None:
        self.scheme, self.host, self.port = scheme, host, port
        #: For the signature.
        self.region, self.keys = region, keys
        #: How often botocore would ask.
        self.tries = tries
        #: A file of certificates; "" for those that botocore brings.
        self.trust = trust
        self.is_aws = False
        #: What tells it from others; see :func:`.scope.origin_name`.
        self.name = ""

    @property
    def url(self) -> str:
        """As botocore is told it."""
        return f"{self.scheme}://{self._authority(self.host)}"

    def address(self, bucket: str) -> tuple[str, str]:
        """The host to name for a bucket (with the port, unless it is the usual one), and its path.

        Raises :class:`NotPlainError` for what may be no name of a bucket, or a special one.
        """
        if not _BUCKET.fullmatch(bucket) or "--" in bucket or ".." in bucket:
            raise NotPlainError("the bucket's name")
        if self.is_aws and _HOSTED.fullmatch(bucket):
            return self._authority(f"{bucket}.{self.host}"), ""
        return self._authority(self.host), f"/{bucket}"

    def _authority(self, host: str) -> str:
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


def _elsewhere(url: str, region: str, keys: Keys, tries: int, trust: str) -> Endpoint:
    parts = _ENDPOINT.fullmatch(url)
    if parts is None or any(domain in url for domain in _OF_AWS):
        raise NotPlainError("the endpoint URL")
    region = region or "us-east-1"
    if not _ANY_REGION.fullmatch(region):
        raise NotPlainError("the region")
    scheme, host, port = parts.groups()
    number = int(port) if port else 443 if scheme == "https" else 80
    if not 0 < number < 65536:
        raise NotPlainError("the port")
    return Endpoint(scheme, host, number, region, keys, tries, trust)


def _at_aws(region: str, keys: Keys, tries: int, trust: str) -> Endpoint:
    region = region or "us-east-1"
    if not _REGION.fullmatch(region):
        raise NotPlainError("the region")
    host = "s3.amazonaws.com" if region == "us-east-1" else f"s3.{region}.amazonaws.com"
    if region.startswith("cn-"):
        host += ".cn"
    found = Endpoint("https", host, 443, region, keys, tries, trust)
    found.is_aws = True
    return found


# ---- the configuration files --------------------------------------------------------------------
