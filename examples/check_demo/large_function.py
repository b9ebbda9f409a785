"""A function that does nothing but have a large model ready; see `large`."""

import time
from pathlib import Path
from typing import Any

import numpy as np

import tmpcache


def load(path: Path) -> Any:
    """Have the array in memory."""
    return np.load(path, allow_pickle=False)


@tmpcache.invocation
def handler(event: dict[str, Any], context: object) -> float:
    """Have the model ready; how many seconds that took."""
    began = time.perf_counter()
    tmpcache.load(event["bucket"], event["key"], load, max_age=event["max_age"])
    return time.perf_counter() - began
