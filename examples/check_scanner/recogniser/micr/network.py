"""What each position most likely is, by a small network that was trained on drawn checks.

It has learned what comparing with templates does not tell: what is left of a character under pen
strokes, and that strokes cross blanks, too. Its weights are in the model; a program that draws
checks made them (README.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..e13b import CHARACTERS
from .arrays import Floats, Ink

#: The square that is looked at, in modules and in pixels of `bank.FINE`: the glyph's window and two
#: modules on either side, from where a stroke or a neighbour comes.
SIDE, PIXELS = 13, 39
#: Ink that is lighter or darker than this, as a share of the line's, says nothing more; and the
#: least that a line's ink is taken for.
RANGE, LEAST_LEVEL = (-0.2, 1.2), 0.1
#: Names of the convolutions' arrays, and their steps in pixels.
STEPS = {"first": 2, "second": 2, "third": 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution, or what sees all at once: ``weights`` are what is seen x what comes of it."""

    weights: Ink
    bias: Ink
    side: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Network:
    """Three convolutions and a last layer that sees all of what they make."""

    convolutions: tuple[Layer, ...]
    last: Layer


def unpacked(arrays: Mapping[str, NDArray[np.floating]]) -> Network:
    """Take a network out of a model's arrays; raises ``LookupError`` or ``ValueError``."""
    side, channels = PIXELS, 2
    convolutions = []
    for name, step in STEPS.items():
        sees = arrays[name].shape[0]
        layer = _layer(arrays, name, (sees, sees, channels), step)
        convolutions.append(layer)
        side, channels = (side - sees) // step + 1, layer.bias.size
    last = _layer(arrays, "last", (side * side * channels,))
    if last.bias.size != len(CHARACTERS) + 1:
        raise ValueError(f"the network tells {last.bias.size} things apart")
    return Network(tuple(convolutions), last)


def _layer(
    arrays: Mapping[str, NDArray[np.floating]], name: str, sees: tuple[int, ...], step: int = 1
) -> Layer:
    weights, bias = (np.asarray(arrays[key], np.float32) for key in (name, f"{name}_bias"))
    if bias.ndim != 1 or weights.shape != (*sees, bias.size):
        raise ValueError(f"the network's {name} layer is {weights.shape}, {bias.shape}")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError(f"the network's {name} layer has what is no number")
    return Layer(weights.reshape(-1, bias.size), bias, sees[0], step)


def logits(network: Network, seen: Ink, level: Floats) -> Floats:
    """Return log odds: positions x (characters in the order of `e13b`, and nothing at all).

    ``seen`` are positions x `PIXELS` x `PIXELS` x (black ink, all ink); ``level`` is how black the
    line's ink is at each.
    """
    scale = 1 / np.maximum(level, LEAST_LEVEL).astype(np.float32)
    made = np.asarray(np.clip(seen * scale[:, None, None, None], *RANGE), np.float32)
    for layer in network.convolutions:
        made = np.maximum(_convolved(made, layer), 0)
    flat = made.reshape(len(made), -1)
    return np.asarray(flat @ network.last.weights + network.last.bias, np.float64)


def _convolved(made: Ink, layer: Layer) -> Ink:
    pieces = sliding_window_view(made, (layer.side, layer.side), axis=(1, 2))
    # Positions x rows x columns x (rows, columns and channels of a piece), as weights have them.
    pieces = pieces[:, :: layer.step, :: layer.step].transpose(0, 1, 2, 4, 5, 3)
    flat = pieces.reshape(*pieces.shape[:3], -1)
    return np.asarray(flat @ layer.weights + layer.bias, np.float32)
