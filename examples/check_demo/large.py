"""What the cache saves a function whose model has a real size: measured, on this machine.

The scanner's own model has 115 kB, so that it hardly matters whether it is downloaded. Here is a
function that does nothing but have a model of 50 MB ready, from an S3 as far away as S3 is.
"""

import io
from dataclasses import dataclass

import numpy as np

from .cloud import MODELS, Cloud, Function, function
from .distance import distant

KEY = "large.npy"
#: Bytes.
SIZE = 50_000_000
_HANDLER = "examples.check_demo.large_function.handler"

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Start:
    """One way to come by the model; ``requests`` reached S3."""

    title: str
    about: str
    seconds: float
    requests: int


def starts(cloud: Cloud) -> list[Start]:
    """Run the function in a new container, in a new process, after ``max_age``, and once more."""
    cloud.put_model(_model(), KEY)
    with (
        distant(cloud.endpoint) as endpoint,
        function(handler=_HANDLER, AWS_ENDPOINT_URL_S3=endpoint, TMPCACHE_QUOTA="200 MB") as where,
    ):
        cold = _start(cloud, where, "cold", "new container: downloaded")
        warm = _start(cloud, where, "warm", "the same process: in memory")
        asked = _start(cloud, where, "asked again", "after max_age: S3 says 304", max_age=0.0)
        where.harness.kill()
        restarted = _start(cloud, where, "restarted", "new process: on disk")
    return [cold, restarted, asked, warm]


def _start(cloud: Cloud, where: Function, title: str, about: str, max_age: float = _HOUR) -> Start:
    cloud.forget()
    event = {"bucket": MODELS, "key": KEY, "max_age": max_age}
    seconds = where.harness.invoke(event, timeout=60).result
    return Start(title, about, seconds, len(cloud.requests()))


def _model() -> bytes:
    packed = io.BytesIO()
    np.save(packed, np.zeros(SIZE, np.uint8))
    return packed.getvalue()
