"""How presses, pens and pockets treat checks: tolerances used up, and strokes where none belong."""

from random import Random

import numpy as np
from numpy.typing import NDArray

from .draw import Making
from .glyphs import Face
from .hand import Pen
from .magnetic import Press

#: 0.038 mm, by which the standard lets an edge lie elsewhere, in modules of 0.33 mm.
_EDGE = 0.038 / 0.3302


def any_face(rng: Random) -> Face:
    """Choose a cut: corners from square to rounder than the standard's, weight about its limits."""
    return Face(
        corner=rng.choice((0.0, 0.25, 0.375, 0.375)),
        weight=max(-1.3 * _EDGE, min(1.3 * _EDGE, rng.gauss(0, 0.6 * _EDGE))),
        aspect=rng.choice((0.0, 0.0, 0.07, -0.07)),
        thin_zero=rng.random() < 0.4,
        cut=rng.randrange(1 << 30),
        loose=rng.uniform(0, 0.1),
    )


def any_press(rng: Random, wear: float) -> Press:
    """Choose a press; ``wear`` 1 uses the standard's tolerances up, 2 goes beyond."""
    return Press(
        face=any_face(rng),
        shift=(rng.uniform(-0.03, 0.03) * wear, rng.uniform(-0.02, 0.02) * wear),
        pitch=0.0025 * wear * rng.random(),
        lift=0.0015 * wear * rng.random(),
        skew=0.7 * wear * rng.random(),
        gain=0.04 * wear * rng.random(),
        rough=0.09 * wear * rng.random(),
        voids=round(60 * wear * rng.random() ** 2),
        specks=round(25 * wear * rng.random() ** 2),
        fade=0.2 * wear * rng.random(),
    )


def any_making(rng: Random, wear: float, full_print: bool) -> Making:
    """Choose presses and paper; ``full_print``: the background does not stop above the line."""
    press = any_press(rng, wear)
    again = rng.random() < 0.5
    return Making(
        press=press,
        amount_press=press if again else any_press(rng, wear),
        plain_below=-0.5 if full_print else 0.625,
    )


def strokes(size: tuple[int, int], dpi: float, rng: Random) -> NDArray[np.uint8]:
    """Return what a pen left in the MICR band: a signature that runs over, or a careless line."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    pen = Pen(mask, rng, width=rng.uniform(0.007, 0.013) * dpi)
    if rng.random() < 0.5:
        left = rng.uniform(0.25, 0.6) * width
        baseline = height - rng.uniform(0.18, 0.35) * dpi
        pen.sign(left, baseline, rng.uniform(1.2, 2.0) * dpi, rng.uniform(0.35, 0.7) * dpi)
        return mask
    for _ in range(rng.randint(1, 3)):
        steps = rng.randint(2, 5)
        x = (
            rng.uniform(0.1, 0.8) * width
            + np.cumsum([rng.uniform(0, 0.5) for _ in range(steps)]) * dpi
        )
        # From above the band down to the line at least.
        y = height - np.linspace(rng.uniform(0.45, 0.9), rng.uniform(0.1, 0.3), steps) * dpi
        pen.line(np.column_stack([x, y]))
    return mask
