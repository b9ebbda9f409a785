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


def aba(r):
    return len(r) == 9 and r.isdigit() and sum(int(d) * w for d, w in zip(r, (3, 7, 1) * 3)) % 10 == 0


def judged(seen: Seen, version: str) -> Reading:
    cost = seen.main.evidence.cost
    score = seen.main.evidence.likely
    blank = cost.argmin(1) == cost.shape[1] - 1
    p = fields.parse(score, blank)
    def f(found, sc):
        if found is None: return Field(None, 0.0)
        o = np.sort(sc[found.digits], 1)
        return Field(found.text if '?' not in found.text else None, float((o[:, 1] - o[:, 0]).min()))
    amount = None
    am = Field(None, 0.0)
    doubts = list(p.doubts)
    if seen.amount is not None:
        amount = fields.parse_amount(seen.amount.evidence.likely)
        am = f(amount, seen.amount.evidence.cost)
        if amount is None: doubts.append('amount not readable')
        else: am = Field(str(int(amount.text)), am.confidence)
    r, a, s = f(p.routing, cost), f(p.account, cost), f(p.serial, cost)
    if p.routing and not p.dashed and not aba(p.routing.text): doubts.append("check digit")
    if p.dashed: doubts.append('dashed')
    u0, u1 = p.used
    use = np.arange(u0, u1 + 1)
    both=[]
    for g, at in ((seen.main, use), (seen.amount, amount.span if amount else [])):
        if g is None: continue
        def bm(c):
            o = np.sort(c[at], 1); return o[:, 0], o[:, 1] - o[:, 0], c[at].argmin(1)
        e = g.evidence
        cb, cm, ck = bm(e.cost); sb, sm, sk = bm(e.strict); lb, lm, lk = bm(e.lenient)
        ns = np.sort(g.cells.score[at], 1); nk = g.cells.score[at].argmax(1)
        eb, em, ek = bm(g.second.cost); tk = g.second.strict[at].argmin(1)
        for j in range(len(ck)):
            k = ck[j]
            both.append((cb[j], cm[j], ek[j] == k, nk[j] == k or k == 14, e.clean[at][j], k == 14, sb[j], sm[j], sk[j] == k, lb[j], lm[j], lk[j] == k, ns[j, -1], ns[j, -1] - ns[j, -2], em[j], tk[j] == k, e.strict[at][j, 14], e.lenient[at][j, k], e.strict[at][j, k]))
    b = np.array(both, float)
    DEBUG['cells'] = b
    low, marg = b[:, 0].max(), b[:, 1].min()
    dirty = b[b[:, 4] == 0]
    if len(dirty) and (dirty[:, 0].max() > 0.5 or dirty[:, 1].min() < 0.4): doubts.append(f"cost {dirty[:, 0].max():.2f} margin {dirty[:, 1].min():.2f}")
    if not b[:, 2].all(): doubts.append("second")
    if not b[:, 3].all(): doubts.append("corr")
    if a.text is None: doubts.append('account')
    return Reading(p.text, r, a, s, am, Decision.REVIEW if doubts else Decision.ACCEPT, '; '.join(doubts), float(marg), version)
