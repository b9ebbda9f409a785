"""Stage 2, before the image is decoded: how much work its file asks for.

`picture` judges pixels by the header. But a file of few pixels may ask for much: a progressive JPEG
is decoded once for every scan in it (55 kB with 306 scans took 9 s), and every page of a TIFF is
parsed to count them. Here that is counted in one pass over the bytes, and nothing is decoded.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from .errors import BadImageError
from .picture import MAX_BYTES, Picture, open_picture

#: Scans of a JPEG that we are willing to decode. Encoders make 10, and 18 of four colours.
MAX_SCANS = 50
#: Segments of a JPEG: a photograph with a picture of its depth in the metadata has some hundred.
MAX_SEGMENTS = 2_000
#: Chunks of a PNG: the largest that we take, in pieces of 1 kB.
MAX_CHUNKS = 32_000
#: Tags of a TIFF's page: those that exist are fewer.
MAX_TAGS = 1_000
#: Bytes of EXIF: a JPEG has room for 65,533, and Pillow reads what every entry of it points at.
MAX_EXIF = 131_072

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
# What ends a stretch of coded pixels: neither a stuffed byte, nor a restart, nor padding.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
# Bytes per value, by the type of a TIFF's tag; Pillow passes over other types.
_TYPES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), 1)) | {16: 8, 17: 8, 18: 8}


def open_upload(path: Path) -> Picture:
    """Decode an image as `picture.open_picture` does, unless its file asks for too much work.

    Raises `BadImageError`, with a sentence for the uploader.
    """
    if path.stat().st_size <= MAX_BYTES:  # what is larger is refused by its size
        check_effort(path.read_bytes())
    return open_picture(path)


def check_effort(body: bytes) -> None:
    """Raise `BadImageError` if it would take too much work to decode ``body``.

    What is damaged, or no image, is left to the decoder.
    """
    try:
        if body.startswith(b"\xff\xd8"):
            _check_jpeg(body)
        elif body.startswith(b"\x89PNG\r\n\x1a\n"):
            _check_png(body)
        elif body[:2] in (b"II", b"MM") and 0x2A <= max(body[2:4], default=0) <= 0x2B:
            _check_tiff(body)
    except struct.error:  # it ends early
        return


def _check_jpeg(body: bytes) -> None:
    scans = exif = 0
    for number, (kind, start, length) in enumerate(_segments(body)):
        scans += kind == _SOS
        if kind == _APP1 and body.startswith(b"Exif\0", start):
            exif += length
        _at_most(scans, MAX_SCANS, "scans")
        _at_most(number, MAX_SEGMENTS, "segments")
        _at_most(exif, MAX_EXIF, "bytes of EXIF")


def _segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment up to the end of the first image: its kind, where it starts, its length."""
    place = 2
    while (found := _MARKER.search(body, place)) and body[found.end() - 1] != _EOI:
        start = found.end() + 2
        (length,) = struct.unpack_from(">H", body, found.end())
        yield body[found.end() - 1], start, length - 2
        place = start + max(length - 2, 0)


def _check_png(body: bytes) -> None:
    place, chunks, exif = 8, 0, 0
    while place < len(body):
        length, kind = struct.unpack_from(">I4s", body, place)
        chunks, exif = chunks + 1, exif + length * (kind == b"eXIf")
        _at_most(chunks, MAX_CHUNKS, "chunks")
        _at_most(exif, MAX_EXIF, "bytes of EXIF")
        place += length + 12


def _check_tiff(body: bytes) -> None:
    order = "<" if body.startswith(b"I") else ">"
    # BigTIFF has the same with longer numbers: of tags, of values, and for places.
    big = 0x2B in body[2:4]
    count, tag, offset = ("Q", "HHQ8x", "Q") if big else ("H", "HHI4x", "I")
    (first,) = struct.unpack_from(order + offset, body, 8 if big else 4)
    (tags,) = struct.unpack_from(order + count, body, first)
    _at_most(tags, MAX_TAGS, "tags")
    place = first + struct.calcsize(order + count)
    length = struct.calcsize(order + tag)
    values = 0
    for at in range(place, place + tags * length, length):
        _, kind, number = struct.unpack_from(order + tag, body, at)
        values += number * _TYPES.get(kind, 0)
    _at_most(values, len(body), "bytes in its tags")
    (after,) = struct.unpack_from(order + offset, body, place + tags * length)
    if after not in (0, first):
        raise BadImageError("The TIFF has several pages or frames: send the front.")


def _at_most(number: int, most: int, what: str) -> None:
    if number > most:
        raise BadImageError(f"The image has more than {most:,} {what}: save it anew and send that.")
