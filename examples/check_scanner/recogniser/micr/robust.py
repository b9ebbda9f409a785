"""What measurements have in common of which some are of something else."""

import numpy as np

from .arrays import Floats


def median(values: Floats) -> float:
    """Return the median; of few values `numpy.median` takes ten times as long."""
    ordered = np.sort(values)
    return float((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2)


def fitted(x: Floats, y: Floats, order: int, scale: float, trust: Floats | None = None) -> Floats:
    """Return the coefficients of a polynomial that is not drawn by what is far off.

    What is more than 2.5 times ``scale`` off hardly counts, by Tukey's weights; ``trust`` are
    weights of the measurements themselves.
    """
    given = np.ones(len(x)) if trust is None else trust
    weight = given
    # Normal equations, of x as a share of the greatest: the degrees are low, and `numpy.polyfit`
    # takes ten times as long.
    unit = max(float(np.abs(x).max()), 1e-9)
    powers = np.vander(x / unit, order + 1)
    terms = order + 1
    # What each point adds to either side of them; a little more makes them solvable with few.
    each = (powers[:, :, None] * np.column_stack([powers, y])[:, None, :]).reshape(len(powers), -1)
    ridge = 1e-12 * len(powers) * np.eye(terms)
    for _ in range(5):
        sums = ((weight * weight) @ each).reshape(terms, terms + 1)
        fit = np.linalg.solve(sums[:, :terms] + ridge, sums[:, terms])
        off = np.abs(powers @ fit - y) / (2.5 * scale)
        weight = given * np.maximum(1 - off**2, 0.02)
    return np.asarray(fit / unit ** np.arange(order, -1, -1))
