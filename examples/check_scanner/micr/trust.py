"""Whether to believe it."""

import numpy as np

from examples.check_scanner import e13b
from examples.check_scanner.micr import fields
from examples.check_scanner.micr.line import Group, Seen
from examples.check_scanner.reading import Decision, Field, Reading

DEBUG = {}
def nothing(version: str) -> Reading:
    none = Field(None, 0.0)
    return Reading("", none, none, none, none, Decision.REJECT, "There is no MICR line in the picture.", 0.0, version)


def _blank(group: Group):
    s = group.cells.score
    best = s.max(1)
    ink = np.clip(group.cells.window, 0, 1)[:, 3:-3, 3:-3].mean((1, 2))
    typical = np.median(ink[best > 0.7]) if (best > 0.7).any() else 0.2
    return (ink < 0.25 * typical) | ((best < 0.5) & (ink < 0.5 * typical)), ink / typical


def aba(r):
    return len(r) == 9 and r.isdigit() and sum(int(d) * w for d, w in zip(r, (3, 7, 1) * 3)) % 10 == 0


def judged(seen: Seen, version: str) -> Reading:
    score = seen.main.cells.score
    blank, ink = _blank(seen.main)
    p = fields.parse(score, blank)
    order = np.sort(score, 1)
    def f(found, sc):
        if found is None: return Field(None, 0.0)
        o = np.sort(sc[found.digits], 1)
        return Field(found.text if '?' not in found.text else None, float((o[:, -1] - o[:, -2]).min()))
    amount = None
    am = Field(None, 0.0)
    doubts = list(p.doubts)
    if seen.amount is not None:
        amount = fields.parse_amount(seen.amount.cells.score)
        am = f(amount, seen.amount.cells.score)
        if amount is None: doubts.append('amount not readable')
        else: am = Field(str(int(amount.text)), am.confidence)
    r, a, s = f(p.routing, score), f(p.account, score), f(p.serial, score)
    if p.routing and not p.dashed and not aba(p.routing.text): doubts.append("check digit")
    if p.dashed: doubts.append('dashed')
    u0, u1 = p.used
    use = np.arange(u0, u1 + 1)
    use = use[~blank[use]]
    m = order[use, -1] - order[use, -2]
    low, marg = order[use, -1].min(), m.min()
    agree = (seen.main.second.score[use].argmax(1) == score[use].argmax(1)).all()
    if amount is not None:
        o = np.sort(seen.amount.cells.score[amount.span], 1)
        low, marg = min(low, o[:, -1].min()), min(marg, (o[:, -1] - o[:, -2]).min())
        agree &= (seen.amount.second.score[amount.span].argmax(1) == seen.amount.cells.score[amount.span].argmax(1)).all()
    if low < 0.75: doubts.append(f"low {low:.2f}")
    if marg < 0.1: doubts.append(f"margin {marg:.2f}")
    if not agree: doubts.append("second")
    if a.text is None: doubts.append('account')
    return Reading(p.text, r, a, s, am, Decision.REVIEW if doubts else Decision.ACCEPT, '; '.join(doubts), float(marg), version)
