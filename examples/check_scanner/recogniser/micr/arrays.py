"""What arrays hold, by name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Height x width, 0 is black.
Grey = NDArray[np.uint8]
#: Shares of full ink (0 is paper) or of coverage, where there are many pixels.
Ink = NDArray[np.float32]
#: Everything else that is measured.
Floats = NDArray[np.floating[Any]]
#: Positions, members, indices of characters.
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
#: Height x width x channels, or height x width of a grey picture.
Colours = NDArray[np.uint8]
