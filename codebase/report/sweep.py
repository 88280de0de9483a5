"""What β does: numbers, figure and a reading of them that says nothing but what was measured."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

from codebase import figures
from codebase.engine import randomness
from codebase.evaluation.bounds import active_units
from codebase.evaluation.numbers import Number
from codebase.files.disk import atomic

COLUMNS = 10  # digits in a row of the figure
PRIOR_SAMPLES = 1_000
COLLAPSED_KL = 0.1  # with the share of active units below, what the scripts warn of
COLLAPSED_SHARE = 1 / 5


@dataclass(frozen=True)
class Point:
    """One β: means over its runs, on all test images, and the pictures of its first run.

    Args:
        runs: how many there are; the numbers are None without any, or where they were not taken.
        active: latent dimensions whose posterior mean varies by over 0.01.
        entropy: of the pixels of digits drawn from p(z), given z, nats an image: 0 if every pixel
            is certain, 784 log 2 = 543 if every one is a coin's throw.
        samples, again: (10, 784) pixel probabilities: digits drawn, and test images reconstructed.
    """

    beta: float
    runs: int = 0
    nelbo: Number | None = None
    kl: Number | None = None
    rec: Number | None = None
    active: Number | None = None
    entropy: Number | None = None
    samples: torch.Tensor | None = None
    again: torch.Tensor | None = None


def point(beta, runs, x, test, device):
    """Measures one β.

    Args:
        runs: its `Runs`.
        x: (10, 784), the test images that are reconstructed.
        test: (N, 784) in {0, 1}, all of them.
    """
    if not runs.found:
        return Point(beta)
    active, entropy, pictures = [], [], {}
    for run in runs.found:
        model = run.model(device)
        if model is not None:
            active.append(active_units(model, test))
            entropy.append(prior_entropy(model))
            pictures = pictures or _draw(model, x)
    numbers = {name: runs.mean("test", name)[0] for name in ("nelbo", "kl", "rec")}
    numbers |= {"active": _mean(active), "entropy": _mean(entropy)}
    return Point(beta, len(runs.found), **numbers, **pictures)


def prior_entropy(model):
    """E_{z ~ p(z)} Σ_j H(x_j|z), in nats: how uncertain the pixels of drawn digits are."""
    with randomness.seeded():
        logits = model.dec(model.sample_z(PRIOR_SAMPLES))
    on, off = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
    return -(on.exp() * on + off.exp() * off).sum(-1).mean().item()


def _draw(model, x):
    with randomness.seeded():  # so that every β decodes the same z
        samples = model.sample_sigmoid(COLUMNS)
        again = model.compute_sigmoid_given(model.enc(x)[0])
    return {"samples": samples, "again": again}


def _mean(values):
    return Number.of(values) if values else None


def collapsed(point, z_dim):
    """Whether z says next to nothing about x, by the rule the scripts warn by."""
    few = point.active is not None and point.active.value < z_dim * COLLAPSED_SHARE
    return few or (point.kl is not None and point.kl.value < COLLAPSED_KL)


# The reading


def reading(points, z_dim):
    """Sentences about the β that were run; nothing is said of the others."""
    points = [p for p in points if p.kl and p.rec]
    if len(points) < 2:
        return ["Fewer than two values of β were run, so there is nothing to compare."]
    first, last = points[0], points[-1]
    sentences = [
        f"Read from β = {first.beta:g} to β = {last.beta:g} ({len(points)} values; "
        f"{_runs(points)}), on all test images, nats per image:"
    ]
    sentences += [_trend(points, name, label) for name, label in LABELS.items()]
    sentences += [_at_one(points, z_dim), _best(points), _price(points), _collapse(points, z_dim)]
    return [sentence for sentence in sentences if sentence]


LABELS = {
    "kl": "kl",
    "rec": "rec",
    "active": "the number of active latent dimensions",
    "entropy": "the entropy of the pixels of digits drawn, a measure of blur,",
}


def _runs(points):
    counts = sorted({p.runs for p in points})
    if counts == [1]:
        return "one run each, so without standard errors: a small step may be chance"
    return f"{' or '.join(map(str, counts))} runs each"


def _trend(points, name, label):
    """Whether a number goes one way in β, from where to where, and which steps are in doubt."""
    known = [(p.beta, getattr(p, name)) for p in points if getattr(p, name) is not None]
    if len(known) < 2:
        return None
    steps = [(a, b, n.value - m.value, _se(m, n)) for (a, m), (b, n) in pairwise(known)]
    (low, start), (high, end) = known[0], known[-1]
    ends = f"from {_short(start)} at β = {low:g} to {_short(end)} at β = {high:g}"
    ups = [step for step in steps if step[2] > 0]
    downs = [step for step in steps if step[2] < 0]
    if not ups and not downs:
        return f"{label} stays at {_short(start)} for every β."
    if not downs or not ups:
        always = "rises" if ups else "falls"
        never = "falls" if ups else "rises"
        flat = len(ups or downs) < len(steps)
        text = (
            f"{label} never {never}, {ends}" if flat else f"{label} {always} at every step, {ends}"
        )
    else:
        text = f"{label} does not go one way: {ends}, rising {_between(ups)}, falling "
        text += _between(downs)
    doubtful = [step for step in steps if step[2] and step[3] is not None]
    doubtful = [step for step in doubtful if abs(step[2]) < 2 * step[3]]
    if doubtful:
        text += f"; the change {_between(doubtful)} is less than two standard errors"
    return text + "."


def _se(m, n):
    return None if m.se is None or n.se is None else math.hypot(m.se, n.se)


def _between(steps):
    return "between " + ", ".join(f"{a:g} and {b:g}" for a, b, *_ in steps)


def _at_one(points, z_dim):
    for p in points:
        if p.beta == 1:
            active = f", {_short(p.active)} of {z_dim} dimensions active" if p.active else ""
            return (
                "At β = 1 the loss rec + β·kl is −ELBO itself: "
                f"rec {_short(p.rec)}, kl {_short(p.kl)}{active}."
            )
    return "β = 1, where the loss is −ELBO itself, is not among them."


def _best(points):
    """Which β has the lowest nelbo, the bound that counts kl once whatever was trained."""
    ranked = sorted((p for p in points if p.nelbo), key=lambda p: p.nelbo.value)
    if len(ranked) < 2:
        return None
    best, second = ranked[:2]
    gap, se = second.nelbo.value - best.nelbo.value, _se(best.nelbo, second.nelbo)
    text = (
        f"rec + kl, the bound with kl counted once whatever was trained, is lowest at "
        f"β = {best.beta:g} ({_short(best.nelbo)}), next at β = {second.beta:g} "
        f"({_short(second.nelbo)})"
    )
    if se is not None and gap < 2 * se:
        text += ", a difference of less than two of its standard errors"
    return f"{text}; highest at β = {ranked[-1].beta:g} ({_short(ranked[-1].nelbo)})."


def _price(points):
    """What a nat of kl that is given up costs in rec, between neighbouring β."""
    prices = [
        f"{(b.rec.value - a.rec.value) / (a.kl.value - b.kl.value):.2f} from {a.beta:g} to "
        f"{b.beta:g}"
        for a, b in pairwise(points)
        if b.kl.value < a.kl.value and b.rec.value > a.rec.value
    ]
    if not prices:
        return None
    return f"Each nat of kl given up costs in nats of rec: {', '.join(prices)}."


def _collapse(points, z_dim):
    fallen = [p for p in points if collapsed(p, z_dim)]
    rule = f"kl below {COLLAPSED_KL:g}, or fewer than {z_dim * COLLAPSED_SHARE:g} active dimensions"
    if not fallen:
        return f"At none of these β has the posterior collapsed ({rule})."
    where = ", ".join(
        f"{p.beta:g} (kl {_short(p.kl)}{f', {_short(p.active)} active' if p.active else ''})"
        for p in fallen
    )
    return f"The posterior has collapsed ({rule}) at β = {where}."


def _short(number):
    if number is None:
        return "?"
    return f"{number.value:.3g}" if abs(number.value) < 100 else f"{number.value:.1f}"


# The figure, laid out in inches: readable on a phone, whose screen it fills from side to side

WIDTH, LEFT, GAP = 5.4, 0.95, 0.14
CURVES = 2.2  # height, with titles and labels
STRIP = WIDTH - LEFT - 0.08  # a row of ten digits


def save_figure(path, points, x, z_dim):
    """Curves of rec, kl and active units above; below, for every β, a row of digits drawn and one
    of test images reconstructed.

    Args:
        x: (10, 784), the test images.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    row, rows = STRIP / COLUMNS, 2 * STRIP / COLUMNS + GAP
    height = CURVES + row + GAP + len(points) * rows
    fig = plt.figure(figsize=(WIDTH, height))

    def axes(left, top, width, tall):
        return fig.add_axes((left / WIDTH, 1 - (top + tall) / height, width / WIDTH, tall / height))

    _curves(axes(0.5, 0.3, 2.1, CURVES - 0.9), points, {"rec": "#0072b2", "kl": "#d55e00"})
    _active(axes(3.2, 0.3, 2.1, CURVES - 0.9), points, z_dim)
    _strip(axes(LEFT, CURVES, STRIP, row), x, "test images")
    for i, p in enumerate(points):
        ax = axes(LEFT, CURVES + row + GAP + i * rows, STRIP, rows - GAP)
        if p.samples is None:
            _empty(ax, f"β = {p.beta:g}", "no checkpoint on disk" if p.runs else "not run")
        else:
            numbers = f"rec {_short(p.rec)}\nkl {_short(p.kl)}\n{_short(p.active)} active"
            _strip(ax, torch.cat([p.samples, p.again]), f"β = {p.beta:g}\n{numbers}")
    with atomic(path) as file:
        fig.savefig(file, format="png", dpi=150)
    plt.close(fig)


def _curves(ax, points, colours):
    for name, colour in colours.items():
        _errorbar(ax, points, name, colour, marker="o" if name == "rec" else "s")
    ax.set(title="on all test images, nats per image")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize=8)
    _beta_axis(ax, points)


def _active(ax, points, z_dim):
    _errorbar(ax, points, "active", "#009e73", marker="D")
    ax.set(title=f"active dimensions of z, of {z_dim}", ylim=(0, 1.05 * z_dim))
    _beta_axis(ax, points)


def _errorbar(ax, points, name, colour, marker):
    known = [(p.beta, getattr(p, name)) for p in points if getattr(p, name) is not None]
    if known:
        betas, numbers = zip(*known, strict=True)
        values, errors = [n.value for n in numbers], [n.se or 0 for n in numbers]
        ax.errorbar(betas, values, yerr=errors, label=name, color=colour, marker=marker, ms=4)


def _beta_axis(ax, points):
    betas = [p.beta for p in points]
    ax.set_xscale("log")
    ax.set_xticks(betas, [f"{beta:g}" for beta in betas])
    ax.minorticks_off()
    ax.set(xlabel="β", xlim=(betas[0] / 1.4, betas[-1] * 1.4))
    ax.title.set_fontsize(8)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _strip(ax, images, label):
    ax.imshow(figures.grid(images, COLUMNS), cmap="gray", vmin=0, vmax=255)
    _label(ax, label)


def _empty(ax, label, reason):
    ax.text(0.5, 0.5, reason, ha="center", va="center", transform=ax.transAxes)
    _label(ax, label)


def _label(ax, label):
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.text(-0.02, 0.5, label, transform=ax.transAxes, ha="right", va="center", fontsize=8)


def record(point, z_dim):
    """The point for results.json."""
    numbers = {name: getattr(point, name) for name in ("rec", "kl", "nelbo", "active", "entropy")}
    return {
        "beta": point.beta,
        "runs": point.runs,
        "collapsed": collapsed(point, z_dim) if point.runs else None,
    } | {name: n and {"value": n.value, "se": n.se} for name, n in numbers.items()}
