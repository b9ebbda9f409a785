"""A check's picture for the page: scaled down, with its fields outlined, and its line enlarged."""

import io
import math
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.check_scanner.effort import open_upload
from examples.check_scanner.errors import BadImageError

from ..cases import FIELDS, Case

#: Pixels that pictures on the page are wide, and that enlarged lines are at most.
WIDTH, LINE_WIDTH = 680, 1_000
#: Pixels that enlarged lines are high, and what is left above and below their characters.
_LINE_HEIGHT, _ABOVE = 44, 0.55
_QUALITY = 70
#: An outline stays clear of its characters by this share of their height.
_CLEAR = 0.22

Corners = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """An outline: its ``points`` as SVG wants them; where its label goes, as CSS wants it."""

    name: str
    points: str
    label: str


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as the page needs it; ``size`` is what the outlines' points refer to."""

    uri: str
    size: tuple[int, int]
    boxes: list[Box]
    line: str | None


def shot(case: Case) -> Shot | None:
    """The archived picture of ``case``; None if it is none."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "original")
        path.write_bytes(case.original)
        try:
            image = open_upload(path).image
        except BadImageError:
            return None
    found = _found(case)
    height = round(image.height * WIDTH / image.width)
    small = image.resize((WIDTH, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return Shot(
        uri=_uri(small),
        size=image.size,
        boxes=[_box(name, corners, image.size) for name, corners in found.items()],
        line=_enlarged(image, [found[name] for name in FIELDS if name in found]),
    )


def _found(case: Case) -> dict[str, Corners]:
    """The corners of all fields that were read."""
    if case.reading is None:
        return {}
    fields = {name: getattr(case.reading, name) for name in FIELDS} | {"courtesy": case.courtesy}
    return {
        name: np.array(field.box, np.float64)
        for name, field in fields.items()
        if field and field.box and field.text
    }


def _box(name: str, corners: Corners, size: tuple[int, int]) -> Box:
    around = corners if name == "courtesy" else _wider(corners, _CLEAR, _CLEAR)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in around)
    (left, top), (right, upper) = 100 * around[0] / size, 100 * around[1] / size
    # A label near the right edge grows to the left, not out of the picture.
    place = (
        f"right:{100 - right:.2f}%;top:{upper:.2f}%"
        if left > 70
        else f"left:{left:.2f}%;top:{top:.2f}%"
    )
    return Box(name, points, place)


def _wider(corners: Corners, along: float, across: float) -> Corners:
    """Move the corners outwards by shares of the height."""
    left_up, right_up, right_down, left_down = corners
    height = float(np.linalg.norm(left_down - left_up))
    right = (right_up - left_up) / (np.linalg.norm(right_up - left_up) or 1) * height * along
    down = (left_down - left_up) * across
    return np.array(
        [
            left_up - right - down,
            right_up + right - down,
            right_down + right + down,
            left_down - right + down,
        ]
    )


def _enlarged(image: Image.Image, fields: list[Corners]) -> str | None:
    """The line of magnetic ink, straightened; None if no field of it was found."""
    if not fields:
        return None
    first = min(fields, key=lambda corners: float(corners[0][0]))
    last = max(fields, key=lambda corners: float(corners[1][0]))
    whole = _wider(np.array([first[0], last[1], last[2], first[3]]), 1.6, _ABOVE)
    width = math.dist(whole[0], whole[1]) / (math.dist(whole[0], whole[3]) or 1) * _LINE_HEIGHT
    scale = min(1.0, LINE_WIDTH / width)
    right, bottom = round(width * scale), round(_LINE_HEIGHT * scale)
    target = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float32)
    matrix = cv2.getPerspectiveTransform(whole.astype(np.float32), target)
    gray = np.asarray(image.convert("L"))
    line = cv2.warpPerspective(
        gray, matrix, (right, bottom), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return _uri(Image.fromarray(line))


def _uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
