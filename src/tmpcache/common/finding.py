"""What a diagnosis finds: one line each, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at."""

    subject: str
    #: None: it could not be looked at, or is neither good nor bad.
    is_well: bool | None
    found: str
    #: What to do; "" if there is nothing to do.
    advice: str = ""
