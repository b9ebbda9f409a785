"""Handwriting: a pen that draws block letters and signatures, never twice the same.

Letters are strokes on a grid 4 wide and 6 high (y grows downwards, 6 is the baseline): ``"40 16"``
is a line from x 4, y 0 to x 1, y 6. A curve runs through the points; a point given twice is a
sharp corner.
"""

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

_STROKES = {
    "A": "06 20 20 46|14 34",
    "B": "00 06|00 20 31 23 03|23 44 36 06",
    "C": "41 20 02 04 26 45",
    "D": "00 06|00 20 42 44 26 06",
    "E": "40 00 00 06 06 46|03 33",
    "F": "40 00 00 06|03 33",
    "G": "41 20 02 04 26 45 43 43 23",
    "H": "00 06|40 46|03 43",
    "I": "10 16",
    "J": "30 34 26 15 04",
    "K": "00 06|40 03 03 46",
    "L": "00 06 06 46",
    "M": "06 00 00 24 24 40 40 46",
    "N": "06 00 00 46 46 40",
    "O": "20 02 04 26 44 42 20 11",
    "P": "06 00 00 30 42 33 03",
    "Q": "20 02 04 26 44 42 20|34 47",
    "R": "06 00 00 30 41 33 03|23 46",
    "S": "41 20 01 23 44 26 05",
    "T": "00 40|20 26",
    "U": "00 04 26 44 40",
    "V": "00 26 26 40",
    "W": "00 16 16 22 22 36 36 40",
    "X": "00 46|40 06",
    "Y": "00 23 23 40|23 26",
    "Z": "00 40 40 06 06 46",
    "0": "20 02 04 26 44 42 20",
    "1": "00 06",
    "2": "01 20 41 33 06 06 46",
    "3": "01 20 41 23 23 44 26 05",
    "4": "30 04 04 44|30 36",
    "5": "40 00 00 02 22 44 26 05",
    "6": "30 02 04 26 44 33 13 04",
    "7": "00 40 40 16",
    "8": "41 20 01 23 44 26 04 23 41",
    "9": "42 23 01 20 41 42 36",
    "/": "40 06",
    "-": "03 33",
    ".": "05 06",
    "&": "46 11 20 31 04 26 44",
}
_SPACE = 2.6
_GAP = 1.5

Points = NDArray[np.float64]


class Pen:
    """A writer's habits (slant, pressure, steadiness) on a mask; positions are in its pixels."""

    def __init__(self, mask: NDArray[np.uint8], rng: Random, width: float) -> None:
        self._mask, self._rng, self._width = mask, rng, width
        self._slant = rng.uniform(0.05, 0.3)
        self._shake = rng.uniform(0.1, 0.2)
        self._aspect = rng.uniform(0.72, 0.9)

    def write(self, text: str, left: float, baseline: float, height: float, room: float) -> None:
        """Write in small capitals, letters ``height`` high, squeezed if need be into ``room``."""
        strokes: list[Points] = []
        x = 0.0
        for character in text:
            if character == " ":
                x += _SPACE
                continue
            letter, width = self._letter(character)
            strokes += [points + np.array([x, 0]) for points in letter]
            x += width + _GAP * self._rng.uniform(0.8, 1.2)
        down = height / 6
        across = min(self._aspect * down, room / x)
        climb = self._rng.uniform(-0.012, 0.012)
        for points in strokes:
            run = points[:, 0] * across - points[:, 1] * down * self._slant
            line = np.column_stack([left + run, baseline + points[:, 1] * down + climb * run])
            self._stroke(_smooth(line))

    def _letter(self, character: str) -> tuple[list[Points], float]:
        """One letter's strokes, unsteady, standing on y 0; and its width. In units of the grid."""
        size = 0.8 if character.islower() else 1.0
        lift = self._rng.uniform(-0.25, 0.2)
        strokes = []
        width = 0.0
        for stroke in _STROKES[character.upper()].split("|"):
            points = np.array([(int(x), int(y) - 6) for x, y in map(tuple, stroke.split())], float)
            width = max(width, size * float(points[:, 0].max()))
            tremble = [(self._tremor(), self._tremor()) for _ in points]
            strokes.append((points + tremble) * size + np.array([0, lift]))
        return strokes, width

    def _tremor(self) -> float:
        return self._rng.gauss(0, self._shake)

    def sign(self, left: float, baseline: float, width: float, height: float) -> None:
        """Sign: a tall first loop, a run of smaller and smaller ones, a stroke under them all."""
        rng = self._rng
        loops = rng.randint(6, 10)
        share = np.linspace(0, 1, loops * 40)
        hurry = rng.uniform(-0.25, 0.25)
        turn = 2 * math.pi * loops * (share + hurry * share * (1 - share))
        size = 0.2 + 0.8 * np.exp(-6 * share)
        for _ in range(rng.randint(1, 3)):  # letters with ascenders, somewhere in the name
            peak = rng.uniform(0.25, 0.9)
            size += rng.uniform(0.3, 0.6) * np.exp(-(((share - peak) * 14) ** 2))
        loop_width = width / loops * rng.uniform(0.4, 0.65)
        x = left + share * width + loop_width * np.sin(turn) * size
        y = baseline - height * size * (0.5 - 0.5 * np.cos(turn + rng.uniform(-0.4, 0.4)))
        x -= (y - baseline) * (self._slant + 0.2)
        self._stroke(_smooth(np.stack([x, y], axis=1)))
        back, drop = rng.uniform(0.3, 0.6), height * rng.uniform(0.12, 0.2)
        under = [[1.05, drop * 0.6], [back, drop], [0.95, drop * 0.4]]
        flourish = np.array(under) * [width, 1] + np.array([left, baseline])
        self._stroke(_smooth(np.concatenate([[[x[-1], y[-1]]], flourish])))

    def line(self, points: Points) -> None:
        """Draw one stroke through some points."""
        self._stroke(_smooth(points))

    def _stroke(self, line: Points) -> None:
        """Ink a line: pressure swells and ebbs, and the pen lifts off at both ends."""
        phase = self._rng.uniform(0, 6)
        ends = np.minimum(np.arange(len(line)), np.arange(len(line))[::-1])
        pressure = np.minimum(1.0, 0.55 + 0.09 * ends)
        pressure *= 1 + 0.18 * np.sin(np.arange(len(line)) / 9 + phase)
        points = (line * 16).round().astype(np.int32)
        for start in range(0, len(line) - 1, 3):
            width = max(1, round(self._width * float(pressure[start])))
            piece = [points[start : start + 4]]
            cv2.polylines(self._mask, piece, False, 255, width, cv2.LINE_AA, shift=4)


def _smooth(points: Points) -> Points:
    """Return a Catmull-Rom curve through ``points``, a sample per pixel or so."""
    padded = np.concatenate([points[:1], points, points[-1:]])
    pieces = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        samples = max(2, math.ceil(float(np.hypot(*(end - start)))))
        t = np.linspace(0, 1, samples, endpoint=False)[:, None]
        pieces.append(
            start
            + t / 2 * (end - before)
            + t**2 * (before - 2.5 * start + 2 * end - after / 2)
            + t**3 / 2 * (after - before + 3 * (start - end))
        )
    return np.concatenate([*pieces, points[-1:]])
