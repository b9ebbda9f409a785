"""The function that writes listings: an event only says look, whatever its form and order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from cfnlint import api as cfnlint
from support.fleet import LISTING, PACK, PREFIX, put_objects

import tmpcache
from tmpcache.errors import AccessDeniedError
from tmpcache.integrations.listing_writer import handler, prefixes_of
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED

OTHER = "s3://models/ocr/"
BOTH = (PREFIX, OTHER)
SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "models"}


def s3_event(*keys: str) -> dict[str, Any]:
    """The notification that S3 itself sends: keys are encoded as in forms."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "s3": {"bucket": {"name": "models"}, "object": {"key": quote_plus(key)}},
            }
            for key in keys
        ]
    }


def bridged(key: str) -> dict[str, Any]:
    """The event that EventBridge sends: keys are as they are."""
    detail = {"bucket": {"name": "models"}, "object": {"key": key}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def queued(*events: Any) -> dict[str, Any]:
    """Events in messages of SQS."""
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(event)} for event in events]}


def notified(event: Any) -> dict[str, Any]:
    """An event in a message of SNS."""
    return {"Type": "Notification", "Message": json.dumps(event)}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (SCHEDULED, BOTH),
        ({}, BOTH),
        ({"pack": "1 MB"}, BOTH),
        (None, BOTH),
        ("text", BOTH),
        (s3_event("micr/a b+ü.npz"), (PREFIX,)),
        (s3_event("micr/a", "ocr/b", "micr/a"), BOTH),
        (s3_event("elsewhere/a"), ()),
        (bridged("micr/a%20b"), (PREFIX,)),
        (bridged("ocr/.tmpcache-listing"), ()),
        (bridged("micr/deep/.tmpcache-pack"), ()),
        (s3_event("micr/.tmpcache-listing", "micr/.tmpcache-pack"), ()),
        (s3_event("micr/.tmpcache-listing", "micr/a"), (PREFIX,)),
        (queued(s3_event("micr/a"), s3_event("micr/a")), (PREFIX,)),
        (queued(bridged("ocr/a"), bridged("micr/b")), BOTH),
        (queued(bridged("micr/.tmpcache-listing")), ()),
        (queued(notified(s3_event("ocr/a"))), (OTHER,)),
        ({"Records": [{"EventSource": "aws:sns", "Sns": notified(bridged("ocr/a"))}]}, (OTHER,)),
        (queued(TEST_EVENT), BOTH),
        ({"Records": [{"body": "no JSON"}]}, BOTH),
        ({"Records": [{"body": "[" * 100_000}]}, BOTH),
        (queued(queued(queued(queued(bridged("micr/a"))))), BOTH),
        ({"Records": []}, ()),
        ({"detail": {"bucket": {"name": "models"}, "object": {"key": 3}}}, BOTH),
    ],
)
def test_an_event_says_where_to_look(event: Any, expected: tuple[str, ...]) -> None:
    assert prefixes_of(event, BOTH) == [*expected]


@pytest.fixture
def writer(root: Path, bucket: Bucket) -> Bucket:
    put_objects(bucket, 3)
    bucket.put("ocr/a", b"a")
    tmpcache.configure(root=root, listings=BOTH)
    return bucket


def test_it_writes_what_is_there(writer: Bucket) -> None:
    assert handler(queued(bridged("micr/a"), bridged("micr/a"))) == {"written": [PREFIX]}
    with tmpcache.fetch("models", LISTING) as path:
        assert json.loads(path.read_bytes())["etags"].keys() == {"000.npz", "001.npz", "002.npz"}
    requests = [request.method for request in writer.server.requests]
    assert requests.count("PUT") == 1
    assert requests[0] == "GET"


def test_events_of_another_order_end_in_the_same_listing(writer: Bucket) -> None:
    writer.put("micr/new", b"new")
    writer.delete("micr/000.npz")
    for key in ("micr/new", "micr/000.npz", "micr/new", "micr/000.npz"):
        handler(bridged(key))
        document = json.loads(tmpcache.fetch("models", LISTING).read_bytes())
        assert document["etags"].keys() == {"new", "001.npz", "002.npz"}


def test_its_own_writes_do_not_call_it_again(writer: Bucket) -> None:
    handler(SCHEDULED)
    written = [request.path for request in writer.server.requests if request.method == "PUT"]
    writer.server.forget()
    for path in written:
        assert handler(queued(bridged(path.removeprefix("/models/")))) == {"written": []}
    assert len(written) == 2
    assert writer.server.requests == []


def test_a_schedule_may_ask_for_packs(writer: Bucket) -> None:
    assert handler({"pack": "1 MB"}) == {"written": [*BOTH]}
    assert tmpcache.fetch("models", PACK).size > 9


def test_a_prefix_that_fails_does_not_keep_the_others_waiting(writer: Bucket) -> None:
    writer.server.inject("/models/" + LISTING, ACCESS_DENIED, method="PUT")
    with pytest.raises(ExceptionGroup, match="1 of the listings") as caught:
        handler(SCHEDULED)
    assert caught.group_contains(AccessDeniedError)
    assert tmpcache.fetch("models", "ocr/.tmpcache-listing").size


def test_cloudformation_s_linter_has_nothing_to_say_about_its_template() -> None:
    template = Path(__file__).parents[2] / "examples/listing_writer/template.yaml"
    assert cfnlint.lint_file(template) == []
