"""The assignment's tensor mathematics: densities, divergences, sampling.

Pure functions of tensors, float32 or float64, on any device, differentiable. Probabilities are
in nats; a density over several dimensions is summed over the last one. m, v and s stand for mean,
variance and standard deviation, and are never interchanged.

The starter code kept its data, checkpoint and evaluation helpers in this module too. They live in
starter.py here and stay reachable as `codebase.utils.<name>` (see the end of the file).
"""

import importlib
import itertools
import math
from typing import Any

import torch
from torch.nn import functional as F

LOG_2PI = math.log(2 * math.pi)
MIN_VARIANCE = 1e-8
TOGETHER = 500  # components of a mixture at once
AT_ONCE = 500_000  # and of its differences z − m: 2 MB, which fit a processor's cache


def sample_gaussian(m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """One reparameterized draw z = m + √v · ε per element, ε ~ N(0, 1).

    ε comes from torch's global generator, so a seed set by the caller fixes the draw, and the
    gradient reaches m and v (Kingma & Welling, 2014).

    Args:
        m: means, of any shape.
        v: variances (not standard deviations), of that shape or broadcastable to it.
    Returns:
        A tensor of m's shape.
    Raises:
        ValueError: v does not broadcast to m.
    """
    try:
        fits = torch.jit.is_tracing() or _broadcast(m=m, v=v) == list(m.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"v has shape {tuple(v.shape)}, which does not fit m's {tuple(m.shape)}")
    return m + torch.sqrt(v) * torch.randn_like(m)


def log_normal(x: torch.Tensor, m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Log density of a diagonal Gaussian, Σ_d log N(x_d; m_d, v_d), in nats.

    Args:
        x, m, v: points, means and variances (v > 0), broadcastable to (…, dim).
    Returns:
        (…) log densities.
    """
    v = v.reshape(1) if v.dim() == 0 else v
    shape = _broadcast(x=x, m=m, v=v)
    squares = ((x - m).square() / v).sum(-1)
    # A v of one entry for all dimensions counts as often.
    log_v = torch.log(v).sum(-1) * (shape[-1] / v.shape[-1])
    return -0.5 * (squares + log_v + shape[-1] * LOG_2PI)


def log_normal_mixture(z: torch.Tensor, m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Log density of a uniform mixture of diagonal Gaussians, log 1/K Σ_k N(z; m_k, v_k), in nats.

    Args:
        z: (B, Z) points.
        m, v: (B or 1, K, Z) means and variances, v > 0.
    Returns:
        (B,) log densities.
    Raises:
        ValueError: z is not (B, Z), or m and v are not (B or 1, K, Z).
    """
    for name, t in (("m", m), ("v", v)):
        fits = z.dim() == 2 and t.dim() == 3 and t.shape[0] in (1, len(z))
        if not fits or t.shape[2] != z.shape[1]:
            raise ValueError(
                f"z is (B, Z) and {name} (B or 1, K, Z); got {tuple(z.shape)}, {tuple(t.shape)}"
            )
    if len(m) == len(v) == 1:
        return MixtureLogDensity.apply(z, m[0], v[0])[0]
    return log_mean_exp(log_normal(z.unsqueeze(1), m, v), dim=1)


def _broadcast(**tensors: torch.Tensor | float) -> list[int]:
    """The shape that tensors (or numbers) given by name have together; a ValueError if none.

    As torch.broadcast_shapes, but in words, and without the half second that one takes to load.
    """
    if torch.jit.is_tracing():  # sizes are tensors then, which do not compare
        traced = [t for t in tensors.values() if isinstance(t, torch.Tensor)]
        return list(torch.broadcast_tensors(*traced)[0].shape)
    shapes = {name: tuple(getattr(t, "shape", ())) for name, t in tensors.items()}
    joint: list[int] = []
    for across in itertools.zip_longest(*map(reversed, shapes.values()), fillvalue=1):
        sizes = set(across) - {1} or {1}
        if len(sizes) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"{', '.join(shapes)} do not broadcast: {found}")
        joint.insert(0, *sizes)
    return joint


class MixtureLogDensity(torch.autograd.Function):
    """log 1/K Σ_k N(z_b; m_k, v_k), and the logs of its K terms: (B, Z), (K, Z) ×2 → (B,), (B, K).

    Forward subtracts before it squares: z² − 2zm + m² would lose every digit where z is near m
    and far from 0. Backward is by the responsibilities r_bk, the terms' shares of the density:

        ∂z_b = −Σ_k r_bk (z_b − m_k)/v_k,   ∂m_k = Σ_b r_bk (z_b − m_k)/v_k,
        ∂v_k = ½ Σ_b r_bk ((z_b − m_k)²/v_k − 1)/v_k,

    multiplied out, so that it needs only products of (B, K) with (B, Z) and (K, Z), which cost
    less than passes over (B, K, Z). They cancel, so they are taken in float64: the gradient of v
    keeps about 16 − 2 log10(|m|/√v) digits, of which training needs a few. The logs of the terms
    are for backward, and handed out so that it can itself be differentiated.
    """

    generate_vmap_rule = True  # for stack.py: forward and backward consist of what has one

    @staticmethod
    def forward(
        z: torch.Tensor, m: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        points = max(1, len(z))
        if z.device.type == "cpu":
            # In 64s: vectors then begin where the whole's would, and every sum keeps its bits.
            points = 64 * max(1, AT_ONCE // (64 * min(len(m), TOGETHER) * z.shape[1]))
        # Z outermost: the sum then adds whole (B, K) planes instead of runs of Z neighbours.
        z_parts = [part.T.unsqueeze(2).contiguous() for part in z.split(points)]  # (Z, points, 1)
        squares = []
        for m_part, v_part in zip(m.split(TOGETHER), v.split(TOGETHER), strict=True):
            m_planes, p_planes = (t.T.unsqueeze(1).contiguous() for t in (m_part, 1 / v_part))
            rows = []
            for z_planes in z_parts:
                differences = z_planes - m_planes  # (Z, points, K)
                rows.append(differences.mul_(differences).mul_(p_planes).sum(0))
            squares.append(torch.cat(rows))
        terms = torch.cat(squares, dim=1).mul_(-0.5)
        terms.add_(-0.5 * (torch.log(v).sum(-1) + z.shape[1] * LOG_2PI) - math.log(len(m)))
        return log_sum_exp(terms, dim=1), terms

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[torch.Tensor, ...], output: tuple[torch.Tensor, ...]
    ) -> None:
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor, g_terms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        z, m, v, density, terms = ctx.saved_tensors
        density = torch.where(density == -math.inf, 0, density)  # there no component has a share
        r = (terms - density.unsqueeze(1)).exp() * g.unsqueeze(1) + g_terms
        dtype = z.dtype
        wide = torch.float32 if z.device.type == "mps" else torch.float64  # MPS has no float64
        z, m, p, r = z.to(wide), m.to(wide), v.to(wide).reciprocal(), r.to(wide)
        # The narrow factor to the left: twice as fast as the same product transposed.
        sums = torch.cat([torch.ones_like(z[:, :1]), z, z.square()], dim=1).T @ r
        total, rz, rzz = sums.T.split([1, z.shape[1], z.shape[1]], dim=1)  # (K, 1), (K, Z) ×2
        rp, rpm = (torch.cat([p, p * m], dim=1).T @ r.T).T.chunk(2, dim=1)  # (B, Z) each
        dz = rpm - z * rp
        dm = p * (rz - m * total)
        dv = 0.5 * p * (p * (rzz - 2 * m * rz + m.square() * total) - total)
        return dz.to(dtype), dm.to(dtype), dv.to(dtype)


def gaussian_parameters(h: torch.Tensor, dim: int = -1) -> tuple[torch.Tensor, torch.Tensor]:
    """Halves of h along dim as a Gaussian's mean and variance: m, v = softplus(·) + 1e-8.

    Args:
        h: (…, 2Z, …), the 2Z on dim.
    Returns:
        m, v, each (…, Z, …), v > 0.
    Raises:
        ValueError: that dimension is odd.
    """
    if h.shape[dim] % 2:
        raise ValueError(f"h splits into mean and variance: dim {dim} of {tuple(h.shape)} is odd")
    m, h = torch.chunk(h, 2, dim=dim)
    return m, F.softplus(h) + MIN_VARIANCE


def log_bernoulli_with_logits(x: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Log probability of independent Bernoullis, Σ_d log Bernoulli(x_d; σ(logits_d)), in nats.

    Args:
        x: values in {0, 1}, broadcastable to (…, dim).
        logits: (…, dim) log odds.
    Returns:
        (…) log probabilities.
    """
    _broadcast(x=x, logits=logits)
    x, logits = torch.broadcast_tensors(x, logits)
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def kl_cat(q: torch.Tensor, log_q: torch.Tensor, log_p: torch.Tensor | float) -> torch.Tensor:
    """KL(q ‖ p) = Σ_y q_y (log q_y − log p_y) between categoricals, in nats.

    Args:
        q, log_q: (B, Y) probabilities and their logs.
        log_p: log probabilities broadcastable to (B, Y).
    Returns:
        (B,) divergences.
    """
    _broadcast(q=q, log_q=log_q, log_p=log_p)
    # Where q is 0 its term is 0, though log q is −inf; and so are its gradients.
    return (q * torch.where(q > 0, log_q - log_p, 0)).sum(-1)


def kl_normal(
    qm: torch.Tensor, qv: torch.Tensor, pm: torch.Tensor, pv: torch.Tensor
) -> torch.Tensor:
    """KL(N(qm, qv) ‖ N(pm, pv)) between diagonal Gaussians, summed over dimensions, in nats.

    Σ_d ½ (log pv − log qv + qv/pv + (qm − pm)²/pv − 1)

    Args:
        qm, qv: (B, Z) mean and variance of q.
        pm, pv: mean and variance of p, broadcastable to (B, Z).
    Returns:
        (B,) divergences.
    """
    _broadcast(qm=qm, qv=qv, pm=pm, pv=pv)
    ratio = qv / pv
    return 0.5 * (ratio - 1 - torch.log(ratio) + (qm - pm).square() / pv).sum(-1)


def duplicate(x: torch.Tensor, rep: int) -> torch.Tensor:
    """rep copies of a batch, the copy index outermost: (B, …) → (rep·B, …).

    Raises:
        ValueError: rep < 1.
    """
    if rep < 1:
        raise ValueError(f"rep is a number of copies, at least 1; got {rep}")
    return x.repeat(rep, *[1] * (x.dim() - 1))


def log_mean_exp(x: torch.Tensor, dim: int) -> torch.Tensor:
    """log (1/n Σ exp x) over dim, which has n entries; −inf where all of them are −inf."""
    return log_sum_exp(x, dim) - math.log(x.shape[dim])


def log_sum_exp(x: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """log Σ exp x over dim, by the largest term, so that nothing overflows; −inf where all are."""
    return torch.logsumexp(x, dim)


_STARTER = (
    *("save_model_by_name", "load_model_by_name", "prepare_writer", "log_summaries"),
    *("reset_weights", "evaluate_lower_bound", "evaluate_classifier", "get_mnist_data"),
)
# What `from codebase.utils import *` brings: these too, and as from the starter's torch and F.
__all__ = [*(name for name in globals() if not name.startswith("_")), *_STARTER]


def __getattr__(name: str) -> object:
    """The starter code's other helpers, imported from codebase.starter when first asked for."""
    if name not in _STARTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("codebase.starter"), name)
