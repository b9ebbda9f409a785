"""Drawn checks of people and banks that do not exist, for demos, tests and measurements.

>>> from examples.check_demo import specimen
>>> check = specimen.invent(7)
>>> jpeg = specimen.draw_jpeg(check)
>>> photo = specimen.sample(7, "mobile")  # photo.image, photo.upload, photo.truth
"""

from .draw import DPI, SIZE, draw, draw_jpeg
from .invent import Check, check_digit, invent, vary
from .samples import TIERS, Sample, Truth, sample

__all__ = [
    "DPI",
    "SIZE",
    "TIERS",
    "Check",
    "Sample",
    "Truth",
    "check_digit",
    "draw",
    "draw_jpeg",
    "invent",
    "sample",
    "vary",
]
