"""What the tests compare the package with: slow, plain formulas over torch.distributions."""

import math
from itertools import pairwise

import torch
from hypothesis import settings
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal

# Property tests try the same examples every time and leave no database behind.
steady = settings(deadline=None, derandomize=True, database=None, max_examples=40)


class Net(nn.Module):
    """Any function as a network, so that a model can be given one that is solved by hand."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def draws(*shape, seed=1):
    """Standard normal in float64, the same every time."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def normal(m, v):
    """Diagonal Gaussian over the last dimension; v is a variance."""
    return Independent(Normal(m, v.sqrt()), 1)


def mixture(m, v):
    """Uniform mixture of diagonal Gaussians; m and v are (B or 1, K, Z)."""
    m, v = torch.broadcast_tensors(m, v)
    return MixtureSameFamily(Categorical(logits=torch.zeros_like(m[..., 0])), normal(m, v))


def log_bernoulli(x, logits):
    x, logits = torch.broadcast_tensors(x, logits)
    return Independent(Bernoulli(logits=logits), 1).log_prob(x)


def standard(z):
    """log N(z; 0, I)."""
    return normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)


def seeded(seed, function, *args, **options):
    """What function returns when the global generator starts at seed."""
    torch.manual_seed(seed)
    return function(*args, **options)


def binary(*shape, seed=0, dtype=torch.float32, on=0.3):
    """Random pixels in {0, 1} that leave the global generator alone."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) < on).to(dtype)


def gaussian(*shape, seed=0, dtype=torch.float64, scale=1.0):
    """Random normals that leave the global generator alone."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=dtype)


def positive(*shape, seed=0, dtype=torch.float64, spread=1.0):
    """Random variances, log-normal, that leave the global generator alone."""
    return gaussian(*shape, seed=seed, dtype=dtype, scale=spread).exp()


def estimate(draw, repeats):
    """Mean of `repeats` independent draws of a tensor, and its standard error."""
    values = torch.stack([draw().detach() for _ in range(repeats)]).double()
    return values.mean(0), values.std(0) / math.sqrt(repeats)


def within(mean, se, expected, errors=5):
    """Whether a Monte-Carlo mean lies within so many standard errors of the expected value."""
    return bool(((mean - expected).abs() <= errors * se).all())


# A toy with one latent dimension and four pixels, so that quadrature knows every answer.

SPACING = 0.005
GRID = torch.arange(-15, 15, SPACING, dtype=torch.float64)[:, None]  # (G, 1)
IMAGES = torch.tensor([[1.0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0]], dtype=torch.float64)


def posterior(x):
    """Neither the prior nor the truth, but wide: importance weights have a finite variance."""
    s = x.sum(-1, keepdim=True)
    return 0.6 * s - 1.2, 0.7 + 0.1 * s


def decode(z):
    return z * torch.tensor([2.0, -1.0, 0.5, 1.5], dtype=z.dtype) - 0.3


def log_evidence(log_prior, decode, x):
    """(B,) log p(x) = log ∫ p(z) p(x|z) dz for a one-dimensional z, by quadrature."""
    log_joint = log_prior(GRID)[:, None] + log_bernoulli(x, decode(GRID)[:, None])  # (G, B)
    return log_joint.logsumexp(0) + math.log(SPACING)


def exact_reconstruction(q, decode, x):
    """(B,) E_q[log p(x|z)] for a one-dimensional z, by quadrature."""
    log_p = log_bernoulli(x, decode(GRID)[:, None])  # (G, B)
    return (q.log_prob(GRID[:, None]).exp() * log_p).sum(0) * SPACING


def exact_elbo(q, log_prior, decode, x):
    """(B,) E_q[log p(x, z) − log q(z|x)] for a one-dimensional z, by quadrature."""
    log_q = q.log_prob(GRID[:, None])  # (G, B)
    log_joint = log_prior(GRID)[:, None] + log_bernoulli(x, decode(GRID)[:, None])
    return (log_q.exp() * (log_joint - log_q)).sum(0) * SPACING


def textbook_elbo(model, log_prior, x):
    """(kl, rec), both by the same single sample of every image."""
    m, v = model.enc(x)
    z = m + v.sqrt() * torch.randn(m.shape, dtype=m.dtype)
    kl = normal(m, v).log_prob(z) - log_prior(z)
    rec = -log_bernoulli(x, model.dec(z))
    return kl.mean(), rec.mean()


def textbook_iwae(model, log_prior, x, iw):
    """(niwae, kl, rec) with every image copied iw times, the copy index outermost."""
    m, v = model.enc(torch.cat([x] * iw))  # (M·B, Z)
    z = m + v.sqrt() * torch.randn(m.shape, dtype=m.dtype)
    kl = normal(m, v).log_prob(z) - log_prior(z)
    rec = -log_bernoulli(torch.cat([x] * iw), model.dec(z))
    log_w = -(kl + rec).reshape(iw, len(x))
    niwae = math.log(iw) - log_w.logsumexp(0)
    return niwae.mean(), kl.mean(), rec.mean()


def mlp_shapes(name, *sizes):
    """state_dict keys and shapes of an MLP with an activation between its linear layers."""
    shapes = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        shapes[f"{name}.net.{2 * i}.weight"] = (outputs, inputs)
        shapes[f"{name}.net.{2 * i}.bias"] = (outputs,)
    return shapes


def run_mlp(model, name, activation, *inputs):
    """The MLP's output from the checkpoint's weights alone, its inputs joined in order."""
    w = model.state_dict()
    h = torch.cat(inputs, dim=-1)
    for i in (0, 2, 4):
        h = h @ w[f"{name}.net.{i}.weight"].T + w[f"{name}.net.{i}.bias"]
        h = activation(h) if i < 4 else h
    return h


def default_mlp(*sizes):
    """Parameters of freshly built linear layers, drawn from the global generator in order."""
    return [p for i, o in pairwise(sizes) for p in nn.Linear(i, o).parameters()]


def numbers(summaries):
    """The summaries as plain floats."""
    return {key: torch.as_tensor(value).item() for key, value in summaries.items()}


def shapes_of(model):
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}
