"""What makes nine digits an ABA routing number."""

import numpy as np

from examples.check_scanner.micr.arrays import Flags, Floats

#: First two digits: government, Federal Reserve districts, thrifts, electronic, traveler's checks.
PREFIXES = (range(0, 1), range(1, 13), range(21, 33), range(61, 73), range(80, 81))

_WEIGHTS = np.array([3, 7, 1] * 3)
# How much dearer than what was read a mended number may be, in the costs of `evidence`.
_DEAREST = 1.0


def checks(text: str) -> bool:
    """Tell whether the weighted digits add up to tens.

    >>> checks("125000024"), checks("125000042")
    (True, False)
    """
    return len(text) == 9 and int((np.array([int(d) for d in text]) * _WEIGHTS).sum()) % 10 == 0


def exists(text: str) -> bool:
    """Tell whether such numbers are given out, by their first two digits."""
    return any(int(text[:2]) in prefix for prefix in PREFIXES)


def mended(text: str, cost: Floats, open_to_doubt: Flags) -> str | None:
    """Return the number with the one doubtful digit changed that makes it check most cheaply.

    ``cost``: positions x digits. The check digit finds every single wrong digit, and so it says
    what a digit under a pen stroke must be if it is the only one. None if no change is cheap.
    """
    best: tuple[float, str] | None = None
    for place in np.flatnonzero(open_to_doubt):
        for digit in range(10):
            changed = f"{text[:place]}{digit}{text[place + 1 :]}"
            dearer = float(cost[place, digit] - cost[place, int(text[place])])
            if dearer > _DEAREST or not (checks(changed) and exists(changed)):
                continue
            if best is None or dearer < best[0]:
                best = dearer, changed
    return best and best[1]
