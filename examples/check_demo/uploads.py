"""What people send in: checks of every tier, and uploads that cannot be deposited as they are."""

import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from urllib.parse import quote_plus

from PIL import Image, ImageDraw

from examples.check_scanner.receive import PREFIX
from examples.check_scanner.result import State

from . import specimen
from .specimen import Check, Sample, Truth, check_digit

#: Tiers in turn: of 15 checks, 4 are clean, 4 scans, 5 photographs and 2 hard ones.
_TURNS = "clean mobile scan mobile clean scan hard mobile scan clean mobile scan hard clean mobile"
# Valid addresses, and hard on whoever forgets to escape them.
_ANN = "o'hara&daughters@example.com"
_SCRIPT = "<script>document.title='owned'</script>@example.com"
_LETTER = b"Dear bank,\nthe check is in the mail.\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload: the object, and what the demo knows of it.

    ``about`` is a few words for people, ``truth`` what the picture's MICR line says (None: there is
    none), ``cents`` what the check is made out for, ``ends`` where the upload has to end (None: not
    foretold).
    """

    key: str
    body: bytes
    about: str
    truth: Truth | None = None
    cents: int | None = None
    ends: State | None = None

    @property
    def name(self) -> str:
        """The file name that the sender chose."""
        return self.key.removeprefix(PREFIX)

    @property
    def encoded_key(self) -> str:
        """The key as S3's events spell it."""
        return quote_plus(self.key, safe="/")


def checks(number: int) -> Iterator[Sent]:
    """Draw that many checks, all different, with every processor there is."""
    turns = _TURNS.split()
    tiers = [turns[seed % len(turns)] for seed in range(number)]
    # Forked processes would inherit whatever threads are at.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for sample in pool.map(specimen.sample, range(number), tiers):
            yield _sent(sample)


def odd_ones(known: Sent) -> list[Sent]:
    """Draw what ends with a person or is refused; ``known`` is a check that was sent in before."""
    parts = known.key.split("^")
    again = "^".join([PREFIX + _ANN, *parts[1:]])
    return [
        _refused(specimen.invent(2).file_name, _LETTER, "a letter called .jpg"),
        replace(
            _refused(specimen.invent(3).file_name, sunset(), "no check in it"), ends=State.REVIEW
        ),
        _refused("Holiday 2026 (1).jpg", sunset(), "a name that says nothing"),
        _refused(f"{_SCRIPT}^1^2.00^3.jpg", _drawn(4), "a name with a script in it"),
        _wrong_check_digit(specimen.invent(1)),
        _more_claimed(_sent(_encoded())),
        replace(known, key=again, about="sent in before", ends=State.REVIEW),
    ]


def _sent(sample: Sample) -> Sent:
    cents = int(sample.check.amount * 100)
    return Sent(PREFIX + sample.file_name, sample.upload, sample.tier, sample.truth, cents)


def _refused(name: str, body: bytes, about: str) -> Sent:
    return Sent(PREFIX + name, body, about, ends=State.REJECTED)


def _drawn(seed: int) -> bytes:
    return specimen.draw_jpeg(specimen.invent(seed))


def _wrong_check_digit(check: Check) -> Sent:
    digit = (int(check_digit(check.routing[:8])) + 1) % 10
    wrong = replace(check, routing=f"{check.routing[:8]}{digit}")
    printed = Truth(wrong.routing, wrong.account, wrong.serial, None, wrong.micr_line, False)
    refused = _refused(wrong.file_name, specimen.draw_jpeg(wrong), "a false routing number")
    return replace(refused, truth=printed, cents=int(wrong.amount * 100))


def _more_claimed(honest: Sent) -> Sent:
    email, account, _, rest = honest.key.split("^")
    key = "^".join([email, account, "4999.00", rest])
    return replace(honest, key=key, about="more claimed than written", ends=State.REVIEW)


def _encoded() -> Sample:
    """A check with its amount on the MICR line."""
    samples = (specimen.sample(seed, "clean") for seed in count(1_000))
    return next(sample for sample in samples if sample.truth.amount)


def sunset() -> bytes:
    """A photo that anybody may have sent by mistake."""
    image = Image.linear_gradient("L").resize((900, 420))
    picture = Image.composite(
        Image.new("RGB", image.size, "#f2a65a"), Image.new("RGB", image.size, "#3d5a80"), image
    )
    draw = ImageDraw.Draw(picture)
    draw.ellipse((390, 210, 510, 330), fill="#ffe8c2")
    draw.polygon(((0, 420), (0, 300), (210, 210), (430, 330), (660, 240), (900, 320), (900, 420)),
                 fill="#1d2b3a")  # fmt: skip
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=85)
    return packed.getvalue()
