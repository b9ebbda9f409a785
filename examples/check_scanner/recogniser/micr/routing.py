"""What makes nine digits an ABA routing number."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from .arrays import Flags, Floats

#: First two digits: government, Federal Reserve districts, thrifts, electronic, traveler's checks.
PREFIXES = (range(0, 1), range(1, 13), range(21, 33), range(61, 73), range(80, 81))

_WEIGHTS = np.array([3, 7, 1] * 3)
# How much dearer than what was read a mended number may be, in log odds.
_DEAREST = 6.0


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
    """Return the number with the doubtful digits changed that makes it check most cheaply.

    ``cost``: positions x digits. The check digit finds every single wrong digit, and so it says
    what a digit under a pen stroke must be if it is the only one; of two it says which pairs are
    possible. None if no change of one or two is cheap.
    """
    doubtful = np.flatnonzero(open_to_doubt).tolist()
    read = np.array([int(digit) for digit in text])
    dearer = cost - cost[np.arange(len(read)), read][:, None]
    best: tuple[float, str] | None = None
    for places in [*combinations(doubtful, 1), *combinations(doubtful, 2)]:
        near = [np.flatnonzero(dearer[place] <= _DEAREST).tolist() for place in places]
        for digits in product(*near):
            price = float(sum(dearer[at, digit] for at, digit in zip(places, digits, strict=True)))
            if price > _DEAREST or (best is not None and price >= best[0]):
                continue
            changed = _changed(text, places, digits)
            if checks(changed) and exists(changed):
                best = price, changed
    return best and best[1]


def _changed(text: str, places: Sequence[int], digits: Sequence[int]) -> str:
    """Return the number with other digits in some places."""
    characters = list(text)
    for place, digit in zip(places, digits, strict=True):
        characters[place] = str(digit)
    return "".join(characters)
