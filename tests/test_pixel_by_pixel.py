"""A PixelCNN as the likelihood of a VAE, against enumeration and the plain one."""

import itertools

import pytest
import torch
from oracles import binary, gaussian, log_bernoulli

from codebase.engine.randomness import seeded
from codebase.models.family import FamilyVAE
from codebase.models.pixel_by_pixel import PixelCnnPixels

B, D = 3, 9


def part(d=D, weight=1.0, **sizes):
    torch.manual_seed(0)
    found = PixelCnnPixels(d, **({"channels": 3, "looks": 2} | sizes)).double()
    with torch.no_grad():
        last = found.stacks.last[-1]
        for p in (last.weight, last.bias):
            p.copy_(weight * torch.randn_like(p))
    return found


def test_it_begins_as_independent_pixels():
    torch.manual_seed(0)
    fresh, outputs, x = PixelCnnPixels(D).double(), gaussian(B, D), binary(B, D).double()
    found = fresh(outputs).log_prob(x)
    torch.testing.assert_close(found, log_bernoulli(x, outputs), rtol=1e-12, atol=0)


def test_probabilities_of_all_images_sum_to_one():
    """Given each z: whatever the decoder says."""
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=D))).double()
    with torch.no_grad():
        log_p = part()(gaussian(2, 1, D)).log_prob(images)
    assert log_p.shape == (2, 2**D)
    assert log_p.exp().sum(1).tolist() == pytest.approx([1, 1], abs=1e-11)
    independent = log_bernoulli(images, gaussian(2, 1, D))
    assert (log_p - independent).abs().max() > 0.1


def test_a_pixel_is_told_of_z_everywhere_and_of_none_that_follows():
    found, outputs = part(25), gaussian(1, 25).abs().requires_grad_()
    with torch.no_grad():
        for p in found.parameters():  # so that no unit is shut
            p.abs_()
    x = torch.rand(1, 25).double().requires_grad_()
    found(outputs).logits(x)[0, 12].backward()
    assert torch.equal(x.grad[0].nonzero().max(), torch.tensor(11))
    assert (outputs.grad[0, 13:] != 0).any()  # a decoder's map is no pixel: it may be looked ahead


def test_draws_have_the_probabilities():
    found, n = part(4), 40_000
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).double()
    outputs = gaussian(1, 4)
    with torch.no_grad(), seeded(1):
        drawn = found(outputs).sample((n,)).view(n, 4)
        p = found(outputs).log_prob(images).exp()
    share = (drawn[:, None] == images).all(-1).double().mean(0)
    assert ((share - p).abs() <= 5 * (p * (1 - p) / n).sqrt() + 1e-9).all()
    with torch.no_grad():
        alone = log_bernoulli(images, outputs).exp()
    assert ((share - alone).abs() > 5 * (alone * (1 - alone) / n).sqrt()).any()  # the mutant


def test_probabilities_of_a_draw_are_those_it_was_drawn_by(monkeypatch):
    found, asked = part(16), []
    draw = torch.bernoulli
    monkeypatch.setattr(torch, "bernoulli", lambda p: asked.append(p) or draw(p))
    with seeded(2):
        mean = found(gaussian(B, 16)).mean
    torch.testing.assert_close(torch.cat(asked, dim=1), mean)


def test_images_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="square"):
        PixelCnnPixels(10)


def test_a_vae_with_it_has_its_bound_and_trains():
    torch.manual_seed(0)
    model = FamilyVAE(z_dim=2, x_dim=D, likelihood=lambda d: part(d, 0.1)).double()
    x = binary(40, D).double()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss, found = model.loss(x)
        assert loss.item() == pytest.approx(-found["gen/elbo"].item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < sum(losses[:10])
