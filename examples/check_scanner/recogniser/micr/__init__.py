"""Reading the MICR line of a check: `read`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from ...reading import Reading
from . import trust
from .grey import colours, split
from .line import see

if TYPE_CHECKING:  # the model is made ready by `micr.bank`
    from ..model import Model


def read(model: Model, image: Image.Image) -> Reading:
    """Read the MICR line of a check.

    ``image`` is of any mode and resolution and may show the check turned by some degrees, upside
    down, in perspective and on a table. What leaves no doubt is accepted; the decision's reason
    says what does. Boxes are in pixels of ``image`` and begin at the text's own top left corner.
    Takes about 35 ms on one core for a picture 1,200 to 1,700 pixels wide.

    The line is looked for as a row of equally high blobs (`locate`), whose correlation with the
    typeface decides if it is one and which way up (`find`); its grid of an eighth of an inch
    (`grid`) is fitted to the picture until what was drawn and what is seen coincide (`refine`).
    Strokes of coloured pens are taken out wherever the line is looked at (`pens`).
    Every position is then compared with every character (`cells`), and a small network says what it
    most likely is (`network`). `fields` knows the grammar, `verdict` and `trust` what may be
    believed, `quality` what the picture may hide (`paper`).
    """
    picture = colours(image)
    value, luminance = split(picture)
    seen = see(value, luminance, model.bank)
    if seen is None:
        return trust.nothing(model.version)
    return trust.judged(seen, model.version, picture)
