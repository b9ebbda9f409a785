"""Checks that something happened to: what a reader must not take for granted.

Each accident is drawn anew from a number, on the paper of a specimen. `Accident.truth` is what is
printed on the line, whether it can be seen or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.check_demo.specimen import Check, camera, check_digit, vary
from examples.check_scanner.recogniser.e13b import AMOUNT, DASH, ON_US, TRANSIT

from .sheets import Draw, Fields, Odd, Paper, Sheet, specimen_paper

_SKIN = ((228, 184, 160), (198, 140, 110), (150, 98, 72), (96, 62, 48))
_BEDS = ((252, 252, 252), (236, 238, 234), (128, 128, 128), (40, 40, 44), (8, 8, 8), (150, 112, 78))


@dataclass(frozen=True, slots=True)
class Accident:
    """A picture, and what is printed on the check's line."""

    image: Image.Image
    truth: Fields


def _paper(seed: int, kind: str, draw: Draw, check: Check | None = None) -> tuple[Paper, Random]:
    chance = Random(f"{kind} {seed}")
    noise = np.random.Generator(np.random.SFC64([seed, len(kind), ord(kind[0])]))
    if check is None:
        check = vary(7_000_000 + seed)
        check = replace(check, routing=_routing(check))
    return draw(check, chance.choice((150, 200, 200, 240)), chance, noise), chance


def _routing(check: Check) -> str:
    return check.routing[:8] + check_digit(check.routing[:8])


def untouched(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Show the check that the accidents of the same number and ``kind`` happen to."""
    paper, chance = _paper(seed, "glare", draw)
    return _scanned(paper, paper.sheet, chance)


def glare(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Let a lamp be reflected somewhere on the line."""
    paper, chance = _paper(seed, "glare", draw)
    centre = paper.inside(chance), paper.y + chance.uniform(-0.08, 0.08) * paper.dpi
    axes = chance.uniform(0.05, 0.32), chance.uniform(0.1, 0.45)
    light = _ellipse(paper, centre, axes, chance.choice((0.004, 0.02, 0.05)))
    light *= chance.uniform(0.8, 1.0)
    white = np.array(chance.choice(((255, 255, 255), (255, 252, 240), (248, 252, 255))))
    return _scanned(paper, _blend(paper.sheet, light, white), chance)


def thumb(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Hold the check with a thumb on its line."""
    paper, chance = _paper(seed, "thumb", draw)
    centre = paper.inside(chance), paper.sheet.shape[0] - chance.uniform(-0.1, 0.2) * paper.dpi
    axes = chance.uniform(0.12, 0.35), chance.uniform(0.35, 0.65)
    cover = _ellipse(paper, centre, axes, 0.006)
    skin = np.array(chance.choice(_SKIN), np.float32)
    shade = np.linspace(1.05, 0.85, paper.sheet.shape[1], dtype=np.float32)[None, :, None]
    return _scanned(paper, _blend(paper.sheet, cover, skin * shade), chance)


def note(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Lay a slip of other paper on the line."""
    paper, chance = _paper(seed, "note", draw)
    colour = chance.choice(((255, 250, 160), (250, 250, 250), (180, 215, 250), (60, 60, 70)))
    return _slip(paper, np.array(colour), chance)


def slip(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Lay a slip of the check's own paper on the line, or of nearly that colour."""
    paper, chance = _paper(seed, "slip", draw)
    corner = paper.sheet[-round(0.1 * paper.dpi) :, : round(0.2 * paper.dpi)]
    own = np.median(corner.reshape(-1, 3), axis=0) + chance.choice((-3, -1, 0, 0, 1, 3))
    return _slip(paper, np.clip(own, 0, 255), chance)


def edge(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Cut the check through its line; what is beside it is a scanner's bed or nothing at all."""
    paper, chance = _paper(seed, "edge", draw)
    at, sheet = round(paper.inside(chance)), paper.sheet
    left = chance.random() < 0.25
    kept = sheet[:, at:] if left else sheet[:, :at]
    if chance.random() < 0.8:
        wide = round(chance.uniform(0.1, 3.0) * paper.dpi)
        bed = np.full((sheet.shape[0], wide, 3), chance.choice(_BEDS), np.uint8)
        kept = np.hstack([bed, kept] if left else [kept, bed])
    return _scanned(paper, np.ascontiguousarray(kept), chance)


def fold(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Fold a strip of the check away, of no particular width."""
    paper, chance = _paper(seed, "fold", draw)
    at = round(paper.inside(chance))
    wide = round(chance.uniform(0.06, 0.6) * paper.dpi)
    sheet = np.ascontiguousarray(np.delete(paper.sheet, np.s_[max(0, at - wide) : at], axis=1))
    crease = max(1, round(0.008 * paper.dpi))
    column = max(0, at - wide)
    shade = chance.choice((1.0, 0.85, 0.6, 0.3))
    dark = sheet[:, column : column + crease] * shade
    sheet[:, column : column + crease] = dark.astype(np.uint8)
    return _scanned(paper, sheet, chance)


def two_checks(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Lay two checks side by side, or one above the other, into one picture."""
    paper, chance = _paper(seed, "two", draw)
    other = vary(8_000_000 + seed)
    dpi = paper.dpi * chance.uniform(0.85, 1.1)
    noise = np.random.Generator(np.random.SFC64(seed))
    second = draw(replace(other, routing=_routing(other)), dpi, chance, noise).sheet
    if chance.random() < 0.25:
        second = second[::-1, ::-1]
    bed = chance.choice(_BEDS)
    gap = round(chance.uniform(0.02, 0.6) * paper.dpi)
    stacked = chance.random() < 0.7
    a, b = (paper.sheet, second) if chance.random() < 0.5 else (second, paper.sheet)
    if not stacked:
        a, b = a.transpose(1, 0, 2), b.transpose(1, 0, 2)
    offset = round(chance.uniform(0, 0.5) * paper.dpi)
    size = a.shape[0] + b.shape[0] + gap, max(a.shape[1], b.shape[1] + offset)
    sheet = np.full((*size, 3), bed, np.uint8)
    sheet[: a.shape[0], : a.shape[1]] = a
    sheet[a.shape[0] + gap :, offset : offset + b.shape[1]] = b
    sheet = sheet if stacked else sheet.transpose(1, 0, 2)
    return _scanned(paper, np.ascontiguousarray(sheet), chance)


def foreign(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Print a transit number with a dash: Canada's five and three digits, or anywhere."""
    chance = Random(f"transit {seed}")
    digits = "".join(chance.choices("0123456789", k=8))
    dash = 5 if chance.random() < 0.6 else chance.choice((1, 2, 3, 6, 7))
    check = vary(7_100_000 + seed)
    on_us = f"{check.account[:10]}{ON_US} {check.serial[-4:]}"
    text = (
        f"{TRANSIT}{digits[:dash]}{DASH}{digits[dash:]}{TRANSIT}{' ' * chance.randint(0, 1)}{on_us}"
    )
    return _odd(seed, check, text, (digits, check.account[:10], check.serial[-4:], None), draw)


def dash_serial(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Print the serial before the account, with nothing but a dash between them."""
    chance = Random(f"dash {seed}")
    check = vary(7_200_000 + seed)
    serial = f"{chance.randint(100, 999_999)}"[: chance.randint(3, 6)]
    account = check.account[: chance.randint(5, 9)]
    printed = account
    if chance.random() < 0.5:
        printed = f"{account[:4]}{DASH}{account[4:]}"
    blank = " " * chance.randint(0, 1)
    text = f"{TRANSIT}{_routing(check)}{TRANSIT}{blank}{serial}{DASH}{printed}{ON_US}"
    return _odd(seed, check, text, (_routing(check), account, serial, None), draw)


def symbols(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Print a symbol where none belongs: inside of the account or the serial."""
    chance = Random(f"symbols {seed}")
    check = vary(7_300_000 + seed)
    account, serial = check.account[:9], check.serial[-4:]
    symbol = chance.choice((TRANSIT, AMOUNT, ON_US))
    at = chance.randint(1, len(account) - 1)
    printed, number = f"{account[:at]}{symbol}{account[at:]}", serial
    if chance.random() < 0.25:
        printed, number = account, f"{serial[:2]}{chance.choice((TRANSIT, AMOUNT))}{serial[2:]}"
    text = f"{TRANSIT}{_routing(check)}{TRANSIT}{printed}{ON_US} {number}"
    return _odd(seed, check, text, (_routing(check), account, serial, None), draw)


def askew(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Turn the check by up to 35 degrees on a table."""
    paper, chance = _paper(seed, "askew", draw)
    degrees = chance.choice((-1, 1)) * chance.uniform(5, 35)
    turned = camera.flat(paper.sheet, degrees, chance.choice((20, 70, 140, 235)))
    return _scanned(paper, turned, chance)


def quarter(seed: int, draw: Draw = specimen_paper) -> Accident:
    """Turn the picture by a quarter."""
    paper, chance = _paper(seed, "quarter", draw)
    turns = chance.choice((1, 3))
    return _scanned(paper, np.ascontiguousarray(np.rot90(paper.sheet, turns)), chance)


def _odd(seed: int, check: Check, text: str, truth: Fields, draw: Draw) -> Accident:
    odd = replace(check, routing=_routing(check), layout=Odd(text=text))
    paper, chance = _paper(seed, "odd", draw, odd)
    return _scanned(replace(paper, truth=truth), paper.sheet, chance)


def _slip(paper: Paper, colour: NDArray[np.generic], chance: Random) -> Accident:
    sheet = paper.sheet.copy()
    left, wide = paper.inside(chance), chance.uniform(0.1, 0.8) * paper.dpi
    top = paper.y - chance.uniform(0.12, 0.4) * paper.dpi
    corners = (round(left), round(top)), (round(left + wide), sheet.shape[0])
    cv2.rectangle(sheet, *corners, colour.astype(float).tolist(), -1)
    return _scanned(paper, sheet, chance)


def _ellipse(
    paper: Paper, centre: tuple[float, float], axes: tuple[float, float], soft: float
) -> NDArray[np.float32]:
    """Return a mask of 0 to 1; half axes and softness in inches."""
    mask = np.zeros(paper.sheet.shape[:2], np.float32)
    at = round(centre[0]), round(centre[1])
    size = round(axes[0] * paper.dpi), round(axes[1] * paper.dpi)
    cv2.ellipse(mask, at, size, 0, 0, 360, (1.0,), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.5, soft * paper.dpi)), np.float32)


def _blend(sheet: Sheet, share: NDArray[np.float32], colour: NDArray[np.float32]) -> Sheet:
    share = share[..., None]
    return np.asarray(np.clip(sheet * (1 - share) + colour * share, 0, 255), np.uint8)


def _scanned(paper: Paper, sheet: Sheet, chance: Random) -> Accident:
    """Return the picture, sometimes with a bed around it, blurred and grainy as scans are."""
    noise = np.random.Generator(np.random.SFC64(chance.getrandbits(32)))
    if chance.random() < 0.5:
        rim = round(chance.uniform(0.02, 0.3) * paper.dpi)
        bed = chance.choice(_BEDS)
        sheet = np.asarray(
            cv2.copyMakeBorder(sheet, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=bed), np.uint8
        )
    seen = camera.focus(sheet, chance.uniform(0.2, 0.8), 0, noise)
    seen = camera.grain(seen, chance.uniform(0.5, 6), noise)
    return Accident(Image.fromarray(seen), paper.truth)


#: All that can happen, by name.
KINDS: dict[str, Callable[..., Accident]] = {
    "glare": glare,
    "thumb": thumb,
    "note": note,
    "slip of the same paper": slip,
    "edge": edge,
    "fold": fold,
    "two checks": two_checks,
    "foreign transit": foreign,
    "dash after the serial": dash_serial,
    "symbols in fields": symbols,
    "up to 35 degrees": askew,
    "a quarter turn": quarter,
}
