"""The family's networks: sizes, gates, convolutions, and where the last bias begins."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from codebase.catalogue import CATALOGUE
from codebase.errors import UserError
from codebase.explorer.networks import written
from codebase.models.family import FamilyVAE
from codebase.models.nns import parts, v1


def test_an_mlp_s_sizes_are_the_flags():
    model = CATALOGUE["vae"].build({"hidden": 7, "layers": 3, "activation": "tanh", "z": 2}, "run")
    assert isinstance(model, FamilyVAE)
    for net, ends in ((model.enc.net, (784, 4)), (model.dec.net, (2, 784))):
        linear = [layer for layer in net if isinstance(layer, nn.Linear)]
        widths = [ends[0], 7, 7, 7, ends[1]]
        assert [(a.in_features, a.out_features) for a in linear] == [*pairwise(widths)]
        assert sum(isinstance(layer, nn.Tanh) for layer in net) == 3


def test_the_usual_sizes_are_those_of_v1():
    torch.manual_seed(0)
    theirs = v1.Encoder(3), v1.Decoder(3)
    torch.manual_seed(0)
    net = parts.MLP()
    ours = net.encoder(784, 3), net.decoder(3, 784)
    x, z = torch.rand(5, 784), torch.randn(5, 3)
    assert all(map(torch.equal, ours[0](x)[:2], theirs[0](x)))
    assert torch.equal(ours[1](z), theirs[1](z))


def test_a_gate_weighs_what_passes_it():
    layer, h = parts.GatedLinear(4, 3), torch.randn(5, 4)
    w, v = layer.both.weight.split(3)
    b, c = layer.both.bias.split(3)
    expected = (h @ w.T + b) * torch.sigmoid(h @ v.T + c)
    torch.testing.assert_close(layer(h), expected)
    assert parts.Gated(9, 1).encoder(16, 2).mlp() is None


@pytest.mark.parametrize("sides", [(28, 28), (8, 8), (17, 23), (5, 30)])
def test_convolutions_come_back_to_the_size_they_began_with(sides):
    d = sides[0] * sides[1]
    enc, dec = parts.ConvEncoder(sides, 3, 20), parts.ConvDecoder(3, sides, 20)
    m, v, h = enc(torch.rand(2, 5, d))
    assert m.shape == v.shape == (2, 5, 3)
    assert h.shape == (2, 5, 20)
    assert dec(m).shape == (2, 5, d)
    assert dec(m[0, 0]).shape == (d,)


def test_a_convolution_over_the_whole_image_is_a_linear_layer():
    """What the networks are made of, on their own layout of pixels."""
    conv, x = nn.Conv2d(1, 6, (7, 9)), torch.rand(4, 7 * 9)
    linear = conv.weight.flatten(1)
    torch.testing.assert_close(conv(x.reshape(-1, 1, 7, 9)).flatten(1), x @ linear.T + conv.bias)


def test_images_are_laid_out_row_by_row():
    """A stroke moved by four pixels moves the second convolution's answer by one."""
    torch.manual_seed(0)
    enc = parts.ConvEncoder((28, 28), 2, 9)
    x = torch.zeros(1, 28, 28)
    x[0, 12:15, 8:10] = 1
    moved = x.roll(4, dims=2)
    convolutions = enc.net[:4]
    a, b = (convolutions(t.reshape(-1, 1, 28, 28)) for t in (x, moved))
    torch.testing.assert_close(a[..., 2:5, 1:4], b[..., 2:5, 2:5])


def test_what_convolutions_cannot_take_is_said():
    with pytest.raises(ValueError, match="square images"):
        parts.Conv().encoder(27 * 28, 3)


@pytest.mark.parametrize("net", [parts.MLP, parts.Gated, parts.Conv])
def test_a_mean_bias_begins_at_the_average_image(net, digits):
    torch.manual_seed(0)
    model = FamilyVAE("run", 2, net=lambda: net(bias="mean"))
    images = digits.train_x.float() / 255
    model.prepare(lambda: images)
    with torch.no_grad():
        drawn = torch.sigmoid(model.dec.bias)
    torch.testing.assert_close(drawn, images.mean(0).clamp(1e-3, 1 - 1e-3), atol=1e-5, rtol=1e-4)
    before = FamilyVAE("run", 2, net=net)
    kept = before.dec.bias.clone()
    before.prepare(lambda: images)
    assert torch.equal(before.dec.bias, kept)


def test_the_page_takes_mlps_only():
    model = CATALOGUE["conv"].build({}, "run")
    assert model.networks() == {}
    with pytest.raises(UserError, match="as an MLP; it has none"):
        written(model, torch.rand(3, 784))
