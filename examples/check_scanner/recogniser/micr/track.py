"""The line's own coordinates: modules along it and modules down from the top of its glyphs."""

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import Floats, Grey, Ink
from .locate import HEIGHT, PITCH, Row

#: Degrees of the polynomials: along the line, and of the way down. A straight line seen in
#: perspective needs the second degree, bent paper more.
_ALONG, _DOWN = 4, 2


@dataclass(frozen=True, slots=True)
class Track:
    """Maps (u, v), modules along the line and down from the glyphs' tops, to pixels.

    ``point(u, v) = along(t) + v * down(t)`` with ``t = (u - centre) / reach``; ``along`` and
    ``down`` hold coefficients of x and y in numpy's order, highest power first.
    """

    centre: float
    reach: float
    along: Floats
    down: Floats

    def points(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """Return x and y for every pair of ``u`` and ``v``, which are broadcast."""
        t = (np.asarray(u, np.float64) - self.centre) / self.reach
        x = np.polyval(self.along[0], t) + v * np.polyval(self.down[0], t)
        y = np.polyval(self.along[1], t) + v * np.polyval(self.down[1], t)
        return x, y

    def scaled(self, factor: float, left: float = 0.0, top: float = 0.0) -> "Track":
        """Return the same line in a picture resized by ``factor`` after cutting at (left, top)."""
        along = self.along * factor
        along[:, -1] -= np.array([left, top]) * factor
        return Track(self.centre, self.reach, along, self.down * factor)

    def moved(self, u: Floats, du: Floats, v: Floats, dv: Floats, weight: Floats) -> "Track":
        """Return the track on which (u, v) lies where (u + du, v + dv) lies on this one.

        All five are of one shape and are enough samples, spread over the whole line.
        """
        x, y = self.points(u + du, v + dv)
        return fitted(u, v, x, y, self.centre, self.reach, weight)


def fitted(
    u: Floats,
    v: Floats,
    x: Floats,
    y: Floats,
    centre: float,
    reach: float,
    weight: Floats | None = None,
) -> Track:
    """Return the track through samples: least squares, of errors times ``weight``."""
    t = ((u - centre) / reach).ravel()
    along = np.vander(t, _ALONG + 1)
    down = np.vander(t, _DOWN + 1) * v.reshape(-1, 1)
    target = np.stack([x.ravel(), y.ravel()], axis=1)
    terms = np.hstack([along, down])
    if weight is not None:
        terms, target = terms * weight.reshape(-1, 1), target * weight.reshape(-1, 1)
    # Normal equations, as in `robust`: `numpy.linalg.lstsq` takes five times as long.
    normal = terms.T @ terms
    normal += np.eye(len(normal)) * (1e-13 * np.trace(normal))
    solved = np.linalg.solve(normal, terms.T @ target)
    return Track(centre, reach, solved[: _ALONG + 1].T.copy(), solved[_ALONG + 1 :].T.copy())


def from_row(row: Row, width: int) -> tuple[Track, float]:
    """Return a first track for a located row, and the length of the line in modules.

    It goes from edge to edge of a picture ``width`` pixels wide, as far as the row's height can be
    extrapolated; the way down is taken to be perpendicular.
    """
    tall = np.polyval(row.height, (row.left + row.right) / 2)
    x = np.linspace(
        max(-2.0 * tall, row.left - 40 * tall), min(width + 2.0 * tall, row.right + 40 * tall), 400
    )
    # Heights are extrapolated with care: a slope from twenty blobs does not hold for ever.
    seen = np.clip(x, row.left - 8 * tall, row.right + 8 * tall)
    height = np.clip(np.polyval(row.height, seen), 0.6 * tall, 1.6 * tall)
    y = np.polyval(row.middle, x)
    slope = np.polyval(np.polyder(row.middle), x)
    length = np.hypot(1, slope)
    module = height * row.pitch / PITCH
    steps = np.diff(x) * (length[1:] + length[:-1]) / (module[1:] + module[:-1])
    u = np.concatenate([[0.0], np.cumsum(steps)])
    normal = np.stack([-slope, np.ones_like(x)]) / length * height / HEIGHT
    v = np.array([[0.0], [HEIGHT]])
    across = v - HEIGHT / 2
    px, py = x + across * normal[0], y + across * normal[1]
    track = fitted(
        np.broadcast_to(u, px.shape), np.broadcast_to(v, px.shape), px, py, u[-1] / 2, u[-1] / 2
    )
    return track, float(u[-1])


#: Where each pixel of a strip lies in a picture: columns and rows, as OpenCV counts them.
Places = tuple[Ink, Ink]


def places(
    track: Track, left: float, right: float, top: float, bottom: float, scale: float
) -> Places:
    """Return where the band between ``left`` and ``right``, ``top`` and ``bottom`` (modules) lies.

    Pixel (row, column) of it is ``v = top + (row + 0.5) / scale``, and u likewise: ``scale`` pixels
    to a module.
    """
    columns, rows = round((right - left) * scale), round((bottom - top) * scale)
    u = left + (np.arange(columns) + 0.5) / scale
    v = top + (np.arange(rows)[:, None] + 0.5) / scale
    x, y = track.points(u, v)
    # Pixel centres are at halves on the track, at whole numbers for OpenCV.
    return (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)


def strip(grey: Grey, where: Places) -> Ink:
    """Sample a picture at these places; what lies outside of it repeats its edge."""
    seen = cv2.remap(grey, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.astype(np.float32)


def inked(seen: Ink, scale: float) -> Ink:
    """Return how much light is missing: 0 is the paper around, 1 is black.

    The paper's level is the brightest within a few modules, of means over a module, so that noise
    does not brighten it.
    """
    rows, columns = seen.shape
    small = cv2.resize(
        seen,
        (max(1, round(columns / scale)), max(1, round(rows / scale))),
        interpolation=cv2.INTER_AREA,
    )
    paper = cv2.dilate(small, np.ones((7, 9), np.uint8))
    paper = cv2.blur(paper, (9, 7))
    level = cv2.resize(paper, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - seen / np.maximum(level, 1.0), np.float32)


def turned(track: Track, length: float) -> Track:
    """Return the track of the same line read with the picture upside down.

    (u, v) on it is (``length`` - u, glyph height - v) on the other.
    """
    flip_along = (-1.0) ** np.arange(_ALONG, -1, -1)
    flip_down = (-1.0) ** np.arange(_DOWN, -1, -1)
    along, down = track.along * flip_along, track.down * flip_down
    along = along.copy()
    along[:, -_DOWN - 1 :] += HEIGHT * down
    return Track(length - track.centre, track.reach, along, -down)
