"""What β does, in sentences: each from a template and the numbers that were measured."""

import math
from itertools import pairwise

from codebase.evaluation.collapse import rule
from codebase.report.numbers import short
from codebase.report.sweep import Point

LABELS = {
    "kl": "kl",
    "rec": "rec",
    "active": "the number of active latent dimensions",
    "entropy": "the entropy of the pixels of digits drawn, a measure of blur,",
}
# By the ways that a number goes from one β to the next.
TRENDS = {
    "=": "{label} stays at {start} for every β",
    ">": "{label} rises at every step, {ends}",
    "<": "{label} falls at every step, {ends}",
    "=>": "{label} never falls, {ends}",
    "<=": "{label} never rises, {ends}",
    "<>": "{label} does not go one way: {ends}, rising {ups}, falling {downs}",
}
ENDS = "from {start} at β = {low:g} to {end} at β = {high:g}"
DOUBT = "; the change {steps} is less than two standard errors"
FEW = "Fewer than two values of β were run, so there is nothing to compare."
OPENING = (
    "Read from β = {low:g} to β = {high:g} ({n} values; {runs}), on all test images, nats per "
    "image:"
)
ONCE = "one run each, so without standard errors: a small step may be chance"
AT_ONE = "At β = 1 the loss rec + β·kl is −ELBO itself: rec {rec}, kl {kl}{active}."
NOT_AT_ONE = "β = 1, where the loss is −ELBO itself, is not among them."
BEST = (
    "rec + kl, the bound with kl counted once whatever was trained, is lowest at β = {best}, next "
    "at β = {second}{doubt}; highest at β = {worst}."
)
CLOSE = ", a difference of less than two of its standard errors"
PRICE = "Each nat of kl given up costs in nats of rec: {prices}."
STANDING = "At none of these β has the posterior collapsed ({rule})."
COLLAPSED = "The posterior has collapsed ({rule}) at β = {where}."


def reading(points: list[Point], z_dim: int) -> list[str]:
    """Sentences about the β that were run; nothing is said of the others."""
    points = [p for p in points if p.kl and p.rec]
    if len(points) < 2:
        return [FEW]
    low, high = points[0].beta, points[-1].beta
    counts = sorted({p.runs for p in points})
    runs = ONCE if counts == [1] else f"{' or '.join(map(str, counts))} runs each"
    sentences = [OPENING.format(low=low, high=high, n=len(points), runs=runs)]
    sentences += [_trend(points, name, label) for name, label in LABELS.items()]
    sentences += [_at_one(points, z_dim), _best(points), _price(points), _collapse(points, z_dim)]
    return [sentence for sentence in sentences if sentence]


def _trend(points, name, label):
    """Whether a number goes one way in β, from where to where, and which steps are in doubt."""
    known = [(p.beta, n) for p in points if (n := getattr(p, name)) is not None]
    if len(known) < 2:
        return ""
    steps: dict[str, list[tuple[float, float]]] = {"<": [], "=": [], ">": [], "doubtful": []}
    for (a, m), (b, n) in pairwise(known):
        change = n.value - m.value
        steps[">" if change > 0 else "<" if change < 0 else "="].append((a, b))
        if change and abs(change) < _two_errors(m, n):
            steps["doubtful"].append((a, b))
    (low, start), (high, end) = known[0], known[-1]
    ways = "".join(way for way in "<=>" if steps[way])
    sentence = TRENDS.get(ways, TRENDS["<>"]).format(
        label=label,
        start=short(start),
        ends=ENDS.format(start=short(start), low=low, end=short(end), high=high),
        ups=_between(steps[">"]),
        downs=_between(steps["<"]),
    )
    if steps["doubtful"]:
        sentence += DOUBT.format(steps=_between(steps["doubtful"]))
    return sentence + "."


def _two_errors(m, n):
    """Two standard errors of n − m; 0 where they are not known, so that nothing is less."""
    return 0 if m.se is None or n.se is None else 2 * math.hypot(m.se, n.se)


def _between(steps):
    return "between " + ", ".join(f"{a:g} and {b:g}" for a, b in steps)


def _at_one(points, z_dim):
    for p in points:
        if p.beta == 1:
            active = f", {short(p.active)} of {z_dim} dimensions active" if p.active else ""
            return AT_ONE.format(rec=short(p.rec), kl=short(p.kl), active=active)
    return NOT_AT_ONE


def _best(points):
    """Which β has the lowest nelbo, the bound that counts kl once whatever was trained."""
    ranked = sorted((p for p in points if p.nelbo), key=lambda p: p.nelbo.value)
    if len(ranked) < 2:
        return ""
    best, second, worst = ranked[0], ranked[1], ranked[-1]
    close = second.nelbo.value - best.nelbo.value < _two_errors(best.nelbo, second.nelbo)
    named = {"best": best, "second": second, "worst": worst}
    named = {name: f"{p.beta:g} ({short(p.nelbo)})" for name, p in named.items()}
    return BEST.format(**named, doubt=CLOSE if close else "")


def _price(points):
    """What a nat of kl that is given up costs in rec, between neighbouring β."""
    prices = [
        f"{(b.rec.value - a.rec.value) / (a.kl.value - b.kl.value):.2f} from {a.beta:g} to "
        f"{b.beta:g}"
        for a, b in pairwise(points)
        if b.kl.value < a.kl.value and b.rec.value > a.rec.value
    ]
    return PRICE.format(prices=", ".join(prices)) if prices else ""


def _collapse(points, z_dim):
    fallen = [
        f"{p.beta:g} (kl {short(p.kl)}{f', {short(p.active)} active' if p.active else ''})"
        for p in points
        if p.collapsed(z_dim)
    ]
    return (COLLAPSED if fallen else STANDING).format(rule=rule(z_dim), where=", ".join(fallen))
