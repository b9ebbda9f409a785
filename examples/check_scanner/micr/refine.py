"""Fitting a track to what it shows: the line as it was printed against the line as it is seen."""

import numpy as np

from examples.check_scanner.micr.arrays import Grey, Ink
from examples.check_scanner.micr.bank import FINE, HEIGHT, MARGIN, WIDTH, Bank
from examples.check_scanner.micr.grid import Line
from examples.check_scanner.micr.locate import PITCH
from examples.check_scanner.micr.track import Track, inked, strip

_ROUNDS = 2
_AIR = 2.0


def refined(grey: Grey, line: Line, bank: Bank, variant: int) -> Track:
    """Return the line's track, moved until drawn and seen characters coincide.

    Gauss-Newton on the difference of the two, as Lucas and Kanade (1981) align images, with weights
    that let go of pen strokes and specks. What moves is smooth: places along the line to the fourth
    degree, heights to the third, slant and size linearly.
    """
    track = line.track
    left, right = line.first * PITCH - _AIR, line.last * PITCH + WIDTH + _AIR
    drawn = _drawn(line, bank.ink[variant], left, right)
    long = line.last - line.first > 20
    for _ in range(_ROUNDS):
        seen = inked(strip(grey, track, left, right, -_AIR, HEIGHT - 2 * MARGIN + _AIR, FINE), FINE)
        track = _step(track, seen, drawn, left, right, long)
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


def _step(track: Track, seen: Ink, drawn: Ink, left: float, right: float, long: bool) -> Track:
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
    v = ((np.arange(rows, dtype=np.float32) + 0.5) / FINE - _AIR - 4.5)[:, None] / 4.5
    one = np.ones_like(t)
    smooth = [one, t, t**2, t**3, t**4][: 5 if long else 3]
    u_basis = [np.broadcast_to(f, across.shape) for f in smooth] + [v * one, v * t]
    v_basis = [np.broadcast_to(f, across.shape) for f in smooth[:4]] + [v * one, v * t]
    jacobian = np.stack(
        [(across * f).ravel() for f in u_basis] + [(along * f).ravel() for f in v_basis], axis=1
    )
    doubt = np.abs(difference) / (0.25 * level + 1e-6)
    weight = (1 / (1 + doubt**2)).ravel()[:, None]
    weighted = jacobian * weight
    normal = weighted.T @ jacobian
    normal += np.eye(len(normal), dtype=np.float32) * (1e-3 * np.trace(normal) / len(normal))
    solved = np.linalg.solve(normal, weighted.T @ difference.ravel())
    # Sampled sparsely and kept within a module: this is for small corrections.
    pick = (slice(None, None, max(1, rows // 6)), slice(None, None, max(1, columns // 80)))
    count = len(u_basis)
    du = sum(a * f[pick] for a, f in zip(solved[:count], u_basis, strict=True))
    dv = sum(a * f[pick] for a, f in zip(solved[count:], v_basis, strict=True))
    u = left + (2 * np.arange(columns)[pick[1]] + 0.5) / FINE
    v_at = (np.arange(rows)[pick[0]] + 0.5) / FINE - _AIR
    grid_u, grid_v = np.meshgrid(u, v_at)
    return track.moved(
        grid_u, np.clip(du, -1, 1).astype(np.float64), grid_v, np.clip(dv, -1, 1).astype(np.float64)
    )


def _level(seen: Ink, drawn: Ink) -> float:
    """How dark the line's ink is: what fits the solid parts best."""
    solid = seen[drawn > 0.8]
    return float(np.median(solid)) if solid.size else 1.0
