"""The courtesy amount: the numerals in the box, where they are printed.

An optional extra: it needs tesserocr (which brings Tesseract) and Tesseract's data for English.
Without them the scanner goes on without this second source of the amount, unless the environment
says ``COURTESY_AMOUNT=required``. Data is looked for in ``$TESSDATA_PREFIX``, then where Debian,
Fedora and Homebrew put it.

Handwriting is not read: Tesseract guesses at it, and a wrong amount is worse than none.
"""

import importlib.util
import os
import re
import threading
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..reading import Field

if TYPE_CHECKING:
    from tesserocr import PyTessBaseAPI

Pixels = NDArray[np.uint8]
Corners = NDArray[np.float32]

_TESSDATA = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/opt/homebrew/share/tessdata",
    "/usr/local/share/tessdata",
)

#: Pixels. The picture is made this wide for finding the box, whose frame is then 1 to 3 wide.
_SEARCH_WIDTH = 1200
#: Height of the box's interior that Tesseract is given: at 200 dpi, twice what was scanned.
_READ_HEIGHT = 88
#: Share of the box's height to leave out along its frame: a part of the frame in the picture is
#: read as a digit or a bracket.
_FRAME = 0.1
#: What Tesseract must say of its least certain digit, 0 to 1.
_CERTAIN = 0.6
#: Typeset digits have one height and stand on one line, to this share of their height; of 24
#: handwritten amounts that three views agreed on (6 times on a wrong one) none did.
_EVEN = 0.07
#: Of 255; neighbours that touch in a blurred picture come apart at this level.
_APART = 100

# Stars before an amount keep others from writing digits there.
_AMOUNT = re.compile(r"\*{0,4}([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,8})\.([0-9]{2})")

_tesseract = threading.Lock()


class CourtesyUnavailableError(RuntimeError):
    """The setting requires courtesy amounts to be read, and something for it is missing."""


def available() -> bool:
    """Tell whether courtesy amounts can be read here.

    Raises `CourtesyUnavailableError` if they cannot although ``COURTESY_AMOUNT`` is ``required``.
    """
    lacking = missing()
    if lacking and os.environ.get("COURTESY_AMOUNT") == "required":
        raise CourtesyUnavailableError(f"COURTESY_AMOUNT=required, but {lacking}")
    return not lacking


def missing() -> str:
    """Say what has to be installed before courtesy amounts can be read; empty if nothing."""
    if importlib.util.find_spec("tesserocr") is None:
        return "tesserocr is not installed: pip install tesserocr."
    if not _tessdata():
        searched = ", ".join(_places())
        return (
            f"there is no eng.traineddata in {searched}: install tesseract-ocr-eng (Debian), or "
            "set TESSDATA_PREFIX to the directory that has it."
        )
    return ""


def read_amount(image: Image.Image) -> Field:
    """Read the amount printed in the box of an upright check.

    ``text`` is in cents, without leading zeros; None if there is no box, if what is in it is not
    plainly an amount, or if nothing is installed to read it with. ``box`` is the frame that was
    found. Raises `CourtesyUnavailableError` as `available` does.
    """
    if not available():
        return Field(None, 0.0)
    gray = np.asarray(image.convert("L"))
    corners = find_box(gray)
    if corners is None:
        return Field(None, 0.0)
    amount, certain = _read(_interior(gray, corners))
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return Field(amount, certain, (a, b, c, d))


def find_box(gray: Pixels) -> Corners | None:
    """Find the amount's box by its frame: 4 x 2 pixels, clockwise from the top left corner.

    It is the rectangle on the right, three to eight times as wide as high, that is as large as the
    boxes on checks are; None if there is none such.
    """
    scale = _SEARCH_WIDTH / gray.shape[1]
    small = _smaller(gray, scale)
    lines = cv2.adaptiveThreshold(
        small, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 25, _ink_step(small)
    )
    closed = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    contours, tree = cv2.findContours(closed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    best, most = None, 0.0
    for contour, (_, _, _, parent) in zip(contours, tree[0] if contours else (), strict=True):
        if parent < 0:
            continue  # an outline, not what it encloses
        corners = _upright(np.asarray(cv2.boxPoints(cv2.minAreaRect(contour)), np.float32))
        fit = _fit(corners, cv2.contourArea(contour), small.shape[1], small.shape[0])
        if fit > most:
            best, most = corners, fit
    return None if best is None else np.asarray(best / scale, np.float32)


def _ink_step(gray: Pixels) -> float:
    """How much darker than its surroundings ink is: a share of the picture's contrast."""
    dark, light = np.percentile(gray[::4, ::4], (2, 90))
    return max(6.0, 0.12 * float(light - dark))


def _upright(corners: Corners) -> Corners:
    """Order a rectangle's corners clockwise from the top left one."""
    around = corners[np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T[::-1]))]
    return np.roll(around, -int(np.argmin(around.sum(axis=1))), axis=0)


def _fit(corners: Corners, area: float, width: int, height: int) -> float:
    """Judge a rectangle: 0 is not the box, more is better."""
    across = float(np.linalg.norm(corners[1] - corners[0]))
    down = float(np.linalg.norm(corners[3] - corners[0]))
    x, y = corners.mean(axis=0) / (width, height)
    if not (0.55 < x < 0.98 and 0.1 < y < 0.75 and down > 0):
        return 0.0
    if not (3 < across / down < 8.5 and 0.08 < across / width < 0.35):
        return 0.0
    filled = area / (across * down)
    return filled if filled > 0.8 else 0.0


def _interior(gray: Pixels, corners: Corners) -> Pixels:
    """Cut the box's interior out, upright and at Tesseract's favourite size, on white."""
    across = float(np.linalg.norm(corners[1] - corners[0]))
    down = float(np.linalg.norm(corners[3] - corners[0]))
    width, edge = round(_READ_HEIGHT * across / down), _FRAME * _READ_HEIGHT
    target = np.array(
        [
            [-edge, -edge],
            [width + edge, -edge],
            [width + edge, _READ_HEIGHT + edge],
            [-edge, _READ_HEIGHT + edge],
        ],
        np.float32,
    )
    matrix = cv2.getPerspectiveTransform(corners, target)
    cut = cv2.warpPerspective(gray, matrix, (width, _READ_HEIGHT), flags=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(cut, 12, 12, 12, 12, cv2.BORDER_REPLICATE), np.uint8)


def _read(interior: Pixels) -> tuple[str | None, float]:
    """Return cents and how certain the least certain digit is; or None and 0.

    Crisp print over a pale pattern is misread with a certainty of 0.99 now and then, so the amount
    counts only if three views of the box agree: digits 27 and 18 pixels high, and black on white.
    """
    clean = _without_background(interior)
    bits = np.asarray(cv2.threshold(clean, 0, 255, cv2.THRESH_OTSU)[1], np.uint8)
    readings = [_recognise(_smaller(*view)) for view in ((clean, 0.6), (clean, 0.4), (bits, 0.5))]
    said = {text for text, _ in readings}
    amount = _AMOUNT.fullmatch(said.pop()) if len(said) == 1 else None
    certain = min(certainty for _, certainty in readings)
    if amount is None or certain < _CERTAIN:
        return None, 0.0
    cents = (amount[1] + amount[2]).replace(",", "")
    if not _is_typeset(clean, len(cents)):
        return None, 0.0
    return str(int(cents)), certain


def _without_background(interior: Pixels) -> Pixels:
    """Lighten paper, pattern and stamp to white, and darken the ink to black."""
    around = cv2.morphologyEx(interior, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    paper = cv2.GaussianBlur(around, (0, 0), 5).astype(np.float32)
    share = cv2.GaussianBlur(interior / np.maximum(paper, 1), (0, 0), 1.2)
    black, white = float(np.percentile(share, 1)), 0.9
    stretched = (share - black) / max(white - black, 0.01)
    return np.asarray(stretched.clip(0, 1) * 255, np.uint8)


def _smaller(pixels: Pixels, scale: float) -> Pixels:
    shrunk = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def _is_typeset(clean: Pixels, digits: int) -> bool:
    """Tell whether the tall things in the box are that many digits, set in type."""
    ink = (clean < _APART).astype(np.uint8)
    pieces = cv2.connectedComponentsWithStats(ink)[2][1:]
    heights = pieces[:, cv2.CC_STAT_HEIGHT]
    tall = heights > 0.6 * np.sort(heights)[-2:].min(initial=999)
    if tall.sum() != digits:
        return False
    heights, feet = heights[tall], (pieces[:, cv2.CC_STAT_TOP] + heights)[tall]
    # A box seen at an angle has its line climb a little: that is taken off.
    left = pieces[tall, cv2.CC_STAT_LEFT]
    feet = feet - np.polyval(np.polyfit(left, feet, 1), left)
    return bool(max(np.ptp(heights), np.ptp(feet)) <= _EVEN * np.median(heights))


def _recognise(view: Pixels) -> tuple[str, float]:
    """Return what Tesseract reads, without blanks, and its least certain digit's certainty."""
    from tesserocr import RIL, iterate_level

    with _tesseract:
        api = _api()
        api.SetImage(Image.fromarray(view))
        said = "".join(api.GetUTF8Text().split())
        symbols = iterate_level(api.GetIterator(), RIL.SYMBOL) if said else ()
        each = [(one.GetUTF8Text(RIL.SYMBOL), one.Confidence(RIL.SYMBOL)) for one in symbols]
    return said, min((sure for text, sure in each if text.isdigit()), default=0.0) / 100


@cache
def _api() -> "PyTessBaseAPI":
    """Tesseract with its model in memory: 0.1 s, once per process."""
    import tesserocr

    api = tesserocr.PyTessBaseAPI(path=_tessdata(), lang="eng", psm=tesserocr.PSM.SINGLE_LINE)
    api.SetVariable("tessedit_char_whitelist", "0123456789.,*")
    return api


def _tessdata() -> str:
    """The directory of Tesseract's data, empty if there is none."""
    for place in _places():
        if os.path.isfile(os.path.join(place, "eng.traineddata")):
            return place
    return ""


def _places() -> tuple[str, ...]:
    told = os.environ.get("TESSDATA_PREFIX")
    return (told, *_TESSDATA) if told else _TESSDATA
