"""Taking coloured pens out of what is seen: magnetic ink is black, most pens are not."""

import numpy as np

from .arrays import Grey, Ink
from .track import Track, inked, places, strip

# Colour is how much more ink the luminance shows than the value: as much as this is grain or the
# JPEG's, and a pen leaves as much as that somewhere, on at least this share of a strip.
_GRAIN, _COLOURED, _COVERED = 0.04, 0.1, 0.004
# Colour that is about as strong as the strip's strongest is that of bare paper under the pen.
_BARE = 0.7
# What a pen leaves in the value for each unit of its colour: as much as dark blue does at most.
# More is taken for black that has a tinge, from the light or the lens, and most of it stays.
_DARKEST = 2.0
# The brightest that paper becomes by what is taken away.
_BRIGHTEST = -0.1


def black_and_all(
    planes: tuple[Grey, Grey],
    track: Track,
    left: float,
    right: float,
    top: float,
    bottom: float,
    scale: float,
) -> tuple[Ink, Ink]:
    """Return how much black ink a strip shows, and how much of any colour: the luminance's.

    Black is `inked` without the strokes of coloured pens. ``planes`` are value and luminance, the
    rest is as in `places`.

    A blue pen leaves half as much ink in the value as black does, which is enough to turn a 3 into
    a 9. But it leaves more in the luminance, in a proportion that is the pen's own. Where it
    crosses a character it leaves no colour, so that nothing is taken away from that.
    """
    value, luminance = planes
    where = places(track, left, right, top, bottom, scale)
    seen = inked(strip(value, where), scale)
    if luminance is value:
        return seen, seen
    all_ink = inked(strip(luminance, where), scale)
    colour = all_ink - seen
    colour -= np.float32(_GRAIN)
    darkness = _darkness(seen, colour)
    if darkness:
        seen -= np.float32(darkness) * np.maximum(colour, 0)
        np.maximum(seen, _BRIGHTEST, out=seen)
    return seen, all_ink


def _darkness(seen: Ink, colour: Ink) -> float:
    """Return how much ink the pen leaves in the value per unit of colour; 0 if there is no pen."""
    # Every sixth pixel says as much.
    ink, some = seen[::2, ::3].ravel(), colour[::2, ::3].ravel()
    nth = some.size - max(1, round(_COVERED * some.size))
    most = float(np.partition(some, nth)[nth])
    if most < _COLOURED - _GRAIN:
        return 0.0
    bare = some > _BARE * most
    return float(np.clip(np.median(ink[bare] / some[bare]), 0, _DARKEST))
