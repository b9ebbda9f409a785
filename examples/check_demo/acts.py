"""The play: the same function five times, each time with less to do for S3.

=========== =====================================================================================
cold        a new container for every check: no process, nothing on disk
warm        one process, one check after the other
restarted   a new process for every check, over the disk that the last one left
new model   the model was replaced, and ``max_age`` is over
repeated    every event once more, as S3 may send it
=========== =====================================================================================
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from examples.check_scanner import tables
from examples.check_scanner.recogniser import model

from .cloud import Cloud, Function, Visit, function
from .uploads import Sent

FIRST, SECOND = "e13b-1", "e13b-2"
#: Seconds: the function's own default, and one that a demo can wait for.
MAX_AGE, SHORT_MAX_AGE = 300.0, 1.0

#: Is told how many invocations are done.
Progress = Callable[[int], None]


@dataclass(slots=True)
class Act:
    """Some invocations in a row, and what they had in common."""

    title: str
    about: str
    visits: list[Visit] = field(default_factory=list)

    @property
    def decisions(self) -> Counter[str]:
        """How many uploads were decided in this act, by state."""
        return Counter(v.result["decision"] for v in self.visits if not v.result["repeated"])

    @property
    def versions(self) -> set[str]:
        """The versions of the model that lines were read with."""
        readings = [v.result["reading"] for v in self.visits if not v.result["repeated"]]
        return {reading["model_version"] for reading in readings if reading}

    @property
    def seconds(self) -> float:
        """Of the median invocation."""
        return median(visit.seconds for visit in self.visits)

    @property
    def model_seconds(self) -> float | None:
        """What it took to have the model ready for use (the median); None if nobody needed it."""
        took = [v.result["timings"]["model"] for v in self.visits if "model" in v.result["timings"]]
        return median(took) if took else None

    @property
    def requests(self) -> int:
        """Requests that reached S3."""
        return sum(len(visit.requests) for visit in self.visits)

    @property
    def model_requests(self) -> int:
        """Those of them that asked for the model."""
        return sum(len(visit.for_the_model) for visit in self.visits)

    @property
    def downloaded(self) -> int:
        """Bytes that came from S3."""
        return sum(one.sent for v in self.visits for one in v.requests if one.method == "GET")

    @property
    def model_bytes(self) -> int:
        """Those of them that were the model."""
        return sum(one.sent for visit in self.visits for one in visit.for_the_model)


@dataclass(slots=True)
class Play:
    """All acts; what the tables and the mails were before the last one."""

    cold: Act
    warm: Act
    restarted: Act
    new_model: Act
    repeated: Act
    before_repeating: dict[str, Any]

    @property
    def acts(self) -> list[Act]:
        """In the order in which they were played."""
        return [self.cold, self.warm, self.restarted, self.new_model, self.repeated]


def play(cloud: Cloud, checks: Sequence[Sent], odd: Sequence[Sent], progress: Progress) -> Play:
    """Send everything in; ``odd`` uploads come after those of the warm function.

    Raises `FunctionError` if an invocation fails.
    """
    few = max(1, len(checks) // 20)
    cold_checks, restarted_checks = checks[:few], checks[few : 2 * few]
    late_checks, warm_checks = checks[2 * few : 4 * few], checks[4 * few :]
    done: list[tuple[Sent, dict[str, Any]]] = []

    def visit(act: Act, where: Function, sent: Sent) -> None:
        event = cloud.upload(sent)
        act.visits.append(cloud.invoke(where, sent, event))
        done.append((sent, event))
        progress(len(done))

    cloud.put_model(model.build(FIRST, model.PIXELS_PER_MODULE))
    cold = Act("cold", "new process, empty disk")
    for sent in cold_checks[1:]:
        with function() as where:
            visit(cold, where, sent)
    warm = Act("warm", "the same process again")
    restarted = Act("restarted", "new process, the disk of the last one")
    with function() as where:
        visit(cold, where, cold_checks[0])
        for sent in (*warm_checks, *odd):
            visit(warm, where, sent)
        for sent in restarted_checks:
            where.harness.kill()
            visit(restarted, where, sent)
        new_model = _new_model(cloud, where, late_checks, visit)
        before = everything(cloud)
        repeated = Act("repeated", "every event once more")
        for number, (sent, event) in enumerate(done, 1):
            repeated.visits.append(cloud.invoke(where, sent, event))
            progress(len(done) + number)
    return Play(cold, warm, restarted, new_model, repeated, before)


def _new_model(
    cloud: Cloud,
    last: Function,
    checks: Sequence[Sent],
    visit: Callable[[Act, Function, Sent], None],
) -> Act:
    act = Act("new model", f"replaced, and max_age (here {SHORT_MAX_AGE:.0f} s) is over")
    cloud.put_model(model.build(SECOND, model.PIXELS_PER_MODULE))
    time.sleep(SHORT_MAX_AGE)
    with function(last.root, MODEL_MAX_AGE=str(SHORT_MAX_AGE)) as where:
        for sent in checks:
            visit(act, where, sent)
    return act


def everything(cloud: Cloud) -> dict[str, Any]:
    """All that must not change when an event is repeated."""
    state: dict[str, Any] = {
        name: sorted(cloud.table(name), key=lambda item: str(item[key]))
        for name, key in tables.KEYS.items()
    }
    return {**state, "mails": cloud.mails(), "objects": cloud.objects()}
