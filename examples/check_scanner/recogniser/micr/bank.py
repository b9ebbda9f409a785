"""Templates made ready for matching: the glyphs in several weights and blurs, as matrices."""

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import Grey, Ink
from .network import Network

#: Modules of white around a glyph that count as part of its shape.
MARGIN = 1
#: The window that is compared, in modules.
WIDTH, HEIGHT = 9, 11
#: Pixels per module when a line is looked for, and when it is read.
COARSE, FINE = 2, 3

# Standard deviations of the blur and shifts of the outline, in modules. The standard allows edges
# to be 0.12 off; a glyph at 100 dpi is blurred by about 0.5 already.
BLURS = (0.25, 0.45, 0.7, 1.0)
WEIGHTS = (-0.12, 0.0, 0.12)
_USUAL_BLUR = 0.45


@dataclass(frozen=True, slots=True)
class Bank:
    """Matrices of templates, a column each, in the order of `e13b.CHARACTERS`.

    ``coarse``: 0 to 13 upright, 14 to 27 upside down, zero mean and unit norm. ``fine`` has the
    same for each variant, one of `WEIGHTS` by `BLURS`: variants x pixels x characters. ``ink`` is
    the coverage (0 to 1) behind ``fine``: variants x characters x rows x columns. ``network`` tells
    what templates cannot.
    """

    coarse: Ink
    fine: Ink
    ink: Ink
    network: Network


def prepare(templates: Grey, network: Network) -> Bank:
    """Make the matrices; ``templates`` as in `model.Model`."""
    ppm = templates.shape[2] // WIDTH
    if templates.shape[1:] != (HEIGHT * ppm, WIDTH * ppm) or not ppm:
        raise ValueError(f"templates of {templates.shape} are not {HEIGHT} by {WIDTH} modules")
    # Outlines are shifted on a grid fine enough for a tenth of a module.
    grid = 8
    masks = [
        cv2.resize(t, (WIDTH * grid, HEIGHT * grid), interpolation=cv2.INTER_LINEAR)
        for t in templates
    ]
    variants = [[_variant(m, grid, w, b) for m in masks] for w in WEIGHTS for b in BLURS]
    ink = np.array([[_sampled(v, FINE) for v in row] for row in variants], np.float32)
    usual = variants[len(BLURS) * (len(WEIGHTS) // 2) + BLURS.index(_USUAL_BLUR)]
    upright = np.array([_sampled(v, COARSE) for v in usual], np.float32)
    turned = upright[:, ::-1, ::-1]
    return Bank(
        coarse=_columns(np.concatenate([upright, turned])),
        fine=np.stack([_columns(row) for row in ink]),
        ink=ink,
        network=network,
    )


def _variant(mask: Grey, grid: int, weight: float, blur: float) -> Ink:
    """Move the outline outwards by ``weight`` modules and blur by ``blur``."""
    inked = (mask > 127).astype(np.uint8)
    # Distances to the nearest pixel of the other kind; coverage falls from 1 to 0 in between.
    inside = cv2.distanceTransform(inked, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - inked, cv2.DIST_L2, 5)
    moved = np.clip(np.where(inked, inside, 1 - outside) + weight * grid, 0, 1)
    return np.asarray(
        cv2.GaussianBlur(
            moved.astype(np.float32), (0, 0), blur * grid, borderType=cv2.BORDER_CONSTANT
        ),
        np.float32,
    )


def _sampled(image: Ink, scale: int) -> Ink:
    size = (WIDTH * scale, HEIGHT * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def _columns(images: Ink) -> Ink:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    return np.ascontiguousarray(flat.T, dtype=np.float32)
