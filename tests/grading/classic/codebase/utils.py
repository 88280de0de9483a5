# A solution as people write it on the course's starter code: star of the grader's tests.
import os
import shutil
import sys

import numpy as np
import torch
from torch.nn import functional as F
from torchvision import datasets, transforms

from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE

bce = torch.nn.BCEWithLogitsLoss(reduction="none")


def sample_gaussian(m, v):
    epsilon = torch.randn_like(v)
    z = m + torch.sqrt(v) * epsilon
    return z


def log_normal(x, m, v):
    const = -0.5 * x.size(-1) * torch.log(2 * torch.tensor(np.pi))
    log_det = -0.5 * torch.sum(torch.log(v), dim=-1)
    log_exp = -0.5 * torch.sum((x - m) ** 2 / v, dim=-1)
    log_prob = const + log_det + log_exp
    return log_prob


def log_normal_mixture(z, m, v):
    z = z.unsqueeze(1)
    log_probs = log_normal(z, m, v)
    log_prob = log_mean_exp(log_probs, 1)
    return log_prob


def gaussian_parameters(h, dim=-1):
    m, h = torch.split(h, h.size(dim) // 2, dim=dim)
    v = F.softplus(h) + 1e-8
    return m, v


def log_bernoulli_with_logits(x, logits):
    log_prob = -bce(input=logits, target=x).sum(-1)
    return log_prob


def kl_cat(q, log_q, log_p):
    element_wise = q * (log_q - log_p)
    return element_wise.sum(-1)


def kl_normal(qm, qv, pm, pv):
    element_wise = 0.5 * (torch.log(pv) - torch.log(qv) + qv / pv + (qm - pm).pow(2) / pv - 1)
    kl = element_wise.sum(-1)
    return kl


def duplicate(x, rep):
    return x.expand(rep, *x.shape).reshape(-1, *x.shape[1:])


def log_mean_exp(x, dim):
    return log_sum_exp(x, dim) - np.log(x.size(dim))


def log_sum_exp(x, dim=0):
    max_x = torch.max(x, dim)[0]
    new_x = x - max_x.unsqueeze(dim).expand_as(x)
    return max_x + (new_x.exp().sum(dim)).log()


def load_mnist(path):
    return datasets.MNIST(path, download=True, transform=transforms.ToTensor())


def clean(path):
    if os.path.exists(path):
        shutil.rmtree(path)
    print("deleted", path, file=sys.stderr)


def evaluate_lower_bound(model, labeled_test_subset, run_iwae=True):
    if isinstance(model, (GMVAE, SSVAE)):
        print(model.name)
    print(model.negative_elbo_bound(labeled_test_subset[0]))
