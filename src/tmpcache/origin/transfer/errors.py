"""Errors inside a transfer. A caller of `download` sees the last one only."""

from __future__ import annotations

from ...errors import IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.objects import ObjectName
    from .. import Reply


class HaltedError(Exception):
    """Another connection of the transfer has failed, so this one ends, too."""


class UnusableRangeError(Exception):
    """The response to a range request may not belong to the version that the sink holds.

    The transfer then reads the object from its start, over one connection.
    """

    def __init__(self, reply: Reply | None = None) -> None:
        #: The whole object, if the origin sent that instead.
        self.reply = reply


def body_too_long(name: ObjectName, size: int) -> IntegrityError:
    """Return the error for a body that has more bytes than its response announced."""
    return IntegrityError(f"{name}: the body is longer than the {size} bytes announced")
