"""E-13B, the magnetic-ink typeface on the bottom line of a check: shapes and places.

Everything is built on a module of 0.013 inch; glyphs are 9 modules high and 4 to 7 wide. The four
symbols are named after their job, which for two of them is not what Unicode's charts call them:
U+2448 is "on-us" and U+2449 is "dash".
"""

from collections.abc import Iterable

from PIL import Image, ImageDraw, ImageFilter

TRANSIT, AMOUNT, ON_US, DASH = "\u2446", "\u2447", "\u2448", "\u2449"

#: Inches.
MODULE = 0.013
PITCH = 0.125  # from one character to the next
RIGHT_MARGIN = 5 / 16  # from the paper's right edge to the right edge of position 1
CLEAR_BAND = 0.625  # from the bottom edge up, kept free of everything but this line
PRINT_BAND = (3 / 16, 7 / 16)  # the part of it, above the bottom edge, where the line is printed

#: Modules.
GLYPH_HEIGHT = 9
GLYPH_WIDTH = 7  # of the widest glyph

#: The leftmost position of a personal check's line: the transit field's opening symbol.
FIRST_POSITION = 43

# Width, then the parts in modules from the glyph's own top left corner: x0, y0, x1, y1 is a
# rectangle, more numbers are a polygon. The zero is a ring and drawn by itself.
_GLYPHS: dict[str, tuple[int, tuple[tuple[float, ...], ...]]] = {
    "0": (7, ()),
    "1": (4, ((0, 0, 1.5, 1), (1, 0, 2, 5), (0, 5, 4, 9))),
    "2": (4, ((0, 0, 4, 1), (3, 0, 4, 5), (0, 4, 4, 5), (0, 4, 1, 9), (0, 8, 4, 9))),
    "3": (5, ((0, 0, 4, 1), (3, 0, 4, 5), (0, 4, 4, 5), (3, 4.5, 5, 9), (0, 8, 5, 9))),
    "4": (6, ((0, 0, 2, 7), (0, 6, 4.5, 7), (4, 5, 6, 9))),
    "5": (5, ((0, 0, 5, 1), (0, 0, 1, 5), (0, 4, 5, 5), (4, 4, 5, 9), (0, 8, 5, 9))),
    "6": (
        6,
        (
            (0, 0, 1, 9),
            (0, 0, 4, 1),
            (3, 0, 4, 2.5),
            (0, 5, 6, 6),
            (5, 5, 6, 9),
            (0, 8, 6, 9),
        ),
    ),
    "7": (
        5,
        (
            (0, 0, 5, 1),
            (0, 0, 1, 3),
            (4, 0, 5, 3.6),
            (4, 3, 5, 3.6, 3, 5.2, 2, 4.4),
            (2, 4.4, 3, 9),
        ),
    ),
    "8": (
        7,
        (
            (1, 0, 6, 1),
            (1, 0, 2, 4.7),
            (5, 0, 6, 4.7),
            (1, 4, 6, 5),
            (0, 4.5, 2, 9),
            (5, 4.5, 7, 9),
            (0, 8, 7, 9),
        ),
    ),
    "9": (6, ((0, 0, 6, 1), (0, 0, 1, 5), (0, 4, 6, 5), (5, 0, 6, 5), (4, 4.5, 6, 9))),
    TRANSIT: (7, ((0, 1.5, 2, 7.5), (4, 0, 7, 3), (4, 6, 7, 9))),
    AMOUNT: (7, ((0, 5, 2, 9), (3, 2.25, 4, 6.75), (5, 0, 7, 4))),
    ON_US: (7, ((0, 1.5, 1, 7.5), (2, 1.5, 3, 7.5), (4, 0.5, 7, 4.5))),
    DASH: (7, ((0, 2.5, 2, 6.5), (3, 2.5, 5, 6.5), (6, 2.5, 7, 6.5))),
}

CHARACTERS = "".join(_GLYPHS)

# Drawn this many times larger and averaged down: positions are fractions of a pixel.
_OVERSAMPLE = 8
# A blur of this many modules, cut at half, rounds corners by about half a module and leaves
# straight edges where they are.
_CORNER_BLUR = 0.35


def personal_line(routing: str, account: str, serial: str) -> str:
    """Return a personal check's line from `FIRST_POSITION` rightwards, blanks included.

    The amount field (positions 12 to 1) stays empty: the bank that takes the check fills it.
    """
    return f"{TRANSIT}{routing}{TRANSIT} {account}{ON_US} {serial}"


def right_edge(position: int) -> float:
    """Return inches from the paper's right edge to the right edge of a position's glyph."""
    return RIGHT_MARGIN + (position - 1) * PITCH


def render(
    placed: Iterable[tuple[str, float, float]], size: tuple[int, int], module: float
) -> Image.Image:
    """Return the ink coverage (mode ``L``, 255 is ink) of characters on a canvas of ``size``.

    ``placed`` gives each character with its right and its top edge, ``module`` the module's size:
    all in pixels, fractions welcome.
    """
    scale = _OVERSAMPLE
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    pen = ImageDraw.Draw(mask)
    for character, right, top in placed:
        _paint(pen, character, right * scale, top * scale, module * scale)
    blurred = mask.filter(ImageFilter.GaussianBlur(_CORNER_BLUR * module * scale))
    return blurred.point(lambda level: 255 * (level > 127)).reduce(scale)


def _paint(
    pen: ImageDraw.ImageDraw, character: str, right: float, top: float, module: float
) -> None:
    width, parts = _GLYPHS[character]
    left = right - width * module

    def at(numbers: Iterable[float]) -> list[float]:
        return [
            (top if index % 2 else left) + number * module for index, number in enumerate(numbers)
        ]

    if character == "0":
        pen.rounded_rectangle(at((0, 0, 7, 9)), radius=2 * module, fill=255)
        pen.rounded_rectangle(at((1, 1, 6, 8)), radius=module, fill=0)
    for part in parts:
        if len(part) == 4:
            pen.rectangle(at(part), fill=255)
        else:
            pen.polygon(at(part), fill=255)
