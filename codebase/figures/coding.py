"""Figures of autoencoders: filters, activations, what is restored, and runs side by side.

Each function takes a `Study`, or several, and gives a figure and the numbers behind it.
"""

from typing import cast

import numpy as np
import torch

from codebase.figures import style
from codebase.figures.comparisons import unlike, warned
from codebase.figures.study import Study
from codebase.figures.style import Drawn
from codebase.models.autoencoders import DenoisingAutoencoder, squared_error

BINS = 80
COLOURS = style.GREY, style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, style.SKY


def filters(study: Study, columns: int = 12, rows: int = 10) -> Drawn:
    """The first layer's weights, a picture a unit."""
    weights = study.filters
    if weights is None:
        raise TypeError(f"{study.name} has no first layer that could be drawn")
    lengths = weights.norm(dim=1)
    shown = weights[lengths.argsort(descending=True, stable=True)[: columns * rows]]
    most = shown.abs().amax(1, keepdim=True).clamp(min=1e-12)
    fig = style.figure(0.35 + 0.292 * -(-len(shown) // columns))
    style.digits(fig.subplots(), 0.5 - 0.5 * shown / most, columns)
    fig.suptitle(f"First-layer filters: {len(shown)} of {len(weights):,} units")
    return fig, {"units": len(weights), "shown": len(shown)}


def activations(study: Study) -> Drawn:
    """The values of the code, and how active each of its units is."""
    z = study.means.cpu()
    zero = float((z == 0).float().mean())
    inside = bool((z >= 0).all() and (z <= 1).all()) and not zero
    of_units = z.mean(0) if inside else (z != 0).float().mean(0)
    fig = style.figure(2.9)
    top, bottom = fig.subplots(2)
    _histogram(top, [(z, style.BLUE, "")])
    top.set_title(f"Activations of {z.shape[1]:,} units on {len(z):,} images: {zero:.1%} are 0")
    bottom.plot(of_units.sort(descending=True).values.numpy(), color=style.BLUE)
    what = "mean" if inside else "share of images"
    bottom.set(xlabel="units, the most active first", ylabel=what, ylim=(0, 1.02))
    numbers = {"zero": zero, "unused": int((z == 0).all(0).sum())}
    return fig, numbers | {"activity": float(of_units.mean())}


def _histogram(ax, several):
    """Of values, with colours and labels, on one scale."""
    low = min(float(z.min()) for z, *_ in several)
    high = max(float(z.max()) for z, *_ in several)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for z, colour, label in several:
        counts, _ = np.histogram(z.numpy(), edges)
        ax.stairs(counts / z.numel(), edges, color=colour, label=label or None)
    ax.set(yscale="log", xlabel="value of a unit", ylabel="share")


def restored(study: Study) -> Drawn:
    """Noisy, restored, truth."""
    model = cast(DenoisingAutoencoder, study.model)
    x = study.x[study.positions(1, each=True).flatten()]
    with study.seeded():
        noisy = model.noise(x)
    rows = torch.cat([noisy, study.decode(study.encode(noisy)), x])
    fig = style.figure(1.5)
    names = ["noisy", "restored", "truth"]
    style.digits(fig.subplots(), rows, len(x), row_labels=names)
    fig.suptitle(f"Noise taken away: {model.noise.kind}, {model.noise.rate:g}")
    return fig, {"noise": model.noise.kind, "rate": model.noise.rate}


def reconstructions_by_z(studies: list[Study]) -> Drawn:
    """Test images, and what is redrawn of them from codes of several sizes."""
    studies = sorted(studies, key=lambda s: s.z_dim)
    notes, first = unlike(studies), studies[0]
    at = first.positions(1, each=True).flatten()
    rows, names, numbers = [first.x[at]], ["truth"], {}
    for study, note in zip(studies, notes, strict=True):
        error = squared_error(study.x, study.decode(study.codes)).mean().item()
        rows.append(study.decode(study.codes[at]))
        names.append(f"Z = {study.z_dim}: {error:.1f}\n{note}".strip())
        numbers[study.name] = {"z": study.z_dim, "error": error} | study.training
    fig = style.figure(0.6 + 0.28 * len(rows))
    style.digits(fig.subplots(), torch.cat(rows), len(at), row_labels=names)
    title = f"{first.kind}: redrawn from Z numbers, with the squared error"
    fig.suptitle(warned(title, notes))
    return fig, numbers


def activations_by_weight(studies: list[Study]) -> Drawn:
    """The values of the codes before and after a penalty."""
    studies = sorted(studies, key=lambda s: s.settings["weight"])
    notes = unlike(studies)
    fig = style.figure(2.3)
    ax = fig.subplots()
    labels = [
        f"weight {study.settings['weight']:g}\n{note}".strip()
        for study, note in zip(studies, notes, strict=True)
    ]
    codes = [study.means.cpu() for study in studies]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(studies))]
    _histogram(ax, list(zip(codes, colours, labels, strict=True)))
    ax.legend()
    title = f"{studies[0].kind}: activations by the weight of the penalty"
    ax.set_title(warned(title, notes))
    rows = [
        {"weight": study.settings["weight"], "mean_abs": float(z.abs().mean())} | study.training
        for study, z in zip(studies, codes, strict=True)
    ]
    return fig, {"runs": rows}
