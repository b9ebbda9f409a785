"""Keys that a client might tidy up, encode twice, or take for something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

_KEYS = st.text(
    st.sampled_from("/.a%2Eé~+ ?#&\\\n\x7f🦓[") | st.characters(codec="utf-8"), min_size=1
)
_EXAMPLES = ("a/", "/a", "a//b", "a/../b", "a\n", "a\r\nHost: b")


def for_any_key(test: Callable[..., None]) -> Any:
    """Call the test with 60 keys as its argument `key`, those of the examples first."""
    for key in _EXAMPLES:
        test = example(key=key)(test)
    called = settings(
        max_examples=60,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    return called(given(key=_KEYS)(test))
