"""Money is a whole number of cents; nothing here ever is a float."""

import re

# Ten digits are what the amount field of a check's MICR line holds.
_DOLLARS = re.compile(r"(0|[1-9][0-9]{0,7})\.([0-9]{2})")


def parse_dollars(text: str) -> int:
    """Return the cents in ``text``: plain ASCII dollars, a point and two digits.

    Exponents, signs, separators and half cents raise ``ValueError``.

    >>> parse_dollars("1042.00")
    104200
    """
    match = _DOLLARS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount in dollars and cents, such as 19.99.")
    return int(match[1] + match[2])


def dollars(cents: int) -> str:
    """Return ``cents`` as people write them.

    >>> dollars(104200)
    '$1,042.00'
    """
    return f"${cents // 100:,}.{cents % 100:02}"
