"""The model: what the recogniser has to know about the typeface, as one file on S3.

The file is an ``.npz`` with a ``version``, one template per character and the network's weights. It
is the thing that operations replaces while functions are running.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import e13b
from .micr.bank import MARGIN, Bank, prepare
from .micr.network import unpacked

#: What the network has learned; ``python -m examples.check_demo.training`` writes it.
WEIGHTS = Path(__file__).with_name("weights.npz")
#: As fine as the recogniser can use.
PIXELS_PER_MODULE = 4


@dataclass(frozen=True, slots=True)
class Model:
    """Templates in the order of `e13b.CHARACTERS`: ink coverage from 0 to 255.

    Each is `e13b.GLYPH_WIDTH` by `e13b.GLYPH_HEIGHT` modules, the glyph to the right, with a
    margin of `bank.MARGIN` modules on every side. ``bank`` is what is matched, made from them once,
    and the network.
    """

    version: str
    templates: NDArray[np.uint8]
    bank: Bank


def build(version: str, pixels_per_module: int) -> bytes:
    """Draw the templates and pack them; a finer grid gives a larger, more exact model.

    The network's weights are those of `WEIGHTS`.
    """
    margin = MARGIN * pixels_per_module
    right = margin + e13b.GLYPH_WIDTH * pixels_per_module
    size = (right + margin, 2 * margin + e13b.GLYPH_HEIGHT * pixels_per_module)
    templates = [
        np.asarray(e13b.render([(character, right, margin)], size, pixels_per_module))
        for character in e13b.CHARACTERS
    ]
    packed = io.BytesIO()
    with np.load(WEIGHTS, allow_pickle=False) as weights:
        np.savez(packed, version=np.array(version), templates=np.stack(templates), **weights)
    return packed.getvalue()


def load(path: Path) -> Model:
    """Read a model file and prepare it for matching; raises ``ValueError`` if it is none."""
    # Opened here, because numpy leaves the file open if it is none of its own. No pickle: whoever
    # may write the model must not thereby run code in the function.
    with path.open("rb") as file:
        try:
            arrays = np.load(file, allow_pickle=False)
            templates = arrays["templates"]
            bank = prepare(templates, unpacked(arrays))
            return Model(str(arrays["version"]), templates, bank)
        except (LookupError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a model of this scanner: {error}") from error
