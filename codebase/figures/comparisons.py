"""Figures that put several runs side by side.

Each function takes studies and gives a figure and the numbers behind it.
"""

import numpy as np

from codebase.evaluation.bounds import full_bounds
from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn


def unlike(studies: list[Study]) -> list[str]:
    """What sets each run's training apart from the others', in words; "" where all are alike.

    So no figure compares runs that were trained for 2,000 and for 20,000 iterations in silence.
    """
    names = dict.fromkeys(name for study in studies for name in study.training)
    differ = [n for n in names if len({str(s.training.get(n)) for s in studies}) > 1]
    return ["\n".join(_words(name, s.training.get(name)) for name in differ) for s in studies]


def _words(name, value):
    text = "unknown" if value is None else f"{value:,}" if isinstance(value, int) else f"{value}"
    return f"{text} {name}" if name == "iterations" else f"{name} {text}"


def warned(title: str, notes: list[str]) -> str:
    """A figure's title, and that its runs were not trained alike if there is something to note."""
    return f"{title}\nnot trained alike: see each run's label" if any(notes) else title


def samples_by_z(studies: list[Study]) -> Drawn:
    """Samples of models that differ in the size of z, from the smallest."""
    studies = sorted(studies, key=lambda s: s.z_dim)
    notes = unlike(studies)
    lines = len(notes[0].splitlines())
    fig = style.figure(0.55 + 6.6 / len(studies) + 0.13 * (lines and lines + 1))
    numbers = {}
    axes = fig.subplots(1, len(studies))
    for ax, study, note in zip(axes, studies, notes, strict=True):
        style.digits(ax, study.decode(study.sample(40)), 5)
        nelbo = full_bounds(study.model, study.x)["nelbo"].value
        ax.set_title(f"Z = {study.z_dim}")
        ax.set_xlabel(f"nelbo {nelbo:.1f} nats\n{note}".strip())
        ax.xaxis.set_label_position("bottom")
        numbers[study.name] = {"z": study.z_dim, "nelbo": nelbo} | study.training
    title = f"Samples (pixel {studies[0].mean_pixels}) by the size of z"
    fig.suptitle(warned(title, notes))
    return fig, numbers


def rate_distortion(studies: list[Study]) -> Drawn:
    """rec against kl on the test set, over β."""
    studies = sorted(studies, key=lambda s: s.settings["beta"])
    notes = unlike(studies)
    points = []
    for study in studies:
        bounds = {name: n.value for name, n in full_bounds(study.model, study.x).items()}
        rate = sum(value for name, value in bounds.items() if name.startswith("kl"))
        points.append((study.settings["beta"], rate, bounds["rec"]))
    _, kl, rec = np.array(points).T
    fig = style.figure(2.8)
    ax = fig.subplots()
    ax.plot(kl, rec, "o-", color=style.BLUE)
    for (b, x, y), note in zip(points, notes, strict=True):
        text = f"β = {b:g}\n{note}".strip()
        ax.annotate(text, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=6)
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
        title=warned("Rate and distortion over β (dotted: equal kl + rec)", notes),
    )
    rows = [dict(zip(("beta", "kl", "rec"), map(float, point), strict=True)) for point in points]
    return fig, {"runs": [row | s.training for row, s in zip(rows, studies, strict=True)]}


def clustering_by_k(studies: list[Study]) -> Drawn:
    """Agreement of components and digits over the number of components."""
    studies = sorted(studies, key=lambda s: s.mixture.k)
    notes = unlike(studies)
    scores = {}
    for study in studies:
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
    labels = [f"K = {k}\n{note}".strip() for k, note in zip(scores, notes, strict=True)]
    ax.set_xticks(range(len(scores)), labels)
    ax.set(ylabel="score, 1 is best", ylim=(0, 1.15), title=warned(title, notes))
    ax.legend(ncols=4, loc="upper center")
    return fig, {str(s.mixture.k): scores[s.mixture.k] | s.training for s in studies}
