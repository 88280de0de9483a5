import numpy as np
import torch
from torch import nn

from codebase import utils as ut
from codebase.models import nns


class GMVAE(nn.Module):
    def __init__(self, nn="v1", z_dim=2, k=500, name="gmvae"):
        super().__init__()
        self.name = name
        self.k = k
        self.z_dim = z_dim
        nn = getattr(nns, nn)
        self.enc = nn.Encoder(self.z_dim)
        self.dec = nn.Decoder(self.z_dim)
        self.z_pre = torch.nn.Parameter(
            torch.randn(1, 2 * self.k, self.z_dim) / np.sqrt(self.k * self.z_dim)
        )
        self.pi = torch.nn.Parameter(torch.ones(k) / k, requires_grad=False)

    def negative_elbo_bound(self, x):
        prior = ut.gaussian_parameters(self.z_pre, dim=1)
        m, v = self.enc.encode(x)
        z = ut.sample_gaussian(m, v)
        logits = self.dec.decode(z)
        log_q = ut.log_normal(z, m, v)
        log_p = ut.log_normal_mixture(z, *prior)
        kl = torch.mean(log_q - log_p)
        rec = -torch.mean(ut.log_bernoulli_with_logits(x, logits))
        nelbo = kl + rec
        return nelbo, kl, rec

    def negative_iwae_bound(self, x, iw):
        raise NotImplementedError

    def loss(self, x):
        nelbo, kl, rec = self.negative_elbo_bound(x)
        return nelbo, {"train/loss": nelbo, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
