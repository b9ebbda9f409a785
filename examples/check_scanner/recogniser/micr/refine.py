"""Fitting a track to what it shows: the line as it was printed against the line as it is seen."""

import numpy as np

from .arrays import Floats, Grey, Ink
from .bank import FINE, HEIGHT, MARGIN, WIDTH, Bank
from .grid import Line
from .locate import PITCH
from .pens import black_and_all
from .track import Track

_ROUNDS = 2
_AIR = 2.0
# Modules from which on a line is long enough to be bent.
_LONG = 21.5 * PITCH
# What beyond its ends a line's course counts, so that polynomials do not run wild there; in modules
# how far apart it is sampled.
_BEYOND, _APART = 0.3, 5.0


def refined(
    planes: tuple[Grey, Grey], line: Line, bank: Bank, variant: int, reach: tuple[int, int]
) -> Track:
    """Return the line's track, moved until drawn and seen characters coincide.

    Up to the positions of ``reach``, where nothing was found to coincide, it goes on as it did.

    Gauss-Newton on the difference of the two, as Lucas and Kanade (1981) align images, with weights
    that let go of pen strokes and specks. What moves is smooth: places along the line to the fourth
    degree, heights to the third, slant and size linearly.
    """
    track = line.track
    left, right = line.first * PITCH - _AIR, line.last * PITCH + WIDTH + _AIR
    drawn = _drawn(line, bank.ink[variant], left, right)
    ends = min(left, reach[0] * PITCH), max(right, reach[1] * PITCH + WIDTH)
    for _ in range(_ROUNDS):
        bottom = HEIGHT - 2 * MARGIN + _AIR
        seen, _ = black_and_all(planes, track, left, right, -_AIR, bottom, FINE)
        track = _step(track, seen, drawn, left, right, ends)
    return track


def _drawn(line: Line, ink: Ink, left: float, right: float) -> Ink:
    """Draw the characters found, each in its position."""
    rows = round((HEIGHT - 2 * MARGIN + 2 * _AIR) * FINE)
    canvas = np.zeros((rows, round((right - left) * FINE)), np.float32)
    top = round((_AIR - MARGIN) * FINE)
    for position, character in zip(line.position, line.found.character, strict=True):
        column = (position * PITCH - left) * FINE
        whole = int(np.floor(column))
        share = np.float32(column - whole)
        glyph = ink[character]
        region = canvas[top : top + glyph.shape[0], whole : whole + glyph.shape[1] + 1]
        width = region.shape[1]
        region[:, : glyph.shape[1]] += (1 - share) * glyph[:, :width]
        region[:, 1:] += share * glyph[:, : width - 1]
    return canvas


def _step(
    track: Track, seen: Ink, drawn: Ink, left: float, right: float, ends: tuple[float, float]
) -> Track:
    level = _level(seen, drawn)
    difference = level * drawn - seen
    # The mean of both gradients converges from further away than either.
    blend = (level * drawn + seen) / 2
    # Every other column says as much: neighbours are samples of one blurred edge.
    across = (np.gradient(blend, axis=1) * FINE)[:, ::2]
    along = (np.gradient(blend, axis=0) * FINE)[:, ::2]
    difference = difference[:, ::2]
    rows, columns = difference.shape
    t = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    down = (np.arange(rows, dtype=np.float32) + 0.5) / FINE - _AIR - 4.5
    v = np.asarray(down[:, None] / 4.5, np.float32)
    one = np.ones_like(t)
    smooth: list[Ink] = [one, t, t**2, t**3, t**4][: 5 if right - left > _LONG else 3]
    slanted: list[Ink] = [v, v * t]
    u_basis, v_basis = smooth + slanted, smooth[:4] + slanted
    # One row for each unknown: a column each takes three times as long.
    jacobian = np.stack([across * f for f in u_basis] + [along * f for f in v_basis])
    doubt = np.abs(difference) / (0.25 * level + 1e-6)
    weight = 1 / (1 + doubt**2)
    weighted = (jacobian * weight).reshape(len(jacobian), -1)
    normal = weighted @ jacobian.reshape(len(jacobian), -1).T
    normal += np.eye(len(normal), dtype=np.float32) * (1e-3 * np.trace(normal) / len(normal))
    solved = np.linalg.solve(normal, weighted @ difference.ravel())
    # Sampled sparsely and kept within a module: this is for small corrections.
    inside = left + (2 * np.arange(0, columns, max(1, columns // 80)) + 0.5) / FINE
    before, behind = np.arange(ends[0], left, _APART), np.arange(ends[1], right, -_APART)
    along_u = np.concatenate([before, inside, behind])
    v_at = (np.arange(0, rows, max(1, rows // 6)) + 0.5) / FINE - _AIR
    grid_u, grid_v = np.meshgrid(along_u, v_at)
    at = np.clip(2 * (grid_u - left) / (right - left) - 1, -1, 1)
    slope = (grid_v - 4.5) / 4.5
    count = len(u_basis)
    du, dv = (_moves(each, at, slope) for each in (solved[:count], solved[count:]))
    weight = np.where((grid_u < left) | (grid_u > right), _BEYOND, 1.0)
    return track.moved(grid_u, du, grid_v, dv, weight)


def _moves(solved: Floats, t: Floats, v: Floats) -> Floats:
    """Evaluate a step's polynomials: of t, and of t times v, both from -1 to 1 on the line."""
    moves = np.polyval(solved[-3::-1], t) + solved[-2] * v + solved[-1] * v * t
    return np.asarray(np.clip(moves, -1, 1), np.float64)


def _level(seen: Ink, drawn: Ink) -> float:
    """How dark the line's ink is: what fits the solid parts best."""
    solid = seen[drawn > 0.8]
    return float(np.median(solid)) if solid.size else 1.0
