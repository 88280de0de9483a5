"""A page that draws with a trained model in the browser: one HTML file that needs no network.

page.html holds the places that page.css, the scripts and the model's content are put into; nets.js
is the models' arithmetic, image.js makes an MNIST-like digit of a drawing, page.js is what one
sees. Weights travel as float16.
"""

import base64
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from codebase import utils as ut
from codebase.data import subsets
from codebase.errors import UserError
from codebase.evaluation.bounds import posterior_of
from codebase.files import disk
from codebase.runs.saved import open_run

DOTS = 1_000  # test images on the latent plane
PLANE = 12  # latent dimensions, of the largest kl, that the plane may show
EXAMPLES = 2  # test images of each digit to start from
COMPONENTS = 200  # of a mixture prior, at most
FLOAT16_MAX = 65_504
CELLS = 5_000_000  # numbers in the largest table held at once


def write_all(runs, step=None, data_dir="data"):
    """Writes explore.html into each run's folder and says where.

    Args:
        runs: names or folders.
        step: of the checkpoint; the last one by default.
        data_dir: holds the data sets that the runs were trained on.
    Raises:
        UserError: a run or its data cannot be opened, the page cannot be written, or float16
            cannot hold a weight.
    """
    for run in runs:
        opened = open_run(run, step)
        text = page(opened, opened.dataset(data_dir)).encode()
        path = opened.folder / "explore.html"
        with disk.atomic(path) as file:
            file.write(text)
        print(f"{path}: {len(text) / 1e6:.1f} MB; open it in a browser")


def page(opened, dataset):
    """The page of a `runs.saved.SavedRun` model, as text; `dataset` is what it was trained on."""
    here = Path(__file__).parent
    # A run's name is anyone's: "<" could end the script element that the content stands in.
    parts = {"content": json.dumps(content(opened, dataset)).replace("<", "\\u003c")}

    def part(match):
        name = match[1]
        return parts[name] if name in parts else (here / name).read_text(encoding="utf-8")

    return re.sub(r"\{\{([\w.]+)\}\}", part, (here / "page.html").read_text(encoding="utf-8"))


@torch.no_grad()
def content(opened, dataset):
    """What the page knows of the model and the test set, for JSON.

    Of each latent dimension: kl, the mean over the test images of KL(q(z_d|x) ‖ N(m_d, v_d)) in
    nats, where m_d and v_d are the prior's mean and variance, and m_d and √v_d. Where the prior is
    N(0, I) the kl sum to the bound's own term.
    """
    model = opened.model
    drawn = getattr(model, "gen_weight", 1) != 0  # else the generative nets were never trained
    nets = {"cls": "relu"} if hasattr(model, "cls") else {}
    nets |= {"enc": "elu", "dec": "elu"} if drawn else {}
    y = dataset.test_y
    examples = torch.cat([(y == c).nonzero()[:EXAMPLES, 0] for c in y.unique()])
    found = {
        "kind": type(model).__name__,
        "name": model.name,
        "step": opened.step,
        "data": dataset.name,
        "labels": getattr(model, "y_dim", 0),
        "nets": {name: _net(getattr(model, name).net, kind, name) for name, kind in nets.items()},
        "examples": _bytes(dataset.test_x[examples].numpy()),
        "example_labels": y[examples].tolist(),
    }
    return found | (_latents(model, dataset) if drawn else {})


def _latents(model, dataset):
    parts = [posterior_of(model, x) for x in subsets.binarized_test(dataset).split(1_000)]
    m, v = torch.cat([q.mean for q in parts]), torch.cat([q.variance for q in parts])
    prior_m, prior_v = _prior_moments(model)
    columns = (t.unsqueeze(-1) for t in (m, v, prior_m, prior_v))
    kl = ut.kl_normal(*columns).mean(0)  # (Z,)
    order = kl.argsort(descending=True)
    dots = torch.arange(0, len(m), -(-len(m) // DOTS))
    latents = {
        "order": order.tolist(),
        "kl": kl.tolist(),
        "prior_m": prior_m.tolist(),
        "prior_s": prior_v.sqrt().tolist(),
        "dots": _halves(m[dots][:, order[:PLANE]]),
        "dot_labels": "".join(map(str, dataset.test_y[dots].tolist())),
    }
    if hasattr(model, "z_pre"):
        latents["components"] = _components(model, m, dataset.test_y)
    return latents


def _prior_moments(model):
    """Mean and variance of each latent dimension under the prior, (Z,) each."""
    m, v = (t.reshape(-1, t.shape[-1]) for t in model.z_prior)  # (K, Z) or (1, 1)
    mean = m.mean(0)
    return mean.expand(model.z_dim), (v.mean(0) + m.var(0, correction=0)).expand(model.z_dim)


def _components(model, z, y):
    """The components that most test images are nearest to, with their share of them.

    An image belongs to the component under which the mean of its posterior is likeliest.
    """
    m, v = (t[0] for t in model.z_prior)  # (K, Z)
    chunk = max(CELLS // m.numel(), 1)
    nearest = [ut.log_normal(part.unsqueeze(1), m, v).argmax(1) for part in z.split(chunk)]
    nearest = torch.cat(nearest).tolist()
    digits = {}
    for component, digit in zip(nearest, y.tolist(), strict=True):
        digits.setdefault(component, Counter())[digit] += 1
    used = sorted(digits, key=lambda k: -digits[k].total())[:COMPONENTS]
    (commonest,) = zip(*(digits[k].most_common(1) for k in used), strict=True)
    return {
        "index": used,
        "share": [digits[k].total() / len(z) for k in used],
        "digit": [digit for digit, _ in commonest],
        "purity": [n / digits[k].total() for k, (_, n) in zip(used, commonest, strict=True)],
        "m": _halves(m[used]),
        "s": _halves(v[used].sqrt()),
    }


def _net(net, activation, name):
    """An MLP's widths, activation, and weights: each layer's matrix, row by row, then its bias."""
    layers = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    flat = torch.cat([t.flatten() for layer in layers for t in (layer.weight, layer.bias)])
    if flat.abs().max() > FLOAT16_MAX:
        raise UserError(f"A weight of {name} is beyond {FLOAT16_MAX:,}, which float16 cannot hold.")
    widths = [layers[0].in_features, *(layer.out_features for layer in layers)]
    return {"widths": widths, "activation": activation, "weights": _halves(flat)}


def _halves(t):
    return _bytes(t.clamp(-FLOAT16_MAX, FLOAT16_MAX).numpy().astype("<f2"))


def _bytes(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
