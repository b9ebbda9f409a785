"""The function: an S3 event comes in, small copies go out, a summary is returned.

Settings come from the environment, as in a deployed function:

==================  ==========================================================================
``MODEL_BUCKET``    where the model lives (required)
``MODEL_KEY``       its key; default ``micr/e13b.npz``
``MODEL_MAX_AGE``   seconds for which a cached model is used without asking S3; default 0: a
                    replaced model is seen by the very next check
``CHECK_MAX_AGE``   the same for check images, which matters when an event is delivered twice
==================  ==========================================================================
"""

import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import tmpcache
from examples.check_scanner import model
from examples.check_scanner.copies import write_copies
from examples.check_scanner.errors import RejectedCheckError
from examples.check_scanner.picture import open_upright
from examples.check_scanner.read import read
from examples.check_scanner.receive import Upload, parse_key, parse_record


@tmpcache.invocation
def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Scan every check that the event announces.

    A check that no retry can help is reported under ``rejected`` with the reason. Any other error
    is raised: the platform delivers the event again, and what was done so far is done again.
    """
    scanned: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    # The test event that S3 sends when a notification is set up has no records.
    for upload in map(parse_record, event.get("Records", ())):
        try:
            scanned.append(scan(upload))
        except RejectedCheckError as error:
            rejected.append({"key": upload.key, "reason": str(error)})
    return {"scanned": scanned, "rejected": rejected}


def scan(upload: Upload) -> dict[str, Any]:
    """Take one check through all stages and say what happened, in types that JSON knows."""
    deposit = parse_key(upload.key)
    templates = tmpcache.load(
        os.environ["MODEL_BUCKET"],
        os.environ.get("MODEL_KEY", "micr/e13b.npz"),
        model.load,
        max_age=float(os.environ.get("MODEL_MAX_AGE", "0")),
    )
    with tmpcache.scratch() as work:
        check = work.fetch(
            upload.bucket, upload.key, max_age=float(os.environ.get("CHECK_MAX_AGE", "0"))
        )
        image = open_upright(check)
        band = read(templates, image)
        archived = {
            f"archived/{width}px-{upload.name}": path
            for width, path in write_copies(image, work).items()
        }
        for key, path in archived.items():
            tmpcache.put(upload.bucket, key, path, content_type="image/jpeg")
    return {
        "key": upload.key,
        "email": deposit.email,
        "account": deposit.account,
        "amount": str(deposit.amount),
        "band": asdict(band),
        "archived": list(archived),
        "outcome": check.outcome.value,
    }
