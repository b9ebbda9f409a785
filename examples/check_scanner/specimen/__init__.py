"""Drawn checks of people and banks that do not exist, for demos and tests.

>>> from examples.check_scanner import specimen
>>> check = specimen.invent(7)
>>> jpeg = specimen.draw_jpeg(check)
"""

from examples.check_scanner.specimen.draw import DPI, SIZE, draw, draw_jpeg
from examples.check_scanner.specimen.invent import Check, check_digit, invent

__all__ = ["DPI", "SIZE", "Check", "check_digit", "draw", "draw_jpeg", "invent"]
