"""Figures made of digits: what a model draws, redraws, and takes for something else.

Each function takes a `Study` and gives a figure and the numbers behind it.
"""

import numpy as np
import torch

from codebase.data.batches import grey
from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn


def samples(study: Study) -> Drawn:
    """Digits drawn from the prior: mean pixels, and pixels drawn; or where no prior is, drawn."""
    if not study.abilities.bounds:
        fig = style.figure(4.1)
        with study.seeded():
            style.digits(fig.subplots(), study.model.sample_x(100), 10)
        return fig, {}
    codes = study.sample(100)
    fig = style.figure(2.05)
    left, right = fig.subplots(1, 2)
    style.digits(left, study.decode(codes), 10)
    left.set_title(f"pixel {study.mean_pixels}")
    style.digits(right, study.draw(codes), 10)
    right.set_title("drawn pixels")
    return fig, {}


def reconstructions(study: Study) -> Drawn:
    """Test images, the mean pixels at their codes, and of a density pixels drawn there."""
    x = study.x[study.positions(2, each=True).T.flatten()]
    codes = study.encode(x)
    columns = len(x) // 2
    drawn = [x, study.decode(codes)] + ([] if study.points else [study.draw(codes)])
    rows = torch.stack([t.view(2, columns, -1) for t in drawn], dim=1)
    names = ["input", "redrawn"] if study.points else ["input", study.mean_pixels, "sample"]
    fig = style.figure(0.55 + 0.3 * 2 * len(drawn))
    ax = fig.subplots()
    style.digits(ax, rows.flatten(0, 2), columns, row_labels=names * 2, gaps=[len(drawn) - 1])
    fig.suptitle("Test images and their reconstructions")
    return fig, {}


def components(study: Study, columns: int = 6, rows: int = 6) -> Drawn:
    """A mixture's component means, the most used ones first."""
    k = study.mixture.k
    counts = analysis.contingency(study.components.numpy(), study.y.numpy(), k=k)
    shares = counts.sum(0) / counts.sum()
    purity = counts.max(0) / counts.sum(0).clip(min=1)
    order = np.argsort(-shares, kind="stable")
    used = int((shares > 0).sum())
    shown = order[: min(columns * rows, used)]
    texts = [f"{shares[c]:.1%}\n{counts[:, c].argmax()}: {purity[c]:.0%}" for c in shown]
    fig = style.figure(0.45 + 0.87 * -(-len(shown) // columns))
    means = study.mixture.components.mean[shown]
    style.captioned(fig.subplots(), study.decode(means), columns, texts)
    covered = shares[shown].sum()
    fig.suptitle(
        f"{len(shown)} most used of {k} components, {covered:.0%} of the test set\n"
        "below each: its share; its commonest digit and that one's share"
    )
    numbers = {
        "used": used,
        "components": [
            {
                "component": int(c),
                "share": float(shares[c]),
                "digit": int(counts[:, c].argmax()),
                "purity": float(purity[c]),
            }
            for c in shown
        ],
    }
    return fig, numbers


def class_conditional(study: Study, columns: int = 10) -> Drawn:
    """A label a row, the same z down each column."""
    with study.seeded():
        z = study.model.sample_z(columns)
    rows = study.decode(study.with_every_label(z)).transpose(0, 1)  # (Y, columns, D)
    fig = style.figure(3.6)
    ax = fig.subplots()
    style.digits(ax, rows.flatten(0, 1), columns, row_labels=range(study.y_dim))
    ax.set(ylabel="label y", xlabel="one z per column")
    fig.suptitle("p(x|z, y): the same styles as every digit")
    return fig, {}


def style_transfer(study: Study) -> Drawn:
    """A test image a row, then its z with every label."""
    x = study.x[study.positions(1, each=True).flatten()]
    z = study.encode(x)[:, : study.z_dim]
    rows = torch.cat([x.unsqueeze(1), study.decode(study.with_every_label(z))], dim=1)
    fig = style.figure(3.35)
    ax = fig.subplots()
    style.digits(ax, rows.flatten(0, 1), 1 + study.y_dim, ["x", *range(study.y_dim)])
    ax.set_xlabel("label y")
    fig.suptitle("A test image, and its z drawn as every digit")
    return fig, {}


def mistakes(study: Study, columns: int = 6, rows: int = 4) -> Drawn:
    """The test images the classifier is wrong about with the most confidence."""
    x = grey(study.dataset.test_x)
    q = study.log_q.cpu().double().exp()
    predicted = q.argmax(1)
    # 1 − q(ŷ|x), as the sum of the others: near 1, q itself has no digits left.
    doubt = q.scatter(1, predicted.unsqueeze(1), 0).sum(1)
    wrong = (predicted != study.y).nonzero().flatten()
    shown = wrong[doubt[wrong].argsort(stable=True)][: columns * rows]
    texts = [f"{study.y[i]} → {predicted[i]}\n1 − {doubt[i]:.0e}" for i in shown]
    fig = style.figure(0.3 + 0.87 * rows)
    if len(shown):
        style.captioned(fig.subplots(), x[shown], columns, texts)
    fig.suptitle("Most confident mistakes: digit → prediction, q(prediction|x)")
    return fig, {"wrong": len(wrong), "doubt": doubt[shown].tolist()}
