"""How images of other kinds score, which the model has not seen."""

import numpy as np
import torch

from codebase.data.batches import as_pixels, seeded_generator
from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn
from codebase.sides import side_of

MOST = 500  # images of a kind


def images(study: Study) -> dict[str, torch.Tensor]:
    """Images of other kinds, of the model's pixels, by name: {name: (n, D)}.

    Test images turned by a quarter; noise, of which every pixel is that of another test image,
    drawn on its own; and what other datasets there are.
    """
    with study.seeded():
        which = torch.randint(len(study.x), (MOST, study.x.shape[1])).to(study.x.device)
    noise = study.x.gather(0, which)
    side = side_of(study.x.shape[1])
    turned = study.x[study.positions(MOST)].view(-1, side, side).rot90(dims=(1, 2)).flatten(1)
    found = {"turned by 90°": turned, "noise of the same pixel means": noise}
    for name, x in study.others.items():
        drawn = as_pixels(x[:MOST].cpu(), study.abilities.pixels, seeded_generator(study.seed))
        found[name] = drawn.to(study.device)
    return found


def chart(study: Study) -> Drawn:
    """log p(x) of images of another kind beside that of test images."""
    inside = study.likelihoods[1].numpy()
    scores = {n: study.log_likelihood(x).numpy() for n, x in images(study).items()}
    aurocs = {name: analysis.auroc(inside, log_p) for name, log_p in scores.items()}
    costs = {"test images": -inside} | {name: -log_p for name, log_p in scores.items()}
    scale = "linear"  # a density of grey pixels may be above 1
    if study.abilities.pixels == "binary":
        scale, costs = "log", {name: cost.clip(min=1) for name, cost in costs.items()}
    everything = np.concatenate(list(costs.values()))
    spaced = np.geomspace if scale == "log" else np.linspace
    bins = spaced(everything.min(), everything.max(), 60).tolist()
    fig = style.figure(2.5)
    ax = fig.subplots()
    colours = style.BLUE, style.VERMILLION, style.BLACK, style.ORANGE, style.GREEN, style.PURPLE
    for colour, (name, cost) in zip(colours, costs.items(), strict=False):
        filled = name == "test images"
        label = name if filled else f"{name}: AUROC {aurocs[name]:.3f}"
        look = {"alpha": 0.6} if filled else {"histtype": "step", "linewidth": 1.2}
        weights = np.full(len(cost), 1 / len(cost))
        ax.hist(cost, bins, weights=weights, color=colour, label=label, **look)
    ax.set(
        xscale=scale,
        xlabel="−log p(x), nats",
        ylabel="share of the images",
        title="Outliers scored by log p(x)",
    )
    ax.set_ylim(top=1.5 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper left")
    means = {name: float(log_p.mean()) for name, log_p in scores.items()}
    return fig, {"auroc": aurocs, "mean_log_p": means | {"test images": float(inside.mean())}}
