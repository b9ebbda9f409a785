"""What S3 asks for requests, and how many it answers.

Prices are those of S3 Standard in us-east-1 in 2026 (https://aws.amazon.com/s3/pricing/).
S3 answers at least 5,500 GETs a second for each prefix, and refuses others with 503
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html); more after some
minutes of them, on which nobody should count.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Dollars for one request.
GET = 0.0004 / 1000
PUT = LIST = 0.005 / 1000
_PRICES = {"GET": GET, "PUT": PUT, "LIST": LIST}

#: GETs that S3 answers in a second for a prefix.
GETS_A_SECOND = 5500

MONTH = 30 * 24 * 3600.0


def dollars(requests: Mapping[str, float]) -> float:
    """Return what requests cost, by verb.

    >>> dollars({"GET": 1_000_000, "LIST": 1_000_000})
    5.4
    """
    return round(sum(_PRICES[verb] * count for verb, count in requests.items()), 9)
