"""Stages 1 to 5 for one upload: from an object in S3 to what is known of it.

All of it can be done again: what is written to S3 has the same names and bytes every time.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import tmpcache
from tmpcache.errors import ObjectNotFoundError

from . import reader
from .archive import keep_original, place
from .copies import TYPES, write_copies
from .effort import open_upload
from .errors import BadNameError, GoneError, RejectedCheckError
from .picture import MAX_BYTES, too_large
from .reading import Decision
from .receive import Upload, parse_key
from .result import Findings, State, Stopwatch, Verdict
from .services import Services

if TYPE_CHECKING:
    from tmpcache import CachedFile
    from tmpcache.invocations.scratch import Scratch


def scan(upload: Upload, services: Services, watch: Stopwatch) -> Findings:
    """Take ``upload`` through the stages and archive its pictures.

    What no retry can help becomes a verdict; findings without one are for `decide.judge`. Any other
    error is raised and worth a retry.
    """
    findings = Findings()
    with tmpcache.scratch() as work:  # private, and gone whatever happens
        file: CachedFile | None = None
        copies: dict[str, Path] = {}
        try:
            with watch("receive"):
                findings.deposit = parse_key(upload.key)
                findings.email = findings.deposit.email
                if upload.size is not None and upload.size > MAX_BYTES:
                    raise too_large(upload.size)
            with watch("fetch"):
                file = fetch(upload, work)
                findings.outcome = file.outcome.value
            with watch("image"):
                picture = open_upload(file)
                findings.size = picture.image.size
        except RejectedCheckError as error:
            findings.verdict = Verdict(State.REJECTED, str(error))
            if isinstance(error, BadNameError):
                findings.verdict = Verdict(State.REJECTED, str(error), error.told)
                findings.email = error.email
        else:
            with watch("copies"):
                copies = write_copies(picture, work)
            with watch("model"):
                read_line = services.reader()
            with watch("read"):
                findings.reading = reader.line(read_line, picture.image)
            wanted = findings.reading.decision is not Decision.REJECT
            if services.courtesy is not None and wanted:
                with watch("courtesy"):
                    findings.courtesy = reader.amount(services.courtesy, picture.image)
        with watch("upload"):
            findings.copies = keep(upload, services, file, copies)
    if upload.etag is None:
        # It was gone before anybody knew which upload it was: perhaps one that was handled long
        # ago. The record says so; a mail would alarm somebody whose check is deposited.
        findings.email = None
    return findings


def fetch(upload: Upload, work: "Scratch") -> "CachedFile":
    """The very object that was announced, or `GoneError`.

    Without versions another upload may have the name by now; it has an event of its own.
    """
    try:
        file: CachedFile = work.fetch(
            upload.bucket,
            upload.key,
            name=f"original{upload.suffix}",
            max_age=0,
            version_id=upload.version_id,
        )
    except ObjectNotFoundError as error:
        raise GoneError("The image was gone before it could be read.") from error
    if upload.etag is not None and file.etag.strip('"') != upload.etag:
        raise GoneError("Another upload of the same name came before this one could be read.")
    return file


def keep(
    upload: Upload,
    services: Services,
    file: "CachedFile | None",
    copies: dict[str, Path],
) -> dict[str, str]:
    """Put the original and its copies where they stay; their keys, by what they are."""
    kept: dict[str, str] = {}
    original = keep_original(services.s3, upload)
    if original is None and file is not None:
        # It vanished after it was read. The bytes that were read are here.
        original = place(upload, f"original{upload.suffix}")
        tmpcache.put(upload.bucket, original, file)
    if original is not None:
        kept["original"] = original
    for name, path in copies.items():
        kept[name] = place(upload, name)
        tmpcache.put(upload.bucket, kept[name], path, content_type=TYPES[name])
    return kept
