"""The assignment's tensor mathematics: densities, divergences, sampling.

Pure functions of tensors, float32 or float64, on any device, differentiable. Probabilities are
in nats; a density over several dimensions is summed over the last one. m, v and s stand for mean,
variance and standard deviation, and are never interchanged.

The starter code kept its data, checkpoint and evaluation helpers in this module too. They live in
modules of their own here and stay reachable as `codebase.utils.<name>` (see the end of the file).
"""

import importlib
import itertools
import math

import torch
from torch.nn import functional as F

LOG_2PI = math.log(2 * math.pi)
MIN_VARIANCE = 1e-8


def sample_gaussian(m, v):
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
        fits = _broadcast(m=m, v=v) == list(m.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"v has shape {tuple(v.shape)}, which does not fit m's {tuple(m.shape)}")
    return m + torch.sqrt(v) * torch.randn_like(m)


def log_normal(x, m, v):
    """Log density of a diagonal Gaussian, Σ_d log N(x_d; m_d, v_d), in nats.

    Args:
        x, m, v: points, means and variances (v > 0), broadcastable to (…, dim).
    Returns:
        (…) log densities.
    """
    shape = _broadcast(x=x, m=m, v=v)
    squares = ((x - m).square() / v).sum(-1)
    return _gaussian(squares, v, shape[-1])


def log_normal_mixture(z, m, v):
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
        squares = WeightedSquares.apply(z, m[0], v[0].reciprocal())  # (B, K)
        components = _gaussian(squares, v, z.shape[-1])
    else:
        components = log_normal(z.unsqueeze(1), m, v)
    return log_mean_exp(components, dim=1)


def _broadcast(**tensors):
    """The shape that tensors (or numbers) given by name have together; a ValueError if none.

    As torch.broadcast_shapes, but in words, and without the half second that one takes to load.
    """
    shapes = {name: tuple(getattr(t, "shape", ())) for name, t in tensors.items()}
    joint = []
    for sizes in itertools.zip_longest(*map(reversed, shapes.values()), fillvalue=1):
        sizes = set(sizes) - {1} or {1}
        if len(sizes) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise ValueError(f"{', '.join(shapes)} do not broadcast: {found}")
        joint.insert(0, *sizes)
    return joint


def _gaussian(squares, v, dim):
    """log N from Σ_d (x_d − m_d)²/v_d; a v of one entry for all dim dimensions counts dim times."""
    log_v = torch.log(v).sum(-1) * (dim / v.shape[-1])
    return -0.5 * (squares + log_v + dim * LOG_2PI)


class WeightedSquares(torch.autograd.Function):
    """Σ_d (z_d − m_kd)² p_kd for every point and component: z (B, Z), m and p (K, Z) → (B, K).

    Forward subtracts before it squares: z² − 2zm + m² would lose every digit where z is near m
    and far from 0. Backward needs only products of (B, K) with (B, Z) and (K, Z), which cost
    less than passes over (B, K, Z). They cancel, so they are taken in float64: the gradient of p
    keeps about 16 − 2 log10(|m|/√v) digits, of which training needs a few.
    """

    @staticmethod
    def forward(z, m, p):
        # Z outermost: the sum then adds whole (B, K) planes instead of runs of Z neighbours.
        squares = z.T.unsqueeze(2).contiguous() - m.T.unsqueeze(1).contiguous()
        squares.square_().mul_(p.T.unsqueeze(1).contiguous())
        return squares.sum(0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        dtype = g.dtype
        wide = torch.float32 if g.device.type == "mps" else torch.float64  # MPS has no float64
        z, m, p, g = (t.to(wide) for t in (*ctx.saved_tensors, g))
        total, gz, gzz = (g.T @ torch.cat([torch.ones_like(z[:, :1]), z, z.square()], dim=1)).split(
            [1, z.shape[1], z.shape[1]], dim=1
        )  # (K, 1), (K, Z), (K, Z)
        gp, gpm = (g @ torch.cat([p, p * m], dim=1)).chunk(2, dim=1)  # (B, Z) each
        dz = 2 * (z * gp - gpm)
        dm = 2 * p * (m * total - gz)
        dp = gzz - 2 * m * gz + m.square() * total
        return dz.to(dtype), dm.to(dtype), dp.to(dtype)


def gaussian_parameters(h, dim=-1):
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


def log_bernoulli_with_logits(x, logits):
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


def kl_cat(q, log_q, log_p):
    """KL(q ‖ p) = Σ_y q_y (log q_y − log p_y) between categoricals, in nats.

    Args:
        q, log_q: (B, Y) probabilities and their logs.
        log_p: log probabilities broadcastable to (B, Y).
    Returns:
        (B,) divergences.
    """
    _broadcast(q=q, log_q=log_q, log_p=log_p)
    # Where q is 0 its term is 0, though log q is −inf.
    return torch.where(q > 0, q * (log_q - log_p), 0).sum(-1)


def kl_normal(qm, qv, pm, pv):
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


def duplicate(x, rep):
    """rep copies of a batch, the copy index outermost: (B, …) → (rep·B, …).

    Raises:
        ValueError: rep < 1.
    """
    if rep < 1:
        raise ValueError(f"rep is a number of copies, at least 1; got {rep}")
    return x.repeat(rep, *[1] * (x.dim() - 1))


def log_mean_exp(x, dim):
    """log (1/n Σ exp x) over dim, which has n entries; −inf where all of them are −inf."""
    return log_sum_exp(x, dim) - math.log(x.shape[dim])


def log_sum_exp(x, dim=0):
    """log Σ exp x over dim, by the largest term, so that nothing overflows; −inf where all are."""
    return torch.logsumexp(x, dim)


_ELSEWHERE = {
    "save_model_by_name": "checkpoints",
    "load_model_by_name": "checkpoints",
    "prepare_writer": "logs",
    "log_summaries": "train",
    "reset_weights": "train",
    "evaluate_lower_bound": "evaluate",
    "evaluate_classifier": "evaluate",
    "get_mnist_data": "data",
}


def __getattr__(name):
    """The starter code's helpers, from the modules that own them, imported when first asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"codebase.{_ELSEWHERE[name]}"), name)
