"""``python -m examples.check_scanner read FILE…``: check images on disk, without any service.

Says of each file what the recogniser made of it. With ``--json``, one object per line: ``file``,
``decision`` (``accept``, ``review`` or ``reject``), ``reason``, ``routing``, ``account``,
``serial``, ``amount`` (cents in the MICR line, or null) and ``confidence`` (0 to 1).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from PIL import Image

from examples.check_scanner import reader
from examples.check_scanner.effort import open_upload
from examples.check_scanner.errors import BadImageError
from examples.check_scanner.money import dollars
from examples.check_scanner.reader import ReadLine
from examples.check_scanner.reading import Decision

_EMPTY: dict[str, Any] = {
    "routing": None,
    "account": None,
    "serial": None,
    "amount": None,
    "confidence": 0.0,
}


def main(argv: list[str]) -> int:
    """Look at every file named in ``argv``; 0 once that is done, whatever was found."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.check_scanner read", description=__doc__
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("file", nargs="+", help="JPEG, PNG, TIFF, BMP or GIF")
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be anything
        sys.stdout.reconfigure(errors="backslashreplace")
    for line in look(arguments.file, reader.built_here()):
        print(json.dumps(line) if arguments.json else describe(line), flush=True)
    return 0


def look(names: list[str], read_line: ReadLine) -> Iterator[dict[str, Any]]:
    """One line per file; a file that cannot be read is a rejected one, never an error."""
    for name in names:
        try:
            picture = open_upload(Path(name))
        except BadImageError as error:
            yield _line(name, Decision.REJECT, str(error))
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            reason = getattr(error, "strerror", None) or str(error)
            yield _line(name, Decision.REJECT, f"The file cannot be opened: {reason}.")
        else:
            yield _read(name, picture.image, read_line)


def describe(line: dict[str, Any]) -> str:
    """The same for people, in one or two lines.

    >>> print(describe(_line("a.jpg", Decision.REJECT, "The file is empty.")))
    a.jpg: reject. The file is empty.
    """
    head = f"{line['file']}: {line['decision']}"
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


def _line(name: str, decision: Decision, reason: str, **found: Any) -> dict[str, Any]:
    return {"file": name, "decision": decision.value, "reason": reason, **_EMPTY, **found}
