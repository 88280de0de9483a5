"""How a training went: its loss, the parts of the bound and the test images' over iterations."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codebase.figures import style

# {panel: regular expression of the tags it shows}; those of the log that fit none are not drawn.
PANELS = {
    "loss": r"train/loss",
    "bound, nats": r"(gen|test)/nelbo",
    "squared error": r"(gen|test)/error",
    "penalty": r"gen/penalty",
    "kl, nats": r"(gen|test)/kl\w*",
    "rec, nats": r"(gen|test)/rec",
    "accuracy": r"class/acc|test/accuracy",
}
EARLY = 0.05  # of the iterations may leave a panel at its edge, where all else would be flat


def figure(scalars: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """One panel below the other, as far as something was logged for it.

    Args:
        scalars: {tag: [(iteration, number), …]}; "test/…" is of test images, all else of the
            minibatch.
    """
    scalars = _with_nelbo(scalars)
    panels = {
        label: found
        for label, pattern in PANELS.items()
        if (found := {t: points for t, points in scalars.items() if re.fullmatch(pattern, t)})
    }
    fig = style.figure(0.6 + 1.35 * max(len(panels), 1))
    axes = fig.subplots(max(len(panels), 1), sharex=True, squeeze=False)[:, 0]
    for ax, (label, found) in zip(axes, panels.items(), strict=False):
        _panel(ax, found)
        ax.set_ylabel(label)
    axes[-1].set_xlabel("iterations")
    axes[-1].xaxis.set_major_formatter("{x:,.0f}")
    fig.suptitle("Training: a minibatch (line), and test images (dots)")
    return fig


def _with_nelbo(scalars):
    """The minibatch's −ELBO in the place of its ELBO, and no loss where that is the same curve."""
    if "gen/elbo" not in scalars:
        return scalars
    nelbo, loss = [(step, -v) for step, v in scalars["gen/elbo"]], scalars.get("train/loss", ())
    same = len(loss) == len(nelbo) and np.allclose(loss, nelbo, rtol=1e-4)
    others = {tag: points for tag, points in scalars.items() if not (same and tag == "train/loss")}
    return {"gen/nelbo": nelbo} | others


def _panel(ax: Axes, found: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Curves in one panel: minibatches pale and thin, test images with dots."""
    colours = {True: iter((style.BLUE, style.GREEN)), False: iter((style.ORANGE, style.PURPLE))}
    late = []
    for tag, points in found.items():
        steps, values = np.array(points).T
        name, test = tag.split("/")[-1], tag.startswith("test/")
        look = {"marker": "o", "markersize": 2.5, "zorder": 3} if test else {"linewidth": 0.7}
        colour = next(colours[test], style.GREY)
        label = f"{name}, {'test' if test else 'minibatch'}"
        ax.plot(steps, values, color=colour, label=label, **look)
        late.append(values[steps >= EARLY * steps[-1]])
    low, high = (f(np.concatenate(late)) for f in (np.min, np.max))
    margin = 0.05 * (high - low) or 1.0
    ax.set_ylim(low - margin, high + margin)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
