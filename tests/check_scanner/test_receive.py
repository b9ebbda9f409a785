"""The check scanner's first stage: events and names."""

from __future__ import annotations

import doctest
import importlib
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from examples.check_scanner import receive
from examples.check_scanner.errors import BadEventError, BadNameError
from examples.check_scanner.money import dollars, parse_dollars

GOOD = "incoming/ann@example.com^12345679^19.99^1475597700.jpg"


def record(bucket: str, key: str, **more: Any) -> dict[str, Any]:
    """What S3 puts into an event for one upload."""
    return {"s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, "/"), **more}}}


@pytest.mark.parametrize("name", ["archive", "files", "money", "quoted", "receive", "result"])
def test_the_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"examples.check_scanner.{name}")
    done = doctest.testmod(module)
    assert (done.failed, done.attempted > 0) == (0, True)


def test_a_key_is_decoded_as_s3_encoded_it() -> None:
    key = "incoming/a+b c%@example.com^1^0.01^0.jpg"
    for encode in (quote_plus, quote):
        thing = {"key": encode(key, "/"), "eTag": "5d41", "size": 7, "versionId": "v"}
        event = {"s3": {"bucket": {"name": "checks"}, "object": thing}}
        assert receive.parse_record(event) == receive.Upload("checks", key, "5d41", 7, "v")


def test_a_name_says_who_deposits_how_much_and_when() -> None:
    deposit = receive.parse_key(GOOD)
    assert (deposit.email, deposit.account) == ("ann@example.com", "12345679")
    assert deposit.amount_cents == 1999
    assert deposit.time.isoformat() == "2016-10-04T16:15:00+00:00"


@pytest.mark.parametrize(
    "suffix", [".jpg", ".JPG", ".jpeg", ".png", ".PNG", ".tif", ".TIFF", ".bmp", ".Gif"]
)
def test_the_usual_suffixes_are_taken(suffix: str) -> None:
    assert receive.parse_key(GOOD.removesuffix(".jpg") + suffix).account == "12345679"


NO_AMOUNTS = (
    "1e9|-5|-5.00|19.999|19.9|19|0.00||NaN|Infinity|+1.00|1,000.00|01.00| 1.00|1.00\n|"
    "\u0661.\u0660\u0660|123456789.00|1_0.00|.50|0x1.00"
)


@pytest.mark.parametrize("amount", NO_AMOUNTS.split("|"))
def test_an_amount_that_is_not_plain_dollars_and_cents_is_refused(amount: str) -> None:
    with pytest.raises(BadNameError, match="amount") as refused:
        receive.parse_key(GOOD.replace("19.99", amount))
    assert refused.value.email == "ann@example.com"  # who can be told


def test_cents_are_whole_and_exact_to_the_last() -> None:
    for text, cents, written in (
        ("0.01", 1, "$0.01"),
        ("0.29", 29, "$0.29"),
        ("19.99", 1999, "$19.99"),
        ("99999999.99", 9_999_999_999, "$99,999,999.99"),
    ):
        assert parse_dollars(text) == cents
        assert dollars(cents) == written


@pytest.mark.parametrize(
    ("key", "reason", "email"),
    [
        ("incoming/check.jpg", "1 parts", None),
        (GOOD.replace("^19", "^19^19"), "5 parts", "ann@example.com"),
        (GOOD.replace(".jpg", ".exe"), "does not end", "ann@example.com"),
        (GOOD.replace(".jpg", ""), "does not end", "ann@example.com"),
        (GOOD.replace("ann@", "ann"), "email", None),
        (GOOD.replace("ann@", "../ann@"), "email", None),
        (GOOD.replace("12345679", "12a"), "account", "ann@example.com"),
        (GOOD.replace("12345679", "1" * 18), "account", "ann@example.com"),
        (GOOD.replace("1475597700", "now"), "time", "ann@example.com"),
        (GOOD.replace("incoming/", "archived/300px-"), "not under", None),
        (GOOD.replace("incoming/", ""), "not under", None),
    ],
)
def test_a_name_of_another_form_is_refused_with_its_fault(
    key: str, reason: str, email: str | None
) -> None:
    with pytest.raises(BadNameError, match=reason) as refused:
        receive.parse_key(key)
    assert refused.value.email == email


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com\r\nBcc: all@example.com",
        "ann@example.com\nSubject: hello",
        "ann@example.com\n",
        "ann@example.com,bob@example.com",
        "ann@example.com;bob@example.com",
        "ann@example.com bob@example.com",
        "Ann <ann@example.com>",
        '"a b"@example.com',
        "ann@example.com\0",
        "ann@example",
        "ann@-example.com",
        "ann@example..com",
        ".ann@example.com",
        "ann.@example.com",
        "a..b@example.com",
        "ann@@example.com",
        "@example.com",
        "ann@",
        "ännchen@example.com",
        "ann@exämple.com",
        "a" * 65 + "@example.com",
        "ann@" + "a" * 60 + ("." + "b" * 60) * 4 + ".com",
    ],
)
def test_what_is_not_one_plain_address_is_nobodys(text: str) -> None:
    assert receive.address(text) is None


@pytest.mark.parametrize(
    "text",
    ["a@b.co", "ann.lee+checks@mail.example.co.uk", "o'neil_1@x-y.example", "a" * 64 + "@b.co"],
)
def test_usual_addresses_are_taken(text: str) -> None:
    assert receive.address(text) == text


@pytest.mark.parametrize(
    "event", [{}, {"s3": None}, {"s3": {"bucket": {}}}, {"body": "hello"}, {"s3": []}]
)
def test_something_that_is_no_s3_event_is_a_mistake_in_the_setup(event: dict[str, Any]) -> None:
    with pytest.raises(BadEventError):
        receive.parse_record(event)


@pytest.mark.parametrize(
    ("event", "announces"),
    [
        (record("checks", GOOD), True),
        ({**record("checks", GOOD), "eventName": "ObjectCreated:Put"}, True),
        ({**record("checks", GOOD), "eventName": "s3:ObjectCreated:Copy"}, True),
        ({**record("checks", GOOD), "eventName": "ObjectRemoved:Delete"}, False),
        (record("checks", "archived/1/300px.jpg"), False),
        (record("checks", "incoming/"), False),
    ],
)
def test_only_arrivals_under_incoming_are_checks(event: dict[str, Any], announces: bool) -> None:
    assert receive.is_check(event) is announces


def test_an_upload_is_known_by_place_and_content() -> None:
    upload = receive.Upload("checks", GOOD, "5d41", 7)
    assert upload.id == receive.Upload("checks", GOOD, "5d41", None, "version").id
    others = [
        receive.Upload("other", GOOD, "5d41"),
        receive.Upload("checks", GOOD + "x", "5d41"),
        receive.Upload("checks", GOOD, "5d42"),
        receive.Upload("checks", GOOD),
        receive.Upload("check", "s" + GOOD, "5d41"),
    ]
    assert len({upload.id, *(other.id for other in others)}) == 6
