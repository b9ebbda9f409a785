"""The grid that characters stand on: every eighth of an inch, whatever lens and paper do to it."""

from dataclasses import dataclass, replace

import numpy as np

from .. import e13b
from . import robust
from .arrays import Floats, Indices
from .find import Glimpse
from .locate import PITCH
from .track import Track, fitted

# What a character may be off its place when seen from its neighbour, as a share of the pitch.
_LOOSE = 0.2
# Positions that a line is followed across at a time; wider gaps lead to the amount, which has a
# grid of its own.
_WIDEST_GAP = 7
# The same for what a signature hides, if what is behind it is the main line's: as many as an
# account has digits.
_HIDDEN = 12
# Characters whose correlation is so much below what is usual in the line (its upper quartile) may
# be pen strokes that look like characters.
_DIM = 0.12
_FEWEST = 5
_MOST_LINES = 3
# So many characters a transit symbol is worth when the main line is chosen.
_WEIGHT = 8
# How many positions from what is on the grid more is looked for at a time.
_BEYOND = 6
# How far right of it characters may stand that are hidden, and what their places count.
_FURTHER, _FAINT = 14, 0.3
_AMOUNT = e13b.CHARACTERS.index(e13b.AMOUNT)
_TRANSIT = e13b.CHARACTERS.index(e13b.TRANSIT)


@dataclass(frozen=True, slots=True)
class Line:
    """Characters on a grid: ``track`` has position i's window at u = i * PITCH, v = -1.

    ``first`` and ``last`` are the outermost positions where characters were found, ``position``
    and ``found`` what was found on the grid.
    """

    track: Track
    position: Indices
    found: Glimpse

    @property
    def first(self) -> int:
        """The leftmost position."""
        return int(self.position[0])

    @property
    def last(self) -> int:
        """The rightmost position."""
        return int(self.position[-1])


def on_grid(track: Track, found: Glimpse) -> list[Line]:
    """Number the characters' positions; a list of what stands on one grid, longest run first."""
    lines: list[Line] = []
    while len(lines) < _MOST_LINES:
        chains = _chains(found)
        if not chains:
            break
        numbered = [_numbered(track, found, *chain) for chain in chains]
        members, line = max(numbered, key=lambda one: one[1].found.worth if one[1] else 0.0)
        if line is not None:
            lines.append(line)
        found = found.chosen(np.setdiff1d(np.arange(len(found.u)), members))
    return lines


@dataclass(frozen=True, slots=True)
class Parts:
    """The line with the transit field, and the amount field's, if there is one.

    Another machine, often of another bank, prints the amount: it has a grid of its own even where
    the two happen to agree. From ``border`` (in modules of the track) on there is room for it;
    None if that is not known. ``loose`` characters were found there.
    """

    main: Line
    amount: Line | None
    border: float | None = None
    loose: int = 0


def fields_of(track: Track, found: Glimpse) -> Parts | None:
    """Return the line's parts; None if nothing stands on a grid."""
    lines = on_grid(track, found)
    if not lines:
        return None
    main = max(
        lines,
        key=lambda p: len(p.position) + _WEIGHT * int((p.found.character == _TRANSIT).sum()),
    )
    start = _amount_start(main)
    if start is None:
        return Parts(*split(main))
    kept = main.position < start
    if kept.sum() < _FEWEST:
        return None
    border = float(main.found.u[-1] + (start - main.last) * PITCH)
    if not kept.all():
        border = float(np.interp(start, main.position, main.found.u))
    main = replace(main, position=main.position[kept], found=main.found.chosen(kept))
    border -= 0.7 * PITCH
    return with_amount(Parts(main, None, border), track, found.chosen(found.u > border))


def with_amount(parts: Parts, track: Track, found: Glimpse) -> Parts:
    """Look for the amount field in what was found right of the border."""
    amounts = [part for part in on_grid(track, found) if _is_amount(part, parts.main)]
    best = max(amounts, key=lambda part: len(part.position), default=None)
    return replace(parts, amount=best, loose=max(parts.loose, len(found.u)))


def _amount_start(main: Line) -> int | None:
    """Return where the amount field begins: position 12, if both transit symbols are seen."""
    transits = main.position[main.found.character == _TRANSIT]
    closing = [int(p) for p in transits if p - 10 in transits]
    return closing[0] + 21 if closing else None


def _is_amount(part: Line, main: Line) -> bool:
    """Tell an amount from pen strokes: it has both symbols, or one where it should be."""
    symbols = np.flatnonzero(part.found.character == _AMOUNT)
    if not len(symbols):
        return False
    if part.position[symbols[-1]] - part.position[symbols[0]] == 11:
        return True
    transits = main.found.u[main.found.character == _TRANSIT]
    if not len(transits):
        return False
    # Position 12 and 1, seen from 33 or 43.
    away = (part.found.u[symbols][:, None] - transits) / PITCH
    return bool((np.abs(away[..., None] - np.array([21, 31, 32, 42])) < 1.6).any())


def _numbered(
    track: Track, found: Glimpse, members: Indices, position: Indices
) -> tuple[Indices, Line | None]:
    """Fit a smooth grid to a chain, take in what else stands on it; return the members and it.

    What was of the chain but is not on the grid stays free: two machines' characters may have been
    strung together.
    """
    taken = members
    place: Floats = np.zeros(1)
    lift = place
    for _ in range(4):
        if len(members) < _FEWEST:
            return taken, None
        order = 3 if len(members) >= 14 else 2 if len(members) >= 8 else 1
        trust = np.maximum(found.score[members] - 0.5, 0.05)
        place = robust.fitted(position.astype(float), found.u[members], order, 1.0, trust)
        lift = robust.fitted(position.astype(float), found.v[members], order - 1, 0.8, trust)
        before = members, position
        members, position = _on(found, place, lift, int(position.min()), int(position.max()))
        if all(map(np.array_equal, before, (members, position))):
            break
    if len(members) < _FEWEST:
        return taken, None
    track = _regular(track, place, lift, position)
    return members, Line(track, position, found.chosen(members))


def _on(
    found: Glimpse, place: Floats, lift: Floats, low: int, high: int
) -> tuple[Indices, Indices]:
    """Return what stands on a grid: members and positions, up to some positions off its ends."""
    position = np.arange(low - _BEYOND, high + _BEYOND + 1)
    inside = np.clip(position, low, high)
    at = _places(place, position, low, high)
    nearest = np.abs(found.u[:, None] - at[None]).argmin(axis=1)
    off = np.abs(found.u - at[nearest])
    up = np.abs(found.v - np.polyval(lift, inside[nearest]))
    good = np.flatnonzero((off < 0.16 * PITCH) & (up < 1.3))
    # One per position, the best; and back into the order of positions.
    good = good[np.argsort(-found.score[good], kind="stable")]
    _, first = np.unique(nearest[good], return_index=True)
    members = good[first]
    return members, position[nearest[members]]


def _places(place: Floats, position: Floats | Indices, low: int, high: int) -> Floats:
    """Return where positions lie on a grid that was fitted from ``low`` to ``high``."""
    inside = np.clip(position, low, high)
    # Polynomials run wild outside of what they were fitted to; straight lines do not.
    slope = np.clip(np.polyval(np.polyder(place), inside), 0.9 * PITCH, 1.1 * PITCH)
    return np.asarray(np.polyval(place, inside) + (position - inside) * slope)


def split(line: Line) -> tuple[Line, Line | None]:
    """Take the amount field off the right end: another machine, often another bank, prints it."""
    opens = np.flatnonzero(line.found.character == _AMOUNT)
    if not len(opens):
        return line, None
    # An amount is twelve characters long; the first symbol may be hidden.
    closing = int(opens[-1])
    within = np.flatnonzero(line.position > line.position[closing] - 12)
    start = int(opens[0]) if len(opens) > 1 else int(within[0])
    start = max(start, int(within[0]))
    if start < _FEWEST or len(line.position) - start < _FEWEST:
        return line, None
    return _part(line, slice(0, start)), _part(line, slice(start, None))


def _part(line: Line, which: slice) -> Line:
    keep = np.arange(len(line.position))[which]
    return replace(line, position=line.position[keep], found=line.found.chosen(keep))


def _chains(found: Glimpse) -> list[tuple[Indices, Indices]]:
    """Return the chain of all characters, and that of what is clear where it is another.

    Through what is under a pen, one may be led astray, and the other may find no way across.
    """
    chain = _chain(found)
    if chain is None:
        return []
    clear = np.flatnonzero(found.score >= np.percentile(found.score, 75) - _DIM)
    other = _chain(found.chosen(clear))
    if other is None:
        return [chain]
    members = clear[other[0]]
    _, here, there = np.intersect1d(chain[0], members, return_indices=True)
    same = len(there) == len(members) and np.ptp(chain[1][here] - other[1][there]) == 0
    return [chain] if same else [chain, (members, other[1])]


def _chain(found: Glimpse) -> tuple[Indices, Indices] | None:
    """Return members and their positions, grown both ways from a regular run.

    It is the longest one, but rather that of the transit field, so that the main line does not
    grow out of the amount's.
    """
    u = found.u
    gap = np.diff(u)
    near = gap[(gap > 0.8 * PITCH) & (gap < 1.2 * PITCH)]
    if len(near) < _FEWEST - 1:
        return None
    pitch = float(np.median(near))
    regular = np.abs(gap / pitch - 1) < 0.12
    ends = np.flatnonzero(np.diff(np.concatenate([[0], regular.astype(np.int8), [0]])))
    runs = [
        (start, stop)
        for start, stop in zip(ends[::2].tolist(), ends[1::2].tolist(), strict=True)
        if stop - start >= _FEWEST - 2
    ]
    if not runs:
        return None
    transit = found.character == _TRANSIT
    start, stop = max(
        runs, key=lambda run: run[1] - run[0] + _WEIGHT * int(transit[run[0] : run[1] + 1].sum())
    )
    seed = list(range(start, stop + 1))
    widest = np.full(len(u), _WIDEST_GAP)
    if not (found.character[seed] == _AMOUNT).any():
        # Up to the amount at most.
        amount = np.flatnonzero(found.character[stop:] == _AMOUNT)
        widest[: stop + amount[0] if len(amount) else None] = _HIDDEN
    right = _grown(u, seed, pitch, range(stop + 1, len(u)), widest)
    # The same to the left, in a mirror.
    left = _grown(-u, seed[::-1], pitch, range(start - 1, -1, -1), widest)
    position = dict(right)
    width = len(seed) - 1
    position |= {member: width - place for member, place in left}
    members = sorted(position)
    return np.array(members), np.array([position[member] for member in members])


def _grown(
    u: Floats, seed: list[int], pitch: float, others: range, widest: Indices
) -> list[tuple[int, int]]:
    """Number ``seed`` from 0 and go on with those of ``others`` that keep the step.

    ``widest`` is how many positions each may be away from the one before.
    """
    run = [(member, place) for place, member in enumerate(seed)]
    for other in others:
        tail = run[-8:]
        places = np.array([place for _, place in tail], float)
        at = u[[member for member, _ in tail]]
        step = _slope(places, at) if len(tail) >= 4 else pitch
        step = min(max(step, 0.9 * pitch), 1.1 * pitch)
        steps = (u[other] - at[-1]) / step
        whole = round(steps)
        if 1 <= whole <= widest[other] and abs(steps - whole) < _LOOSE + 0.01 * whole:
            run.append((other, tail[-1][1] + whole))
    return run


def _regular(track: Track, place: Floats, lift: Floats, position: Indices) -> Track:
    """Return the track in which the characters stand on whole positions, their tops at v 0."""
    low, high = int(position[0]), int(position[-1])
    i = np.arange(low - _BEYOND, high + _FURTHER, 0.5)
    v = np.array([[-1.0], [5.0], [11.0]])
    down = np.polyval(lift, np.clip(i, low, high)) + 1
    x, y = track.points(_places(place, i, low, high), v + down)
    u = np.broadcast_to(i * PITCH, x.shape)
    weight = np.broadcast_to(np.where((i < low - 1) | (i > high + 1), _FAINT, 1.0), x.shape)
    centre, reach = (low + high) / 2 * PITCH, (high - low) / 2 * PITCH
    return fitted(u, np.broadcast_to(v, x.shape), x, y, centre, reach, weight)


def _slope(x: Floats, y: Floats) -> float:
    """Return the slope of the straight line through points: least squares."""
    away = x - x.mean()
    return float(away @ y / (away @ away))
