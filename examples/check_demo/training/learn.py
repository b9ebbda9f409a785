"""Training the network with JAX, which the recogniser itself does not need."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from examples.check_scanner.recogniser.micr.network import LEAST_LEVEL, PIXELS, RANGE, STEPS
from examples.check_scanner.recogniser.micr.verdict import NOTHING

from .cover import covered
from .lessons import FULL, PAPER, Lesson

# Channels of what the convolutions make, and the side of what each sees, in pixels.
_CHANNELS, _SEEN = (16, 32, 48), (5, 3, 3)
# How much of what the convolutions make is kept at a time, so that nothing relies on one of it.
_KEPT = 0.7
_BATCH, _RATE, _WARM, _DECAY = 256, 2e-3, 300, 1e-4
# Pixels by which positions are moved, and how much paler or darker they are made.
_MOVED, _PALER = 2, 0.15
# Epochs after which positions that the network contradicts by such log odds are dropped, with so
# many on either side: the line was laid over them wrongly.
_FIRST, _CONTRADICTED, _BESIDE = 2, 4.0, 4

Weights = dict[str, Any]


def joined(lessons: list[Lesson]) -> Lesson:
    """Put lessons together."""
    return Lesson(
        np.concatenate([one.seen for one in lessons]),
        np.concatenate([one.level for one in lessons]),
        np.concatenate([one.printed for one in lessons]),
    )


def learned(
    lesson: Lesson, epochs: int, told: Callable[[int, float], object]
) -> dict[str, NDArray[np.float16]]:
    """Return a network's arrays, as `network.unpacked` takes them.

    ``told`` is called after each epoch, with its number and the mean loss. Of 600,000 positions an
    epoch takes two and a half minutes on two cores.
    """
    first = _trained(lesson, min(_FIRST, epochs), lambda *_: None)
    weights = _trained(_agreeing(lesson, first), epochs, told)
    return {name: np.asarray(array, np.float16) for name, array in weights.items()}


def odds(weights: Weights, lesson: Lesson) -> NDArray[np.floating[Any]]:
    """Return log odds: positions x (characters and nothing at all)."""
    pieces = range(0, len(lesson.level), 1000)
    return np.concatenate(
        [np.asarray(_net(weights, _ink(lesson, slice(at, at + 1000)))) for at in pieces]
    )


def _trained(lesson: Lesson, epochs: int, told: Callable[[int, float], object]) -> Weights:
    rng, key = np.random.default_rng(0), jax.random.key(1)
    steps = epochs * max(1, len(lesson.level) // _BATCH)
    rate = optax.warmup_cosine_decay_schedule(0, _RATE, min(_WARM, steps // 2), steps)
    optimizer = optax.adamw(rate, weight_decay=_DECAY)
    weights = _untrained(jax.random.key(0))
    state = optimizer.init(weights)

    @jax.jit  # type: ignore[untyped-decorator] # where jax is not installed
    def step(weights: Weights, state: Any, seen: Any, printed: Any, key: Any) -> Any:
        loss, gradient = jax.value_and_grad(_loss)(weights, seen, printed, key)
        change, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, change), state, loss

    for epoch in range(epochs):
        losses = []
        for which in _batches(len(lesson.level), rng):
            key, dropped = jax.random.split(key)
            seen = _varied(lesson, which, rng)
            weights, state, loss = step(weights, state, seen, lesson.printed[which], dropped)
            losses.append(loss)
        told(epoch, float(np.mean(losses)))
    return weights


def _batches(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    order = rng.permutation(count)
    for start in range(0, max(1, count - _BATCH + 1), _BATCH):
        yield np.sort(order[start : start + _BATCH])


def _ink(lesson: Lesson, which: NDArray[np.intp] | slice, paler: Any = 1.0) -> NDArray[np.float32]:
    """Return what the network makes of what it is given, with ink ``paler`` than it was."""
    scale = 1 / np.maximum(lesson.level[which] * paler, LEAST_LEVEL)
    ink = (lesson.seen[which].astype(np.float32) - PAPER) / FULL
    return np.asarray(np.clip(ink * scale[:, None, None, None], *RANGE), np.float32)


def _varied(
    lesson: Lesson, which: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return positions a little out of place, paler or darker, some of them partly covered."""
    seen = _ink(lesson, which, rng.uniform(1 - _PALER, 1 + _PALER, len(which)))
    seen = np.roll(seen, rng.integers(-_MOVED, _MOVED + 1, 2).tolist(), axis=(1, 2))
    return covered(seen, lesson.printed[which] != NOTHING, rng)


def _agreeing(lesson: Lesson, weights: Weights) -> Lesson:
    """Drop what the network contradicts, and what is beside that."""
    said = odds(weights, lesson)
    order = np.sort(said, axis=1)
    sure = order[:, -1] - order[:, -2] > _CONTRADICTED
    wrong = sure & (said.argmax(axis=1) != lesson.printed)
    keep = ~np.convolve(wrong, np.ones(2 * _BESIDE + 1), "same").astype(bool)
    return Lesson(lesson.seen[keep], lesson.level[keep], lesson.printed[keep])


def _untrained(key: Any) -> Weights:
    weights: Weights = {}
    side, inputs = PIXELS, 2
    for (name, step), channels, seen in zip(STEPS.items(), _CHANNELS, _SEEN, strict=True):
        key, own = jax.random.split(key)
        shape = seen, seen, inputs, channels
        spread = np.sqrt(2 / (seen * seen * inputs))
        weights[name] = jax.random.normal(own, shape) * spread
        weights[f"{name}_bias"] = jnp.zeros(channels)
        side, inputs = (side - seen) // step + 1, channels
    made = side * side * inputs
    weights["last"] = jax.random.normal(key, (made, NOTHING + 1)) / np.sqrt(made)
    weights["last_bias"] = jnp.zeros(NOTHING + 1)
    return weights


def _made(weights: Weights, seen: Any) -> Any:
    for name, step in STEPS.items():
        seen = jax.lax.conv_general_dilated(
            seen,
            weights[name],
            (step, step),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        seen = jax.nn.relu(seen + weights[f"{name}_bias"])
    return seen.reshape(len(seen), -1)


@jax.jit  # type: ignore[untyped-decorator] # where jax is not installed
def _net(weights: Weights, seen: Any) -> Any:
    return _made(weights, seen) @ weights["last"] + weights["last_bias"]


def _loss(weights: Weights, seen: Any, printed: Any, key: Any) -> Any:
    made = _made(weights, seen)
    kept = jax.random.bernoulli(key, _KEPT, made.shape)
    said = made * kept / _KEPT @ weights["last"] + weights["last_bias"]
    return optax.softmax_cross_entropy_with_integer_labels(said, printed).mean()
