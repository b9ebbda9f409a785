"""The function: S3 announces uploads, each is processed, a summary is returned.

Settings come from the environment: see `services`. Deploy it with ``template.yaml``.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import tmpcache

from .pipeline import process
from .receive import is_check, parse_record
from .services import Services, connect
from .steps import TASKS

_log = logging.getLogger(__name__)


@cache
def services() -> Services:
    """Clients of this process: made once, by the first invocation."""
    return connect()


@tmpcache.invocation
def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Process every upload that the event announces.

    An upload that fails does not hold up the others; then its error is raised, the platform
    delivers the whole event again, and who was done already is found done.

    An event with a ``task`` is from the workflow: that step is done, and the next state returned.
    """
    if "task" in event:
        return TASKS[event["task"]](event["state"], services())
    results: list[dict[str, Any]] = []
    ignored: list[str] = []
    failed: list[Exception] = []
    # The test event that S3 sends when a notification is set up has no records.
    for record in event.get("Records", ()):
        upload = parse_record(record)
        if not is_check(record):
            ignored.append(upload.key)
            continue
        try:
            results.append(process(upload, services()).to_json())
        except Exception as error:
            _log.exception("Upload %s (%s) is not done yet.", upload.id, upload.bucket)
            failed.append(error)
    if failed:
        raise failed[0]
    return {"results": results, "ignored": ignored}
