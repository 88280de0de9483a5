"""A page that draws with a trained model in the browser: one HTML file that needs no network.

page.html holds the places that page.css, the scripts and the model's content are put into: nets.js
is the models' arithmetic, image.js makes an MNIST-like digit of a drawing, state.js, latent.js and
own.js are what one sees and moves, page.js begins. Weights travel as float16.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from codebase.data import datasets, subsets
from codebase.engine.randomness import seeded
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.codes import posterior_of
from codebase.explorer.networks import bytes64, halves, written
from codebase.figures import colours
from codebase.figures.analysis import contingency, kl_per_dimension, nearest_component
from codebase.files import disk
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import DiagonalGaussian, Mixture
from codebase.runs.saved import SavedRun, open_run
from codebase.sides import side_of

SAMPLES = 500  # of a prior that the page does not draw from itself
DOTS = 1_000  # test images on the latent plane
PLANE = 12  # latent dimensions, of the largest kl, that the plane may show
EXAMPLES = 2  # test images of each digit to start from
LEAST = 1e-8  # variance of a dimension that a slider moves
COMPONENTS = 200  # of a mixture prior, at most


def write_all(runs: Sequence[str], step: int | None = None, data_dir: str | Path = "data") -> None:
    """Writes explore.html into each run's folder and says where.

    Args:
        runs: names or folders.
        step: of the checkpoint; the last one by default.
        data_dir: holds the data sets that the runs were trained on.
    Raises:
        UserError: a run or its data cannot be opened, the page cannot be written, or the model is
            none that the page can compute (see networks.py).
    """
    for run in runs:
        opened = open_run(run, step)
        text = page(opened, opened.dataset(data_dir)).encode()
        path = opened.folder / "explore.html"
        with disk.atomic(path) as file:
            file.write(text)
        print(f"{path}: {len(text) / 1e6:.1f} MB; open it in a browser")


def page(opened: SavedRun, dataset: datasets.Dataset) -> str:
    """The page of a `runs.saved.SavedRun` model, as text; `dataset` is what it was trained on."""
    here = Path(__file__).parent
    # A run's name is anyone's: "<" could end the script element that the content stands in.
    parts = {"content": json.dumps(content(opened, dataset)).replace("<", "\\u003c")}

    def part(match):
        name = match[1]
        return parts[name] if name in parts else (here / name).read_text(encoding="utf-8")

    return re.sub(r"\{\{([\w.]+)\}\}", part, (here / "page.html").read_text(encoding="utf-8"))


@torch.no_grad()
def content(opened: SavedRun, dataset: datasets.Dataset) -> dict:
    """What the page knows of the model and the test set, for JSON.

    Of each latent dimension: kl, the mean over the test images of KL(q(z_d|x) ‖ N(m_d, v_d)) in
    nats, where m_d and v_d are the prior's mean and variance, q(z_d|x) is taken for the Gaussian
    of its own, and m_d and √v_d. Between diagonal Gaussians the kl sum to the bound's own term.
    Where codes are points there is neither: their variance and mean stand in the places. Of a prior
    whose dimensions are no Gaussians of their own some samples go along, to be shown as they are.

    Raises:
        UserError: the model is none that the page can compute (see networks.py).
    """
    model, y = opened.model, dataset.test_y
    x = subsets.test_images(dataset, model.abilities.pixels)
    examples = torch.cat([(y == c).nonzero()[:EXAMPLES, 0] for c in y.unique()])
    found: dict[str, Any] = {
        "kind": opened.kind.upper(),
        "name": model.name,
        "step": opened.step,
        "data": dataset.name,
        "pixels": model.abilities.pixels,
        "side": side_of(x.shape[1]),
        "labels": model.y_dim,
        "colors": colours.DIGITS,
        "nets": written(model, x),
        "examples": bytes64(dataset.test_x[examples].numpy()),
        "example_labels": y[examples].tolist(),
    }
    if "decoder" in found["nets"]:
        with seeded():  # some models draw for a label or a mean
            found |= _latents(model, x, y)
    return found


def _latents(model, x, y):
    parts = [posterior_of(model, part) for part in x.split(CHUNK)]
    means = torch.cat([q.mean for q in parts])
    if isinstance(model, LatentVariableModel):
        prior, of = model.prior(), "kl"
        says = torch.cat([kl_per_dimension(q, prior) for q in parts]).mean(0)  # (Z,)
    else:  # codes are points: what they are spread like stands for a prior
        says, of = means.var(0), "variance"
        prior = DiagonalGaussian(means.mean(0), says.clamp(min=LEAST))
    order = says.argsort(descending=True)
    dots = torch.arange(0, len(x), -(-len(x) // DOTS))
    latents = {
        "order": order.tolist(),
        "of": of,
        "kl": says.tolist(),
        "prior_m": prior.mean.tolist(),
        "prior_s": prior.variance.sqrt().tolist(),
        "dots": halves(means[dots][:, order[:PLANE]]),
        "dot_labels": "".join(map(str, y[dots].tolist())),
    }
    if isinstance(prior, Mixture):
        latents["components"] = _components(prior, means, y)
    elif not isinstance(prior, DiagonalGaussian):
        latents["samples"] = halves(prior.sample((SAMPLES,)))
    return latents


def _components(prior, means, y):
    """The components that most test images are nearest to, with their share of them.

    An image belongs to the component under which the mean of its posterior is likeliest.
    """
    nearest = nearest_component(means, prior).numpy()
    counts = torch.from_numpy(contingency(nearest, y.numpy(), k=prior.k))  # (classes, K)
    total = counts.sum(0)
    used = total.argsort(descending=True, stable=True)[: min(COMPONENTS, int((total > 0).sum()))]
    most, digit = counts[:, used].max(0)
    parts = prior.components
    return {
        "index": used.tolist(),
        "share": (total[used] / len(y)).tolist(),
        "digit": digit.tolist(),
        "purity": (most / total[used]).tolist(),
        "m": halves(parts.mean[used]),
        "s": halves(parts.variance[used].sqrt()),
    }
