import torch
from torch import nn

from codebase import utils as ut
from codebase.models import nns


class VAE(nn.Module):
    def __init__(self, nn="v1", name="vae", z_dim=2):
        super().__init__()
        self.name = name
        self.z_dim = z_dim
        nn = getattr(nns, nn)
        self.enc = nn.Encoder(self.z_dim)
        self.dec = nn.Decoder(self.z_dim)

        self.z_prior_m = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        self.z_prior = (self.z_prior_m, self.z_prior_v)

    def negative_elbo_bound(self, x):
        m, v = self.enc.encode(x)
        z = ut.sample_gaussian(m, v)
        logits = self.dec.decode(z)
        kl = torch.mean(ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v))
        rec = torch.mean(-ut.log_bernoulli_with_logits(x, logits))
        nelbo = kl + rec
        return nelbo, kl, rec

    def negative_iwae_bound(self, x, iw):
        m, v = self.enc.encode(x)
        m, v, x = ut.duplicate(m, iw), ut.duplicate(v, iw), ut.duplicate(x, iw)
        z = ut.sample_gaussian(m, v)
        logits = self.dec.decode(z)
        kl = ut.log_normal(z, m, v) - ut.log_normal(z, self.z_prior_m, self.z_prior_v)
        rec = -ut.log_bernoulli_with_logits(x, logits)
        niwae = -ut.log_mean_exp(-(kl + rec).reshape(iw, -1), dim=0).mean()
        return niwae, kl.mean(), rec.mean()

    def loss(self, x):
        nelbo, kl, rec = self.negative_elbo_bound(x)
        loss = nelbo
        summaries = {"train/loss": nelbo, "gen/elbo": -nelbo, "gen/kl_z": kl, "gen/rec": rec}
        return loss, summaries

    def sample_z(self, batch):
        m, v = self.z_prior_m.expand(batch, self.z_dim), self.z_prior_v.expand(batch, self.z_dim)
        return ut.sample_gaussian(m, v)
