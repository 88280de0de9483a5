"""A model's MLPs for the page: written down layer by layer, once they are known to be the model."""

import base64
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from codebase.errors import UserError
from codebase.evaluation.codes import likeliest_label
from codebase.models.base import Model

FLOAT16_MAX = 65_504
CHECKED = 8  # images on which a net must give what the model gives
# What stands between linear layers as nets.js computes it, under the lower-case name of its type.
FUNCTIONS: dict[type[nn.Module], Callable[[torch.Tensor], torch.Tensor]] = {
    nn.ELU: F.elu,
    nn.ReLU: F.relu,
    nn.SiLU: F.silu,
    nn.Sigmoid: torch.sigmoid,
    nn.Softmax: lambda h: h.softmax(-1),
    nn.Softplus: F.softplus,
    nn.Tanh: torch.tanh,
}


@torch.no_grad()
def written(model: Model, x: torch.Tensor) -> dict:
    """The MLPs that a model's abilities call for, as the page reads them.

    Args:
        x: a few images (B, D), on which each must give the posterior's mean, the likelihood's
            mean or q(y|x), as `Model.networks` says.
    Returns:
        {role: {"layers": [[inputs, outputs] or a function's name], "weights": float16 as base64}}
    Raises:
        UserError: the model has no such MLP, or it is not what the model computes, or float16
            cannot hold a weight.
    """
    nets, found = model.networks(), {}
    for role, (inputs, outputs) in _expected(model, x[:CHECKED]).items():
        if role not in nets:
            raise UserError(f"The page needs the {role} of {model.name} as an MLP; it has none.")
        layers = [_layer(layer, role) for layer in nets[role]]
        if not _gives(nets[role], inputs, outputs):
            raise UserError(
                f"The page cannot draw with {model.name}: the {role} that the model declares does "
                "not give what the model itself computes."
            )
        found[role] = {"layers": layers, "weights": _weights(nets[role], role)}
    if not found:
        raise UserError(f"The page has nothing to show: {model.name} codes and names no image.")
    return found


def _expected(model, x):
    """{role: (inputs, outputs)} of those that the model can use: see `Model.networks`."""
    expected = {}
    if model.abilities.reconstructions:
        y = likeliest_label(model, x)
        z = model.posterior(x, *y).mean
        expected["encoder"] = torch.cat([x, *y], dim=-1), z
        expected["decoder"] = torch.cat([z, *y], dim=-1), model.likelihood(z, *y).mean
    if model.abilities.classifier:
        expected["classifier"] = x, model.label_posterior(x).probs
    return expected


def _gives(net, h, outputs):
    """Whether the page's arithmetic gives those outputs first."""
    for layer in net:
        if isinstance(layer, nn.Linear):
            if layer.in_features != h.shape[-1]:
                return False
            h = layer(h)
        else:
            h = FUNCTIONS[type(layer)](h)
    width = outputs.shape[-1]
    return h.shape[-1] >= width and torch.allclose(h[:, :width], outputs, rtol=1e-4, atol=1e-4)


def _layer(layer, role):
    if isinstance(layer, nn.Linear) and layer.bias is not None:
        return [layer.in_features, layer.out_features]
    if type(layer) not in FUNCTIONS:
        raise UserError(f"The page does not compute a {type(layer).__name__}, as the {role} has.")
    return type(layer).__name__.lower()


def _weights(net, role):
    """Each layer's matrix, row by row, then its bias."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    flat = torch.cat([t.flatten() for layer in layers for t in (layer.weight, layer.bias)])
    if flat.abs().max() > FLOAT16_MAX:
        raise UserError(f"A weight of {role} is beyond {FLOAT16_MAX:,}, which float16 cannot hold.")
    return halves(flat)


def halves(t: torch.Tensor) -> str:
    """Numbers as float16, little-endian, in base64."""
    return bytes64(t.clamp(-FLOAT16_MAX, FLOAT16_MAX).numpy().astype("<f2"))


def bytes64(array: np.ndarray) -> str:
    """An array's bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
