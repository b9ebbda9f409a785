"""The tasks of ``workflow.asl.json``: the pipeline's steps, one call of the function for each.

A task is given a state, which is JSON, and returns the next one. In it are bucket, key, ids, what
was read and what was decided; pictures stay in S3. A task may be called again with the same state,
at any time, also if it had done its work and its answer was lost.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import items
from .archive import remove_original
from .decide import judge
from .errors import BadEventError
from .notify import notify as tell
from .pipeline import identified
from .receive import PREFIX, Upload
from .result import Stopwatch
from .scan import scan
from .services import Services

State = dict[str, Any]


def receive(state: State, services: Services) -> State:
    """Note that the object is here, and say how far it had come; what is no upload is ignored."""
    upload = _announced(state["detail"])
    if not upload.key.startswith(PREFIX) or not upload.name:
        return {"progress": "ignored"}
    upload = identified(upload, services)
    entry = services.records.receive(upload, services.clock())
    return _followed({"id": upload.id, "by": state["by"], "upload": asdict(upload)}, entry)


def read(state: State, services: Services) -> State:
    """Read the check and archive its pictures."""
    findings = scan(Upload(**state["upload"]), services, Stopwatch())
    return {**state, "findings": items.plain(findings)}


def decide(state: State, services: Services) -> State:
    """Judge what was read: deposit, ask a person, or refuse."""
    findings = items.findings(state["findings"])
    findings.verdict = judge(findings, services.settings.unconfirmed_limit)
    return {**state, "findings": items.plain(findings)}


def record(state: State, services: Services) -> State:
    """Write the decision down, if nobody else did; what is on record counts from here."""
    entry = services.records.get("audited", state["id"])
    findings = items.findings(state.pop("findings"))
    return _followed(state, services.records.decide(entry, findings, state["by"], services.clock()))


def notify(state: State, services: Services) -> State:
    """Send the mail that is still owed."""
    entry = services.records.get("audited", state["id"])
    tell(services.ses, services.records, entry, services.settings.mail_from, services.clock())
    return state


def archive(state: State, services: Services) -> State:
    """Remove the original from ``incoming/`` if its copy is kept."""
    entry = services.records.get("audited", state["id"])
    if "original" in entry["copies"]:
        remove_original(services.s3, Upload(**state["upload"]))
    return state


#: What the states call, by name.
TASKS = {task.__name__: task for task in (receive, read, decide, record, notify, archive)}


def _announced(detail: Mapping[str, Any]) -> Upload:
    """Find the object in an event of EventBridge, where keys are as they are."""
    try:
        thing = detail["object"]
        return Upload(
            bucket=detail["bucket"]["name"],
            key=thing["key"],
            etag=thing.get("etag"),
            size=thing.get("size"),
            version_id=thing.get("version-id"),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise BadEventError(f"Not the detail of an S3 event: {error!r}") from error


def _followed(state: State, entry: items.Item) -> State:
    """The state with what the next ones go by: how far the upload has come."""
    return {**state, "progress": entry["progress"], "decision": entry.get("decision")}
