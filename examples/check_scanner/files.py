"""The command ``read FILE…``: check images on disk, without any service.

Says of each file what the recogniser made of it. With ``--json``, one object per line: ``file``,
``decision`` (``accept``, ``review`` or ``reject``; ``error`` if the file cannot be opened, for then
no check was seen), ``reason``, ``routing``, ``account``, ``serial``, ``amount`` (cents in the MICR
line, or null) and ``confidence`` (0 to 1).
"""

import json
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from PIL import Image

from . import reader
from .effort import open_upload
from .errors import BadImageError
from .money import dollars
from .quoted import quoted
from .reader import ReadLine
from .reading import Decision

_EMPTY: dict[str, Any] = {
    "routing": None,
    "account": None,
    "serial": None,
    "amount": None,
    "confidence": 0.0,
}


#: In place of a decision, where there was nothing to decide about.
ERROR = "error"


def run(names: Sequence[str], as_json: bool) -> int:
    """Look at every file; 1 if one cannot be opened, else 0, whatever was found."""
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be anything
        sys.stdout.reconfigure(errors="backslashreplace")
    errors = 0
    for line in look(names, reader.built_here()):
        print(json.dumps(line) if as_json else describe(line), flush=True)
        errors += line["decision"] == ERROR
    return 1 if errors else 0


def look(names: Sequence[str], read_line: ReadLine) -> Iterator[dict[str, Any]]:
    """One line per file, whatever is in it, and also if it cannot be opened."""
    for name in names:
        try:
            picture = open_upload(Path(name))
        except BadImageError as error:
            yield _line(name, Decision.REJECT, str(error))
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            reason = getattr(error, "strerror", None) or str(error)
            yield _line(name, ERROR, f"The file cannot be opened: {reason}.")
        else:
            yield _read(name, picture.image, read_line)


def describe(line: dict[str, Any]) -> str:
    """The same for people, in one or two lines.

    >>> print(describe(_line("a.jpg", Decision.REJECT, "The file is empty.")))
    a.jpg: reject. The file is empty.
    """
    name = line["file"] if line["file"].isprintable() else quoted(line["file"], most=4096)
    head = f"{name}: {line['decision']}"
    parts = [f"{name} {line[name]}" for name in ("routing", "account", "serial") if line[name]]
    if line["amount"] is not None:
        parts.append(f"amount {dollars(line['amount'])}")
    if parts:
        head += f", {', '.join(parts)} (confidence {line['confidence']:.2f})"
    return f"{head}. {line['reason']}".rstrip()


def _read(name: str, image: Image.Image, read_line: ReadLine) -> dict[str, Any]:
    reading = reader.line(read_line, image)
    return _line(
        name,
        reading.decision,
        reading.reason,
        routing=reading.routing.text,
        account=reading.account.text,
        serial=reading.serial.text,
        amount=int(reading.amount.text) if reading.amount.text else None,
        confidence=round(reading.confidence, 4),
    )


def _line(name: str, decision: str, reason: str, **found: Any) -> dict[str, Any]:
    return {"file": name, "decision": str(decision), "reason": reason, **_EMPTY, **found}
