"""What the demo promises, and whether it was so."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from examples.check_scanner.decide import identity
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.result import State

from .acts import FIRST, SECOND, Play, everything
from .cases import Case
from .cloud import QUOTA, Cloud


@dataclass(frozen=True, slots=True)
class Promise:
    """A sentence; ``broken`` says what speaks against it, empty if it was kept."""

    text: str
    broken: str = ""


def promises(play: Play, cases: list[Case], cloud: Cloud) -> list[Promise]:
    """All of them, kept or not."""
    return [
        Promise(text, broken)
        for part in (_bookkeeping(play, cases, cloud), _reading(cases), _caching(play))
        for text, broken in part
    ]


def _bookkeeping(play: Play, cases: list[Case], cloud: Cloud) -> Iterator[tuple[str, str]]:
    states = {state: [item["id"] for item in cloud.table(state)] for state in State}
    found = Counter(id for ids in states.values() for id in ids)
    off = {case.sent.key for case in cases if found[case.id] != 1}
    yield (
        "Every upload is in exactly one of processed, review and rejected.",
        _named(off) or ("" if len(found) == len(cases) else f"{len(found)} are on record"),
    )
    checks = Counter(identity(case.reading) for case in cases if case.state == State.PROCESSED)
    yield (
        "No check is accepted twice.",
        _named({str(c) for c, times in checks.items() if times > 1}),
    )
    now = everything(cloud)
    changed = {name for name, was in play.before_repeating.items() if now[name] != was}
    unnoticed = {v.sent.key for v in play.repeated.visits if not v.result["repeated"]}
    yield "Repeated events change nothing and send no mail.", _named(changed | unnoticed)
    owed = Counter(case.email for case in cases if case.email)
    sent = Counter(mail.to for mail in cloud.mails())
    yield "Every sender with an address gets one mail.", _named((owed - sent) | (sent - owed))
    yield "Nothing is left in incoming/.", _named(cloud.objects(INCOMING))
    lost = {case.sent.key for case in cases if case.original != case.sent.body}
    yield "Every original is in the archive, as it was sent.", _named(lost)


def _reading(cases: list[Case]) -> Iterator[tuple[str, str]]:
    accepted = [case for case in cases if case.state == State.PROCESSED]
    yield (
        "What is accepted was read as it is printed.",
        _named({case.sent.key for case in accepted if not case.true}),
    )
    checks = [case for case in cases if case.sent.ends is None]
    enough = 2 * len(accepted) > len(checks)
    told = "" if enough else f"{len(accepted)} of {len(checks)}"
    yield "Most checks are accepted without a person.", told
    elsewhere = {c.sent.key for c in cases if c.sent.ends not in (None, c.state)}
    yield "What is wrong on purpose is refused, or left to a person.", _named(elsewhere)


def _caching(play: Play) -> Iterator[tuple[str, str]]:
    def requests(number: int, wanted: int) -> str:
        return "" if number == wanted else f"{number} requests, not {wanted}"

    cold, new = play.cold, play.new_model
    yield (
        "A cold start downloads the model once.",
        requests(cold.model_requests, len(cold.visits)),
    )
    for act in (play.warm, play.restarted):
        yield (
            f"{act.title.capitalize()}: within max_age nobody asks S3 about the model.",
            requests(act.model_requests, 0) or _named(act.versions - {FIRST}),
        )
    downloads = [one for v in new.visits for one in v.for_the_model if one.status == 200]
    yield (
        "After max_age the next check has the new model, by one download.",
        _named(new.versions - {SECOND}) or requests(len(downloads), 1),
    )
    visits = [visit for act in play.acts for visit in act.visits]
    yield "No scratch files are left.", _named({path for v in visits for path in v.scratch})
    most = max(visit.disk for visit in visits)
    yield (
        f"The cache never has more than its {QUOTA:,} bytes on disk.",
        "" if most <= QUOTA else f"{most:,} bytes",
    )


def _named(those: object) -> str:
    return ", ".join(sorted(map(str, those)))  # type: ignore[call-overload]
