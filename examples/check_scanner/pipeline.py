"""The pipeline: one upload in, one decision out, whatever dies in between.

The steps are in the order that makes a crash harmless at any point. What is written before the
decision can be written again; the decision is one transaction; what comes after it is repeated
until it is done, by whoever is given the same upload next::

    note that it is here ─► scan, archive pictures ─► DECIDE ─► mail ─► remove the original

So what is under ``incoming/`` is what is still to be done.

The same function serves the Lambda handler, a local run and a batch: it may be called by any number
of processes, for the same upload at once.
"""

from dataclasses import replace
from uuid import uuid4

from botocore.exceptions import ClientError

from .archive import remove_original
from .decide import judge
from .errors import BadEventError
from .items import RECEIVED, deposit_of
from .notify import notify
from .receive import PREFIX, Upload
from .result import Findings, Result, State, Stopwatch
from .scan import scan
from .services import Services


def process(upload: Upload, services: Services, by: str = "") -> Result:
    """See to it that ``upload`` is decided, on record, archived and its sender told.

    Anything raised means that it is not all done: call again with the same upload. Nothing is
    deposited twice by that. ``by`` is the name of the run that this call is a part of, by default
    one of its own: a decision of that name is no repetition, whichever call of the run made it.
    Raises `BadEventError` for objects that are no uploads.
    """
    if not upload.key.startswith(PREFIX):
        raise BadEventError(f"{upload.key!r} is not under {PREFIX!r}.")
    by = by or uuid4().hex
    watch, records = Stopwatch(), services.records
    with watch("receive"):
        upload = identified(upload, services)
        entry = records.receive(upload, services.clock())
    findings = Findings()
    if entry["progress"] == RECEIVED:
        findings = scan(upload, services, watch)
        findings.verdict = judge(findings, services.settings.unconfirmed_limit)
        with watch("record"):
            entry = records.decide(entry, findings, by, services.clock())
    with watch("notify"):
        notify(services.ses, records, entry, services.settings.mail_from, services.clock())
    with watch("archive"):
        if "original" in entry["copies"]:
            remove_original(services.s3, upload)
    reading, courtesy = findings.reading, findings.courtesy
    repeated = entry.get("decided_by") != by
    if repeated or findings.verdict is None:
        with watch("record"):
            reading, courtesy = records.reading(upload.id)
    width, height = entry["size"] or (None, None)
    return Result(
        bucket=upload.bucket,
        key=upload.key,
        id=upload.id,
        decision=State(entry["decision"]),
        reason=entry["reason"],
        deposit=deposit_of(entry),
        reading=reading,
        courtesy=courtesy,
        copies=dict(entry["copies"]),
        size=(int(width), int(height)) if width and height else None,
        outcome=findings.outcome,
        timings=watch.seconds,
        repeated=repeated,
    )


def identified(upload: Upload, services: Services) -> Upload:
    """The same upload with its ETag and size, asked for if the event did not tell.

    S3's own events and listings tell; events written by hand may not.
    """
    if upload.etag is not None:
        return upload
    version = {"VersionId": upload.version_id} if upload.version_id else {}
    try:
        head = services.s3.head_object(Bucket=upload.bucket, Key=upload.key, **version)  # type: ignore[arg-type]
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in (404, 405):
            return upload
        raise
    return replace(upload, etag=head["ETag"].strip('"'), size=head["ContentLength"])
