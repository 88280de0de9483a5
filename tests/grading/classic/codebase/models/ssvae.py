import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models import nns


class SSVAE(nn.Module):
    def __init__(self, nn="v1", name="ssvae", gen_weight=1, class_weight=100):
        super().__init__()
        self.name = name
        self.z_dim = 64
        self.y_dim = 10
        self.gen_weight = gen_weight
        self.class_weight = class_weight
        nn = getattr(nns, nn)
        self.enc = nn.Encoder(self.z_dim, self.y_dim)
        self.dec = nn.Decoder(self.z_dim, self.y_dim)
        self.cls = nn.Classifier(self.y_dim)
        self.z_prior_m = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        self.z_prior = (self.z_prior_m, self.z_prior_v)

    def negative_elbo_bound(self, x):
        y_logits = self.cls.classify(x)
        y_logprob = F.log_softmax(y_logits, dim=1)
        y_prob = torch.softmax(y_logprob, dim=1)

        y = np.repeat(np.arange(self.y_dim), x.size(0))
        y = x.new_tensor(np.eye(self.y_dim)[y])
        x = ut.duplicate(x, self.y_dim)
        m, v = self.enc.encode(x, y)
        z = ut.sample_gaussian(m, v)
        logits = self.dec.decode(z, y)

        kl_y = ut.kl_cat(y_prob, y_logprob, np.log(1.0 / self.y_dim))
        kl_z = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)
        rec = -ut.log_bernoulli_with_logits(x, logits)
        kl_z = (y_prob.t() * kl_z.reshape(self.y_dim, -1)).sum(0)
        rec = (y_prob.t() * rec.reshape(self.y_dim, -1)).sum(0)

        kl_y, kl_z, rec = kl_y.mean(), kl_z.mean(), rec.mean()
        nelbo = rec + kl_z + kl_y
        return nelbo, kl_z, kl_y, rec

    def classification_cross_entropy(self, x, y):
        y_logits = self.cls.classify(x)
        return F.cross_entropy(y_logits, y.argmax(1))

    def loss(self, x, xl, yl):
        ce = self.classification_cross_entropy(xl, yl)
        loss = self.class_weight * ce
        summaries = {"class/ce": ce}
        if self.gen_weight > 0:
            nelbo, kl_z, kl_y, rec = self.negative_elbo_bound(x)
            loss = loss + self.gen_weight * nelbo
            summaries |= {"gen/elbo": -nelbo, "gen/kl_z": kl_z, "gen/kl_y": kl_y, "gen/rec": rec}
        return loss, {"train/loss": loss} | summaries
