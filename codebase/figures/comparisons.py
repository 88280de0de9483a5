"""Figures that put several runs side by side.

Each function takes studies and gives a figure and the numbers behind it.
"""

import numpy as np

from codebase.evaluation.bounds import full_bounds
from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn


def samples_by_z(studies: list[Study]) -> Drawn:
    """Samples of models that differ in the size of z, from the smallest."""
    studies = sorted(studies, key=lambda s: s.z_dim)
    fig = style.figure(0.55 + 6.6 / len(studies))
    numbers = {}
    for ax, study in zip(fig.subplots(1, len(studies)), studies, strict=True):
        style.digits(ax, study.decode(study.sample(40)), 5)
        nelbo = full_bounds(study.model, study.x)["nelbo"].value
        ax.set_title(f"Z = {study.z_dim}")
        ax.set_xlabel(f"nelbo {nelbo:.1f} nats")
        ax.xaxis.set_label_position("bottom")
        numbers[study.name] = {"z": study.z_dim, "nelbo": nelbo}
    fig.suptitle(f"Samples (pixel {studies[0].mean_pixels}) by the size of z")
    return fig, numbers


def rate_distortion(studies: list[Study]) -> Drawn:
    """rec against kl on the test set, over β."""
    points = []
    for study in sorted(studies, key=lambda s: s.settings["beta"]):
        bounds = {name: n.value for name, n in full_bounds(study.model, study.x).items()}
        rate = sum(value for name, value in bounds.items() if name.startswith("kl"))
        points.append((study.settings["beta"], rate, bounds["rec"]))
    beta, kl, rec = np.array(points).T
    fig = style.figure(2.8)
    ax = fig.subplots()
    ax.plot(kl, rec, "o-", color=style.BLUE)
    for b, x, y in points:
        ax.annotate(f"β = {b:g}", (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6)
    ax.margins(0.12)
    span = np.array(ax.get_xlim())
    low, high = ax.get_ylim()
    for level in np.unique(np.round(kl + rec)):
        ax.plot(span, level - span, ":", color=style.GREY, linewidth=0.7, zorder=0)
    ax.set(
        xlabel="rate: kl, nats per image",
        ylabel="distortion: rec, nats per image",
        xlim=span,
        ylim=(low, high),
        title="Rate and distortion over β (dotted: equal kl + rec)",
    )
    rows = zip(beta, kl, rec, strict=True)
    names = "beta", "kl", "rec"
    return fig, {"runs": [dict(zip(names, map(float, row), strict=True)) for row in rows]}


def clustering_by_k(studies: list[Study]) -> Drawn:
    """Agreement of components and digits over the number of components."""
    scores = {}
    for study in sorted(studies, key=lambda s: s.mixture.k):
        found = analysis.clustering_scores(study.components.numpy(), study.y.numpy())
        scores[study.mixture.k] = found
    fig = style.figure(2.2)
    ax = fig.subplots()
    title = f"{studies[0].kind.upper()} components as clusters"
    names = "accuracy", "purity", "nmi", "ari"
    colours = style.BLUE, style.SKY, style.ORANGE, style.GREEN
    width = 0.8 / len(names)
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        x = np.arange(len(scores)) + (i - 1.5) * width
        bars = ax.bar(x, [s[name] for s in scores.values()], width, color=colour, label=name)
        ax.bar_label(bars, fmt="%.2f", fontsize=5.5, padding=1)
    ax.set_xticks(range(len(scores)), [f"K = {k}" for k in scores])
    ax.set(ylabel="score, 1 is best", ylim=(0, 1.15), title=title)
    ax.legend(ncols=4, loc="upper center")
    return fig, {str(k): s for k, s in scores.items()}
