"""What β does, measured, and the figure of it."""

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure

from codebase.engine import randomness
from codebase.evaluation.codes import active_units
from codebase.evaluation.collapse import collapsed
from codebase.evaluation.numbers import Number
from codebase.figures import style
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import Bernoulli
from codebase.report.numbers import short
from codebase.report.recorded import Runs

COLUMNS = 10  # digits in a row of the figure
PRIOR_SAMPLES = 1_000


@dataclass(frozen=True)
class Point:
    """One β: means over its runs, on all test images, and the pictures of its first run.

    Args:
        runs: how many there are; the numbers are None without any, or where they were not taken.
        active: latent dimensions whose posterior mean varies by over 0.01.
        entropy: of the pixels of digits drawn from p(z), given z, nats an image: 0 if every pixel
            is certain, 784 log 2 = 543 if every one is a coin's throw.
        samples, again: (10, 784) mean pixels: digits drawn, and test images reconstructed.
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

    def collapsed(self, z_dim: int) -> bool:
        """Whether the posterior has, by what was measured of it."""
        kl, active = (None if n is None else n.value for n in (self.kl, self.active))
        return collapsed(kl, active, z_dim)


def point(
    beta: float, runs: Runs, x: torch.Tensor, test: torch.Tensor, device: torch.device
) -> Point:
    """Measures one β.

    Args:
        x: (10, 784), the test images that are reconstructed.
        test: (N, 784) in {0, 1}, all of them.
    """
    if not runs.found:
        return Point(beta)
    models = [model for run in runs.found if (model := run.model(device)) is not None]
    numbers: dict[str, Any] = {name: runs.mean("test", name)[0] for name in ("nelbo", "kl", "rec")}
    numbers["active"] = _mean([active_units(model, test) for model in models])
    numbers["entropy"] = _mean([prior_entropy(model) for model in models])
    pictures = _draw(models[0], x) if models else {}
    return Point(beta, len(runs.found), **numbers, **pictures)


def prior_entropy(model: LatentVariableModel) -> float | None:
    """E_{z ~ p(z)} Σ_j H(x_j|z), in nats: how uncertain the pixels of drawn digits are.

    None where pixels are not binary.
    """
    with randomness.seeded():
        pixels = model.likelihood(model.sample_z(PRIOR_SAMPLES))
        return pixels.entropy().mean().item() if isinstance(pixels, Bernoulli) else None


def _draw(model, x):
    with randomness.seeded():  # so that every β decodes the same z
        samples = model.sample_sigmoid(COLUMNS)
        again = model.likelihood(model.posterior(x).mean).mean
    return {"samples": samples, "again": again}


def _mean(values):
    return Number.of(values) if values and None not in values else None


def record(point: Point, z_dim: int) -> dict:
    """The point for results.json."""
    numbers = {name: getattr(point, name) for name in ("rec", "kl", "nelbo", "active", "entropy")}
    return {
        "beta": point.beta,
        "runs": point.runs,
        "collapsed": point.collapsed(z_dim) if point.runs else None,
    } | {name: n and n.record() for name, n in numbers.items()}


# The figure

CURVES, ROW, GAP = 1.5, 0.285, 0.135  # inches: heights of the curves, a row of digits, between


def figure(points: list[Point], x: torch.Tensor, z_dim: int) -> Figure:
    """Curves of rec, kl and active units above; below, for every β, a row of digits drawn and one
    of test images reconstructed.

    Args:
        x: (10, 784), the test images.
    """
    rows = 1 + 2 * len(points)
    below = ROW * rows + GAP * len(points)
    fig = style.figure(CURVES + below)
    (curves,), (strip,) = fig.subfigures(2, squeeze=False, height_ratios=[CURVES, below])
    left, right = curves.subplots(1, 2)
    _curve(left, points, "rec", style.BLUE, "o")
    _curve(left, points, "kl", style.VERMILLION, "s")
    left.set(title="test set, nats per image")
    left.set_ylim(bottom=0)
    left.legend(loc="center right")
    _curve(right, points, "active", style.GREEN, "D")
    right.set(title=f"active dimensions, of {z_dim}", ylim=(0, 1.05 * z_dim))

    images, labels = [x], ["test images"]
    for p in points:
        blank = torch.zeros_like(x)
        images += [blank if t is None else t for t in (p.samples, p.again)]
        labels += _labels(p)
    ax = strip.subplots()
    gaps = range(0, rows - 1, 2)
    style.digits(ax, torch.cat([t.cpu() for t in images]), COLUMNS, (), labels, gaps)
    return fig


def _curve(ax, points, name, colour, marker):
    known = [(p.beta, getattr(p, name)) for p in points if getattr(p, name) is not None]
    if known:
        at, numbers = zip(*known, strict=True)
        values, errors = [n.value for n in numbers], [n.se or 0 for n in numbers]
        ax.errorbar(at, values, yerr=errors, label=name, color=colour, marker=marker)
    betas = [p.beta for p in points]
    ax.set_xscale("log")
    ax.set_xticks(betas, [f"{beta:g}" for beta in betas])
    ax.minorticks_off()
    ax.set(xlabel="β", xlim=(betas[0] / 1.4, betas[-1] * 1.4))


def _labels(p):
    """What stands beside the two rows of a β."""
    name = f"β = {p.beta:g}"
    if p.samples is None:
        return [name, "no checkpoint" if p.runs else "not run"]
    return [f"{name}\n{short(p.active)} active", f"rec {short(p.rec)}\nkl {short(p.kl)}"]
