"""Whether each factor of the sprites has a dimension of the code to itself."""

from argparse import Namespace

import numpy as np
import torch

from codebase.data import sprites
from codebase.errors import UserError
from codebase.evaluation import disentanglement
from codebase.evaluation.codes import likeliest_label
from codebase.uses.subject import Found, Subject

MOST, COLUMNS, REACH = 12, 11, 2.0  # dimensions drawn, images of each, standard deviations


def measure(subject: Subject, args: Namespace) -> Found:
    """MIG, DCI, SAP and the FactorVAE score on the test images, and a picture of traversals.

    Raises:
        UserError: the run was not trained on sprites, or its codes are not finite.
    """
    if subject.dataset.name != "sprites":
        raise UserError(
            f"{subject.name} was trained on {subject.dataset.name}, whose factors are not known: "
            "train with --dataset sprites."
        )
    x, _ = subject.test
    factors = sprites.factors("test").numpy()
    z = subject.codes(x)
    codes = z.cpu().double().numpy()
    numbers = disentanglement.scores(codes, factors, sprites.ORDERED)
    says = disentanglement.told(codes, factors)
    path = subject.run.folder / "use-disentangle.png"
    _draw(subject, x, z, says, path)
    notes = (*disentanglement.NOTES, f"one dimension at a time: {path}")
    extra = {"factors": list(sprites.FACTORS), "information in nats, by dimension": says.tolist()}
    title = f"how far factors are disentangled, {len(x):,} test images, 1 at best"
    return Found(title, {"score": numbers}, notes, extra)


@torch.no_grad()
def _draw(subject, x, z, says, path):
    """A row for each of the dimensions that vary most, moved about their mean at one image."""
    from codebase.figures import style  # matplotlib takes a second to import

    s, order = z.std(0), z.std(0).argsort(descending=True, stable=True)[:MOST]
    steps = torch.linspace(-REACH, REACH, COLUMNS, device=z.device)
    moved = z[:1].repeat(len(order), COLUMNS, 1)
    for row, d in enumerate(order.tolist()):
        moved[row, :, d] = z[:, d].mean() + s[d] * steps
    flat = moved.flatten(0, 1)
    y = (label.expand(len(flat), -1) for label in likeliest_label(subject.model, x[:1]))
    images = subject.model.likelihood(flat, *y).mean
    names = [_row_name(says, d) for d in order.tolist()]
    with style.styled():
        fig = style.figure(0.75 + 0.265 * len(order))
        ax = fig.subplots()
        style.digits(
            ax, images, COLUMNS, [f"{round(i, 1) + 0:+.1f}" for i in steps.tolist()], names
        )
        ax.set_xlabel("value, in standard deviations of the codes")
        fig.suptitle("One dimension at a time\nleft: the factor it says most of, in nats")
        style.save(fig, path.parent, path.stem, kinds=["png"])


def _row_name(says: np.ndarray, d: int) -> str:
    best = int(says[d].argmax())
    return f"z[{d}]  {list(sprites.FACTORS)[best]} {says[d, best]:.1f}"
