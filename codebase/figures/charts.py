"""Figures of numbers: kl by dimension, calibration, likelihoods.

Each function of a `Study` gives a figure and the numbers behind it.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from codebase.evaluation.collapse import active
from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn

# What has kl beside the dimensions: see Study.kl.
OTHERS = {"y": "label", "k": "choice of component", "rest": "joint part"}


def kl_bars(study: Study) -> Drawn:
    """Where the nats of the code go, dimension by dimension."""
    by_dimension = study.kl[0].mean(0)
    others = {name: float(t.mean()) for name, t in study.kl[1].items()}
    is_active = active(study.means).cpu()
    order = by_dimension.argsort(descending=True, stable=True)
    fig = style.figure(2.2)
    ax = fig.subplots()
    colours = [style.BLUE if is_active[d] else style.GREY for d in order]
    ax.bar(range(study.z_dim), by_dimension[order].tolist(), color=colours)
    step = -(-study.z_dim // 16)
    ticks = {i: str(int(order[i]) + 1) for i in range(0, study.z_dim, step)}
    for place, (name, value) in enumerate(others.items(), start=2):
        ax.bar(-place, value, color=style.ORANGE)
        ticks[-place] = name
    ax.set_xticks(list(ticks), list(ticks.values()))
    first = "".join(f"{OTHERS[name]} ({name}); " for name in others)
    kl, n = float(by_dimension.sum()) + sum(others.values()), int(is_active.sum())
    title = f"kl = {kl:.2f} nats; {n} of {study.z_dim} dimensions active"
    ax.set(
        xlabel=f"{first}latent dimensions, most kl first",
        ylabel="kl, nats per image",
        title=title + ("" if is_active.all() else " (grey: not)"),
    )
    numbers = {
        "kl": kl,
        "kl_per_dimension": by_dimension.tolist(),
        "kl_of_choice": others.get("y", 0.0) + others.get("k", 0.0),
        "active_units": n,
        "variance_of_means": study.means.var(0).tolist(),
    }
    if "rest" in others:
        numbers["kl_of_rest"] = others["rest"]
    return fig, numbers


def confusion(counts: torch.Tensor) -> Figure:
    """The confusion matrix of (Y, Y) counts, true label by predicted."""
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    fig = style.figure(3.1)
    ax = fig.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(counts.numpy()):
        ink = "white" if shares[true, predicted] > 0.5 else "black"
        ax.text(predicted, true, str(count), ha="center", va="center", color=ink, fontsize=6)
    labels = range(len(counts))
    ax.set(
        xlabel="predicted digit",
        ylabel="true digit",
        xticks=labels,
        yticks=labels,
        title=f"Test images: {int(counts.diag().sum()):,} of {int(counts.sum()):,} right",
    )
    ax.spines[:].set_visible(True)
    fig.colorbar(image, label="share of the true digit's images")
    return fig


def calibration(study: Study) -> Drawn:
    """Whether the classifier is right as often as it is sure."""
    confidence, predicted = (t.cpu() for t in study.log_q.exp().max(1))
    right = (predicted == study.y).numpy().astype(float)
    c = analysis.calibration(confidence.double().numpy(), right)
    edges = np.linspace(0, 1, len(c.count) + 1)
    fig = style.figure(3.1)
    top, bottom = fig.subplots(2, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], ":", color=style.GREY, label="calibrated")
    filled = c.count > 0
    # Standard error of a share, within a bin.
    error = np.sqrt(c.accuracy[filled] * (1 - c.accuracy[filled]) / c.count[filled])
    top.errorbar(
        *(c.confidence[filled], c.accuracy[filled], error),
        fmt="o-",
        color=style.BLUE,
        capsize=2,
        label="q(y|x), ± standard error",
    )
    top.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1.01))
    top.set_title(
        f"Calibration of q(y|x): ECE {c.ece:.3f}\n"
        f"accuracy {right.mean():.3f}, mean confidence {confidence.mean():.3f}"
    )
    top.legend(loc="upper left")
    bottom.bar(
        edges[:-1], c.count, width=edges[1], align="edge", color=style.SKY, edgecolor="white"
    )
    bottom.set(xlabel="confidence, max q(y|x)", ylabel="images", yscale="log")
    numbers = {
        "ece": c.ece,
        "accuracy": float(right.mean()),
        "mean_confidence": float(confidence.mean()),
        "bins": [
            {"confidence": float(a), "accuracy": float(b), "images": int(n)}
            for a, b, n in zip(c.confidence, c.accuracy, c.count, strict=True)
            if n
        ],
    }
    return fig, numbers


def likelihood(study: Study, shown: int = 8) -> Drawn:
    """log p(x) of test images, with those explained best and worst."""
    at, log_p = study.likelihoods
    order = log_p.argsort(descending=True)
    ends = order[:shown], order[-shown:].flip(0)
    fig = style.figure(3.2)
    top, *rows = fig.subplots(3, height_ratios=[2.4, 1, 1])
    top.hist(log_p.numpy(), bins=40, color=style.BLUE)
    top.axvline(float(log_p.mean()), color=style.ORANGE, label=f"mean {log_p.mean():.1f}")
    top.legend(loc="upper left")
    top.set(
        xlabel="log p(x), nats", ylabel="images", title=f"Log-likelihood of {len(at):,} test images"
    )
    for ax, end, name in zip(rows, ends, ("best", "worst"), strict=True):
        labels = [f"{p:.0f}" for p in log_p[end]]
        style.digits(ax, study.x[at[end]], len(end), labels, [name])
    numbers = {
        "images": len(at),
        "mean": float(log_p.mean()),
        "se": float(log_p.std() / len(at) ** 0.5),
        "min": float(log_p.min()),
        "max": float(log_p.max()),
    }
    return fig, numbers
