"""Figures of digits along lines in the latent space.

Each function takes a `Study` and gives a figure and the numbers behind it.
"""

import torch

from codebase.figures import analysis, style
from codebase.figures.study import Study
from codebase.figures.style import Drawn
from codebase.sides import side_of

PAIRS = (0, 6), (1, 7), (2, 3), (4, 9), (5, 8)
STEPS = 9


def interpolation(study: Study) -> Drawn:
    """Between test images of different digits, straight above and along the arc below."""
    first = study.positions(1, each=True).flatten()
    rows, names = [], []
    for a, b in PAIRS:
        ends = study.x[first[[a, b]]]
        start, end = study.encode(ends)
        for spherical in (False, True):
            codes = [study.blend(start, end, t, spherical) for t in torch.linspace(0, 1, STEPS)]
            rows += [ends[:1], study.decode(torch.stack(codes)), ends[1:]]
            names.append("spherical" if spherical else "linear")
    fig = style.figure(3.6)
    ax = fig.subplots()
    labels = ["x", *(f"{i / (STEPS - 1):.3g}" for i in range(STEPS)), "x′"]
    gaps = range(1, len(names) - 1, 2)
    style.digits(ax, torch.cat(rows), STEPS + 2, labels, names, gaps=gaps)
    ax.tick_params(axis="x", labelsize=5.5)
    ax.set_xlabel("t, the share of the way")
    fig.suptitle("Interpolation between two test images")
    return fig, {}


def arithmetic(study: Study, lessons: tuple = ((4, 9), (3, 8)), each: int = 4) -> Drawn:
    """Images of one digit, moved by the mean difference in code to another digit."""
    t = torch.linspace(0, 1.5, 7, device=study.device)
    rows, names = [], []
    for source, target in lessons:
        mean = {c: study.codes[study.y.to(study.device) == c].mean(0) for c in (source, target)}
        at = (study.y == source).nonzero().flatten()[:each]
        code = study.encode(study.x[at])
        moved = code.unsqueeze(1) + t.unsqueeze(1) * (mean[target] - mean[source])
        drawn = study.decode(moved)  # (each, T, D)
        rows.append(torch.cat([study.x[at].unsqueeze(1), drawn], dim=1).flatten(0, 1))
        names += [f"{source} → {target}", *[""] * (len(at) - 1)]
    fig = style.figure(3.9)
    ax = fig.subplots()
    labels = ["x", *(f"{i:.2f}" for i in t)]
    style.digits(ax, torch.cat(rows), len(t) + 1, labels, names, gaps=[each - 1])
    ax.set_xlabel("t")
    fig.suptitle("z(x) + t · (mean z of one digit − mean z of another)")
    return fig, {}


def traversals(study: Study, most: int = 20, columns: int = 11, reach: float = 3.0) -> Drawn:
    """One dimension a row, those that say most first; an image's code holds the others."""
    says, centre, s = study.spread
    order = says.argsort(descending=True, stable=True)[:most]
    what, of = ("variance", "codes") if study.points else ("kl, nats", "prior")
    code = study.encode(study.x[:1])
    steps = torch.linspace(-reach, reach, columns, device=study.device)
    codes = code.repeat(len(order), columns, 1)  # (D, columns, …)
    at = []
    for row, d in enumerate(order.tolist()):
        codes[row, :, d] = centre[d] + s[d] * steps
        at.append(int((codes[row, :, d] - code[0, d]).abs().argmin()))
    images = study.decode(codes).flatten(0, 1)

    fig = style.figure(0.75 + 0.265 * len(order))
    ax = fig.subplots()
    names = [f"{style.latent(d)}  {says[d]:.2f}" for d in order.tolist()]
    values = [f"{round(step, 1) + 0:+.1f}" for step in steps.tolist()]
    corners = style.digits(ax, images, columns, values, names)
    for row, column in enumerate(at):
        x, y = corners[row * columns + column]
        ax.add_patch(style.frame(x, y, side_of(images.shape[-1])))
    ax.set_xlabel(f"value, in standard deviations of the {of}")
    note = "" if len(order) == study.z_dim else f" ({len(order)} of {study.z_dim})"
    fig.suptitle(
        f"One dimension at a time{note}\nleft: its {what}; framed: nearest to the image's own"
    )
    return fig, {}


def manifold(study: Study, n: int = 20) -> Drawn:
    """z = 2: the plane decoded at the prior's quantiles, so that equal steps are equally likely."""
    gaussians = study.gaussians
    if gaussians is None:
        raise TypeError(f"the prior of {study.name} consists of no Gaussians")
    m, v = (t.cpu() for t in (gaussians.mean, gaussians.variance))
    p = (torch.arange(n) + 0.5) / n
    z0, z1 = (analysis.mixture_quantiles(m[:, d], v[:, d], p) for d in (0, 1))
    codes = torch.stack(torch.meshgrid(z0, z1.flip(0), indexing="xy"), dim=-1)  # (n, n, 2)
    images = study.decode(codes.to(study.device)).flatten(0, 1)
    fig = style.figure(3.65)
    ax = fig.subplots()
    few = range(n)
    bottom = [f"{z0[i]:.1f}" if i % 3 == 0 else "" for i in few]
    side = [f"{z1[n - 1 - i]:.1f}" if i % 3 == 0 else "" for i in few]
    style.digits(ax, images, n, bottom, side)
    ax.set(xlabel=style.latent(0), ylabel=style.latent(1))
    fig.suptitle("p(x|z) on the prior's quantiles 2.5 %, 7.5 %, …, 97.5 %")
    return fig, {}
