"""Wrong arguments of the Python API: a ValueError that names the one at fault."""

import math
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

from codebase import train
from codebase import utils as ut
from codebase.data.batches import Batches, seeded_generator
from codebase.evaluation.bounds import UserError, full_bounds, subset_bounds
from codebase.evaluation.classifier import classification
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs.flags import number

X = torch.zeros(3, 784)
ONE_HOT = torch.eye(10)[:3]


def fit(**options):
    g = seeded_generator(0)
    loader = Batches(torch.zeros(3, 784, dtype=torch.uint8), torch.zeros(3), 2, g)
    options = {"train_loader": loader, "iter_max": 1} | options
    loader = options.pop("train_loader")
    return train.train(VAE(), loader, None, "cpu", tqdm, None, **options)


WRONG = {
    "z_dim": lambda: VAE(z_dim=0),
    "beta": lambda: VAE(beta=math.nan),
    "k": lambda: GMVAE(k=-1),
    "gen_weight": lambda: SSVAE(gen_weight=-1),
    "class_weight": lambda: SSVAE(class_weight=math.nan),
    "y_dim": lambda: SSVAE(y_dim=0),
    "x": lambda: VAE().negative_elbo_bound(torch.zeros(3, 783)),
    "iw": lambda: VAE().negative_iwae_bound(X, 0),
    "z": lambda: VAE().compute_sigmoid_given(torch.zeros(3, 3)),
    "y": lambda: SSVAE().compute_sigmoid_given(torch.zeros(3, 64), torch.zeros(3, 9)),
    "batch": lambda: VAE().sample_x(-1),
    "batch of a mixture": lambda: GMVAE(k=2).sample_z(-1),
    "x of the labelled": lambda: SSVAE().loss(X, torch.zeros(3, 5), ONE_HOT),
    "yl": lambda: SSVAE().loss(X, X, ONE_HOT[:, :9]),
    "yl of another length": lambda: SSVAE().loss(X, X, ONE_HOT[:2]),
    "y of another length": lambda: classification(SSVAE(), X, torch.zeros(2).long()),
    "batch_size": lambda: Batches(X, X, 0, seeded_generator(0)),
    "x and y": lambda: Batches(X, X[:2], 1, seeded_generator(0)),
    "x and y, empty": lambda: Batches(X[:0], X[:0], 1, seeded_generator(0)),
    "iter_max": lambda: fit(iter_max=-1),
    "iter_save": lambda: fit(iter_save=0),
    "lr": lambda: fit(lr=math.nan),
    "save_every_seconds": lambda: fit(save_every_seconds=-1),
    "y_status": lambda: fit(y_status="all"),
    "state_path": lambda: fit(train_loader=[(X, X)], state_path=Path("resume.pt")),
    "v": lambda: ut.sample_gaussian(X, X[:2]),
    "x, m": lambda: ut.log_normal(X, X[:, :5], X),
    "x, logits": lambda: ut.log_bernoulli_with_logits(X, X[:, :5]),
    "q, log_q": lambda: ut.kl_cat(X, X, X[:, :5]),
    "qm, qv": lambda: ut.kl_normal(X, X[:2], X, X),
    "z is": lambda: ut.log_normal_mixture(X, X, X),
    "h": lambda: ut.gaussian_parameters(torch.zeros(3, 5)),
    "rep": lambda: ut.duplicate(X, 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_named(name, here):
    with pytest.raises(ValueError, match=rf"\b{name.split(' of')[0].split(', emp')[0]}\b"):
        WRONG[name]()


def test_a_number_beyond_all_floats_is_still_a_number():
    assert number(int, 1)("1" + 400 * "0") == 10**400


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, math.nan])
def test_what_is_not_binary_is_no_input_of_a_bound(value):
    x = torch.full((3, 784), value)
    for bounds in (subset_bounds, full_bounds):
        with pytest.raises(UserError, match="binary"):
            bounds(VAE(), x)
