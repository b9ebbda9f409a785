"""The benchmark of a batch sees what must not be: each fault misses the mark that is about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.batch import Seen, account_of, judge
from examples.check_scanner.receive import Upload

UPLOADS = [Upload("b", f"incoming/sender{n}@example.com^1^1.00^1.jpg", str(n)) for n in range(3)]


def row(number: int) -> dict[str, Any]:
    return {"id": UPLOADS[number].id, "routing": "1", "from_account": "2", "serial": str(number)}


RIGHT = Seen(
    uploads=UPLOADS,
    left={UPLOADS[1].id, UPLOADS[2].id},
    before={UPLOADS[0].id, UPLOADS[1].id},
    account=Counter({"processed": 1, "review": 1, "rejected": 0, "all": 2, "before": 1}),
    ends={"processed": [row(0), row(1)], "review": [row(2)], "rejected": []},
    mails=Counter({f"sender{n}@example.com": 1 for n in range(3)}),
    incoming=0,
)


def missed(seen: Seen) -> list[str]:
    return [result.what for result in judge(seen, kills=1) if not result.ok]


def test_what_is_right_misses_no_mark() -> None:
    assert missed(RIGHT) == []
    again = RIGHT.mails + Counter({"sender0@example.com": 2})
    assert missed(replace(RIGHT, mails=again)) == []  # by the two workers that were killed


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda: {"incoming": 1}, ["left under"]),
        (lambda: {"mails": Counter({"sender0@example.com": 1})}, ["was not told"]),
        (lambda: {"mails": RIGHT.mails + Counter({"sender1@example.com": 3})}, ["told twice"]),
        (lambda: {"account": RIGHT.account + Counter(before=1)}, ["account has wrong"]),
        (lambda: {"account": RIGHT.account - Counter(review=1)}, ["account has wrong"]),
        (lambda: {"ends": {**RIGHT.ends, "rejected": [row(0)]}}, ["exactly once"]),
        (lambda: {"ends": {**RIGHT.ends, "processed": [row(1)]}}, ["exactly once"]),
        (
            lambda: {"ends": {**RIGHT.ends, "processed": [row(0), {**row(1), "serial": "0"}]}},
            ["has another"],
        ),
    ],
)
def test_a_fault_misses_the_mark_that_is_about_it(
    change: Callable[[], dict[str, Any]], what: list[str]
) -> None:
    found = missed(replace(RIGHT, **change()))
    assert len(found) == len(what)
    assert all(part in whole for part, whole in zip(what, found, strict=True))


def test_the_account_is_read_off_what_a_batch_prints() -> None:
    printed = (
        "processed     1,190\nreview            7\nfailed            0\nall           1,197\n"
        "1,007 were decided before. 3.0 s, 399.0/s\n"
    )
    assert account_of(printed) == {
        "processed": 1190,
        "review": 7,
        "failed": 0,
        "all": 1197,
        "before": 1007,
    }
