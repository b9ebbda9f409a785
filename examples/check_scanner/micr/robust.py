"""Polynomials through measurements of which some are of something else."""

import numpy as np

from examples.check_scanner.micr.arrays import Floats


def fitted(x: Floats, y: Floats, order: int, scale: float, trust: Floats | None = None) -> Floats:
    """Return the coefficients of a polynomial that is not drawn by what is far off.

    What is more than 2.5 times ``scale`` off hardly counts, by Tukey's weights; ``trust`` are
    weights of the measurements themselves.
    """
    given = np.ones(len(x)) if trust is None else trust
    weight = given
    for _ in range(5):
        fit = np.polyfit(x, y, order, w=weight)
        off = np.abs(np.polyval(fit, x) - y) / (2.5 * scale)
        weight = given * np.maximum(1 - off**2, 0.02)
    return np.asarray(fit)
