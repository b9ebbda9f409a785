"""What stands where on the bottom line: the layouts that banks use.

Positions are counted from the right: amount 1 to 12, on-us 14 to 31, transit 33 to 43, auxiliary
on-us from 46 leftwards, which only business checks are wide enough for.
"""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from random import Random

from examples.check_scanner.recogniser.e13b import AMOUNT, DASH, ON_US, TRANSIT

_ON_US_LEFT, _AUXILIARY_RIGHT = 31, 46
_ON_US_ROOM = 18


@dataclass(frozen=True, slots=True)
class Layout:
    """One bank's way of laying out a check.

    A personal check is 6 by 2.75 inches and has its serial on the right of the account, or left of
    it (``serial_left``); a ``business`` check is 8.5 by 3.5 and has it in the auxiliary field.
    ``separator`` is printed after as many digits of the account as ``breaks`` say. ``encoded``:
    the amount is on the line too, as the first bank to take the check prints it there.
    ``typeset``: date, payee and amounts are printed, not written by hand.
    """

    business: bool = False
    serial_left: bool = False
    breaks: tuple[int, ...] = ()
    separator: str = " "
    encoded: bool = False
    typeset: bool = False

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height of the paper."""
        return (8.5, 3.5) if self.business else (6.0, 2.75)

    def line(self, routing: str, account: str, serial: str, amount: Decimal) -> str:
        """Return the magnetic line from its leftmost character on, blanks included.

        A ``routing`` of eight digits is printed as banks did it once, four and four with a dash.
        """
        if len(routing) == 8:
            routing = f"{routing[:4]}{DASH}{routing[4:]}"
        on_us = self._on_us(account, serial)
        line = f"{TRANSIT}{routing}{TRANSIT} {on_us}"
        if self.business:
            line = f"{ON_US}{serial}{ON_US}  {line}"
        if self.encoded:
            gap = _ON_US_ROOM + 1 - len(on_us)
            line = f"{line}{' ' * gap}{AMOUNT}{int(amount * 100):010}{AMOUNT}"
        return line

    def first_position(self, serial: str) -> int:
        """Return the position of the line's leftmost character."""
        return _AUXILIARY_RIGHT + len(serial) + 1 if self.business else _ON_US_LEFT + 12

    def _on_us(self, account: str, serial: str) -> str:
        printed = self._printed(account)
        if self.business:
            return f"{printed}{ON_US}"
        if self.serial_left:
            return f"{serial} {printed}{ON_US}"
        return f"{printed}{ON_US} {serial}"

    def _printed(self, account: str) -> str:
        ends = (0, *self.breaks, len(account))
        return self.separator.join(account[a:b] for a, b in pairwise(ends))

    def account_room(self, serial: str) -> int:
        """Return how many digits of an account have room beside the rest of the on-us field."""
        beside = 1 if self.business else 2 + len(serial)
        return _ON_US_ROOM - beside - len(self.breaks)


PERSONAL = Layout()


def any_layout(rng: Random) -> Layout:
    """Choose a layout about as often as they are met: most checks are personal, few encoded."""
    business = rng.random() < 0.3
    serial_left = not business and rng.random() < 0.3
    # A blank inside the account beside a serial with blanks around it could not be told apart.
    separators = (DASH,) if serial_left else (DASH, " ")
    broken = rng.random() < 0.3
    return Layout(
        business=business,
        serial_left=serial_left,
        breaks=rng.choice(((3,), (4,), (2, 5))) if broken else (),
        separator=rng.choice(separators),
        encoded=rng.random() < 0.25,
        typeset=rng.random() < (0.8 if business else 0.25),
    )
