"""Stages 4 and 5, read: the place where a recogniser is plugged in.

Another one is another pair of functions here: one that makes its data out of a file, one that makes
a `Reading` out of an image. No other module of the scanner imports `recogniser`.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import tmpcache

from .reading import Decision, Field, Reading
from .recogniser import micr, model

#: What reads the MICR line, and what reads the amount in figures.
ReadLine = Callable[[Image.Image], Reading]
ReadAmount = Callable[[Image.Image], Field]

_NOTHING = Field(None, 0.0)

_log = logging.getLogger(__name__)


def from_s3(bucket: str, key: str, max_age: float) -> ReadLine:
    """What reads MICR lines, with the model as it is on S3 now.

    Within ``max_age`` seconds of the last time S3 confirmed it, this is a look-up in memory. Raises
    what `tmpcache.load` raises.
    """
    return partial(micr.read, tmpcache.load(bucket, key, model.load, max_age=max_age))


def build_model(version: str) -> bytes:
    """Make the recogniser's data, for a file on S3; readings name the ``version``."""
    return model.build(version, model.PIXELS_PER_MODULE)


def built_here() -> ReadLine:
    """What reads MICR lines, with a model built in this process: no S3."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "model.npz")
        path.write_bytes(build_model("built here"))
        return partial(micr.read, model.load(path))


def courtesy() -> ReadAmount | None:
    """What reads the amount in figures; None if its libraries are not installed."""
    from .recogniser import courtesy as figures

    return figures.read_amount if figures.available() else None


def line(read_line: ReadLine, image: Image.Image) -> Reading:
    """Read the MICR line; a recogniser that fails leaves the image to people, not to retries."""
    try:
        reading = read_line(image)
        json.dumps(asdict(reading), allow_nan=False)  # what cannot be written down was not read
        return reading
    except Exception as error:
        _log.exception("The recogniser failed.")
        reason = f"The recogniser failed on this image: {error!r}."
        nothing = (_NOTHING,) * 4
        return Reading("", *nothing, Decision.REVIEW, reason, 0.0, "none")


def amount(read_amount: ReadAmount, image: Image.Image) -> Field:
    """Read the amount in figures; a reader that fails has read nothing."""
    try:
        return read_amount(image)
    except Exception:
        _log.exception("The reader of amounts failed.")
        return _NOTHING
