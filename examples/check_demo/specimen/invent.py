"""Who pays whom how much: invented, and the same for the same seed.

Names, towns and banks are made up. Routing numbers have a true check digit, so that readers can
be tested; should one belong to a bank, that is chance.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from .layout import PERSONAL, Layout, any_layout

_FIRST = "Ada|Celia|Dorian|Edda|Fenn|Greta|Hollis|Ines|Jory|Kit|Lena|Milo|Nora|Orin|Petra"
_LAST = "Amberly|Calloway|Dunmore|Elkins|Fairweather|Grayling|Hartsock|Ivers|Juniper"
_STREETS = "Larkspur Lane|Old Mill Road|Quarry Street|Saltmarsh Drive|Thimble Court|Wren Avenue"
_TOWNS = "Fernhollow|Port Ebbing|Maple Reach|Drywell|Upper Lanternby|Gullhaven"
_BANKS = (
    "Bank of Elsewhere|Harbor & Quill Savings|First Lantern Trust|Elm & Otter Bank|"
    "Tidewater Nowhere Bank|Copperleaf Credit Union"
)
_PAYEES = (
    "Marlow Hardware|Pine Street Dental|Blue Kettle Books|Otter Creek Vet|City of Drywell|"
    "Juno Piano School|Hartsock Roofing|Fenn & Daughter"
)
_MEMOS = "Invoice|Rent|Piano lessons|Roof repair|Books|Dues|Thank you|Spring order"

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety"


@dataclass(frozen=True, slots=True)
class Check:
    """All that is printed and written on one check, and the deposit it is sent in for."""

    seed: int
    payer: str
    address: tuple[str, str]
    bank: str
    bank_town: str
    routing: str
    account: str
    serial: str
    written: date
    payee: str
    amount: Decimal
    memo: str
    deposit_email: str
    deposit_account: str
    deposit_time: datetime
    layout: Layout = PERSONAL

    @property
    def amount_in_words(self) -> str:
        """The legal amount as it is written on the long line."""
        return f"{in_words(int(self.amount))} and {self.amount % 1 * 100:02.0f}/100"

    @property
    def micr_line(self) -> str:
        """The line of magnetic ink, from its leftmost position."""
        return self.layout.line(self.routing, self.account, self.serial, self.amount)

    @property
    def file_name(self) -> str:
        """The name under which the image is uploaded for deposit."""
        seconds = int(self.deposit_time.timestamp())
        return f"{self.deposit_email}^{self.deposit_account}^{self.amount}^{seconds}.jpg"


def invent(seed: int) -> Check:
    """Make up a check; equal seeds give equal checks."""
    rng = Random(seed)

    def pick(names: str) -> str:
        return rng.choice(names.split("|"))

    def digits(count: int) -> str:
        return "".join(rng.choices("0123456789", k=count))

    payee = pick(_PAYEES)
    eight = f"{rng.randint(1, 12):02}{digits(6)}"
    written = date(2026, 1, 5) + timedelta(days=rng.randrange(300))
    return Check(
        seed=seed,
        payer=f"{pick(_FIRST)} {rng.choice('ABCDEHJKLMRST')}. {pick(_LAST)}",
        address=(
            f"{rng.randint(2, 989)} {pick(_STREETS)}",
            f"{pick(_TOWNS)}, ZZ {rng.randint(100, 999):05}",
        ),
        bank=pick(_BANKS),
        bank_town=f"{pick(_TOWNS)}, ZZ",
        routing=eight + check_digit(eight),
        account=digits(rng.randint(8, 12)),
        serial=f"{rng.randint(101, 9899):04}",
        written=written,
        payee=payee,
        amount=Decimal(rng.randint(500, 480_000)).scaleb(-2),
        memo=pick(_MEMOS),
        deposit_email=f"{''.join(filter(str.isalpha, payee)).lower()}@example.com",
        deposit_account=digits(8),
        deposit_time=datetime.combine(written, time(9), UTC)
        + timedelta(seconds=rng.randrange(5 * 86_400)),
    )


def vary(seed: int) -> Check:
    """Make up a check as `invent` does, in any of the layouts that occur.

    Accounts have 6 to 14 digits. One in fifty has a transit field of 4 and 4 digits with a dash
    between them, as it was before there was a check digit: ``routing`` then has eight digits.
    """
    check = invent(seed)
    rng = Random(f"layout {seed}")
    layout = any_layout(rng)
    serial = (
        f"{rng.randint(1, 9_999_999):0{rng.randint(4, 8)}}" if layout.business else check.serial
    )
    account = check.account + "".join(rng.choices("0123456789", k=4))
    digits = rng.randint(6, 14 if layout.business else 12)
    return replace(
        check,
        routing=check.routing[:8] if rng.random() < 0.02 else check.routing,
        account=account[: min(digits, layout.account_room(serial))],
        serial=serial,
        layout=layout,
    )


def check_digit(first_eight: str) -> str:
    """Return the ninth digit of an ABA routing number: weights 3, 7, 1 add up to tens.

    >>> check_digit("01234567")
    '2'
    """
    weighted = zip(first_eight, (3, 7, 1, 3, 7, 1, 3, 7), strict=True)
    return str(-sum(int(digit) * weight for digit, weight in weighted) % 10)


def in_words(number: int) -> str:
    """Spell out a whole number below one million.

    >>> in_words(1042)
    'one thousand forty-two'
    """
    if number < 20:
        return _ONES.split()[number]
    if number < 100:
        return _TENS.split()[number // 10] + (
            f"-{_ONES.split()[number % 10]}" if number % 10 else ""
        )
    unit, word = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = f" {in_words(number % unit)}" if number % unit else ""
    return f"{in_words(number // unit)} {word}{rest}"
