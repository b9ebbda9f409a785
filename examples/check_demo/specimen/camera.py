"""What a scanner or a phone makes of a sheet: where it lies, the light, the lens, the sensor."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .paper import Sheet

Light = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pose:
    """How the sheet lies before the lens.

    ``turn`` in degrees, ``lean`` how far corners are off in shares of the width, ``bend`` how far
    the paper bulges in shares of its height, ``margin`` what is seen around it in shares of width.
    """

    turn: float = 0.0
    lean: float = 0.0
    bend: float = 0.0
    margin: float = 0.0


def flat(sheet: Sheet, turn: float, bed: int) -> Sheet:
    """Scan a sheet that lies ``turn`` degrees askew on a bed of gray ``bed``, cut to its bounds."""
    height, width = sheet.shape[:2]
    sine, cosine = abs(np.sin(np.radians(turn))), abs(np.cos(np.radians(turn)))
    size = (round(width * cosine + height * sine), round(height * cosine + width * sine))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
    matrix[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
    return np.asarray(cv2.warpAffine(sheet, matrix, size, borderValue=(bed, bed, bed)), np.uint8)


def photograph(sheet: Sheet, pose: Pose, rng: np.random.Generator) -> Sheet:
    """See a sheet on a table, from about above."""
    height, width = sheet.shape[:2]
    margin = pose.margin * width
    matrix = _view(width, height, pose, margin, rng)
    corners = cv2.perspectiveTransform(
        np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32), matrix
    )[0]
    size = tuple(np.ceil(corners.max(axis=0) + margin).astype(int))
    table = _table((int(size[0]), int(size[1])), corners, rng)
    bent = _bend(sheet, pose.bend, rng) if pose.bend else sheet
    return np.asarray(
        cv2.warpPerspective(
            bent,
            matrix,
            (int(size[0]), int(size[1])),
            table,
            cv2.INTER_LINEAR,
            cv2.BORDER_TRANSPARENT,
        ),
        np.uint8,
    )


def _view(
    width: int, height: int, pose: Pose, margin: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the homography from the sheet to a photo that holds all of it."""
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    angle = np.radians(pose.turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    seen = corners @ rotation + rng.uniform(-pose.lean, pose.lean, (4, 2)) * width
    seen += margin - seen.min(axis=0)
    return np.asarray(
        cv2.getPerspectiveTransform(corners.astype(np.float32), seen.astype(np.float32)),
        np.float64,
    )


def _bend(sheet: Sheet, bend: float, rng: np.random.Generator) -> Sheet:
    """Let the paper bulge: rows rise and fall along the width."""
    height, width = sheet.shape[:2]
    along = np.linspace(0, 1, width, dtype=np.float32)
    rise = bend * height * np.sin(np.pi * (along * rng.uniform(0.6, 1.6) + rng.uniform(0, 1)))
    x = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    y = np.arange(height, dtype=np.float32)[:, None] + rise.astype(np.float32)
    return np.asarray(
        cv2.remap(sheet, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def _table(size: tuple[int, int], corners: NDArray[np.float32], rng: np.random.Generator) -> Sheet:
    """Return a table top with some grain, and the sheet's shadow on it."""
    small = (size[1] // 8 + 2, size[0] // 8 + 2)
    color = rng.uniform(30, 215) * rng.uniform((0.9, 0.75, 0.6), (1.0, 0.95, 0.9))
    veins = rng.normal(0, rng.uniform(2, 14), (small[0], max(2, small[1] // 12)))
    stretched = cv2.resize(veins.astype(np.float32), small[::-1])
    shade = np.ones(small, np.float32)
    offset = rng.uniform(-6, 6, 2)
    cv2.fillPoly(shade, [((corners + offset) / 8).astype(np.int32)], (rng.uniform(0.4, 0.8),))
    shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), rng.uniform(1, 2)), np.float32)
    top = (color + stretched[..., None]) * shade[..., None]
    return np.asarray(cv2.resize(np.clip(top, 0, 255).astype(np.uint8), size), np.uint8)


def illuminate(picture: Sheet, light: Light) -> Sheet:
    """Multiply a picture with a coarse map of light, 1 being none lost."""
    height, width = picture.shape[:2]
    full = cv2.resize((light * 128).clip(0, 255).astype(np.uint8), (width, height))
    three = cv2.merge([full, full, full])
    return np.asarray(cv2.multiply(picture, three, scale=1 / 128), np.uint8)


def uneven(depth: float, rng: np.random.Generator) -> Light:
    """Return light that falls off by up to ``depth`` towards one side and in one blot."""
    y, x = np.mgrid[-1:1:48j, -1:1:96j]
    direction = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + 0.5 * (np.cos(direction) * x + np.sin(direction) * y) / np.sqrt(2)
    far = (x - rng.uniform(-1, 1)) ** 2 + (y - rng.uniform(-1, 1)) ** 2
    light = 1 - depth * (0.7 * slope + 0.3 * np.exp(-2 * far))
    return np.asarray(light * rng.uniform(0.95, 1.1), np.float32)


def shadow(light: Light, rng: np.random.Generator) -> Light:
    """Return ``light`` with the soft shadow of a hand or phone over one side of it."""
    mask = np.zeros(light.shape, np.float32)
    height, width = light.shape
    x = rng.uniform(0.2, 0.8) * width
    lean = rng.uniform(-0.5, 0.5) * width
    side = 0 if rng.random() < 0.5 else width
    outline = np.array([[side, -1], [x + lean, -1], [x - lean, height], [side, height]])
    cv2.fillPoly(mask, [outline.astype(np.int32)], (1.0,))
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.6, 3)), np.float32)
    return np.asarray(light * (1 - rng.uniform(0.25, 0.5) * soft), np.float32)


def fold(sheet: Sheet, rng: np.random.Generator) -> Sheet:
    """Return a sheet that was folded once: a crease, and one half of it in less light."""
    height, width = sheet.shape[:2]
    light = np.ones((1, width), np.float32)
    at = int(rng.uniform(0.25, 0.75) * width)
    light[:, at:] = rng.uniform(0.8, 0.95)
    crease = max(1, width // 500)
    light[:, at - crease : at] = rng.uniform(0.5, 0.75)
    light[:, at : at + crease] = 1.1
    whole = np.broadcast_to((light * 128).astype(np.uint8)[..., None], (height, width, 3))
    return np.asarray(cv2.multiply(sheet, np.ascontiguousarray(whole), scale=1 / 128), np.uint8)


def focus(picture: Sheet, blur: float, shake: float, rng: np.random.Generator) -> Sheet:
    """Blur by a lens (``blur``: sigma in pixels) and by a hand that moves ``shake`` pixels."""
    seen = cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.2 else picture
    length = 2 * round(shake) + 1
    if length > 1:
        kernel = np.zeros((length, length), np.uint8)
        angle = rng.uniform(0, np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * shake / 2
        ends = ((length // 2 + np.stack([reach, -reach])) * 16).round().astype(int)
        cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 255, 1, cv2.LINE_AA, shift=4)
        seen = cv2.filter2D(seen, -1, kernel.astype(np.float32) / float(kernel.sum()))
    return np.asarray(seen, np.uint8)


def flatten(picture: Sheet, black: float, white: float) -> Sheet:
    """Lose contrast: 0 becomes ``black``, 255 ``white``."""
    levels = black + np.arange(256) * (white - black) / 255
    return np.asarray(cv2.LUT(picture, levels.clip(0, 255).astype(np.uint8)), np.uint8)


def grain(picture: Sheet, sigma: float, rng: np.random.Generator) -> Sheet:
    """Add a sensor's noise, ``sigma`` of 255, the same to all channels."""
    noise = rng.standard_normal(picture.shape[:2], np.float32) * np.float32(sigma)
    three = cv2.merge([noise.astype(np.int16)] * 3)
    return np.asarray(cv2.add(picture, three, dtype=cv2.CV_8U), np.uint8)
