"""MADE, PixelCNN and the transformer: exact likelihoods that depend on what lies before only."""

import itertools

import pytest
import torch
from oracles import binary, log_bernoulli, within
from short import command
from torch import nn

from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.figures import book
from codebase.models import pixelcnn, transformer
from codebase.models.autoregressive import MADE, Masked
from codebase.models.pixelcnn import PixelCNN
from codebase.models.transformer import Transformer
from codebase.tasks import exact

SMALL = {
    "made": lambda d: MADE(hidden=7, layers=3, x_dim=d),
    "wide made": lambda d: MADE(hidden=3 * d + 1, layers=1, x_dim=d),
    "pixelcnn": lambda d: PixelCNN(channels=5, layers=2, x_dim=d),
    "transformer": lambda d: Transformer(width=6, layers=2, heads=3, patch=1, x_dim=d),
}
KINDS = pytest.mark.parametrize("kind", SMALL)


def model_of(kind, d=9, spread=0.7):
    """With weights that are large enough for every dependence to show."""
    torch.manual_seed(0)
    model = SMALL[kind](d).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(spread * torch.randn_like(p))
    return model


def every_image(d):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=d)), dtype=torch.float64)


@torch.no_grad()
def total(model, d):
    return model.log_prob(every_image(d)).exp().sum().item()


def jacobian(model, x):
    """∂ logit_i / ∂ x_j at an image (D,), the pixels taken as numbers."""
    return torch.autograd.functional.jacobian(lambda t: model.logits(t[None])[0], x)


# The sum over all images is 1


@KINDS
def test_the_probabilities_of_all_images_sum_to_one(kind):
    assert total(model_of(kind), 9) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("patch", "d"), [(3, 9), (2, 16), (2, 4)])
def test_so_do_those_of_patches(patch, d):
    torch.manual_seed(0)
    model = Transformer(width=4, layers=1, heads=2, patch=patch, x_dim=d).double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    assert total(model, d) == pytest.approx(1, abs=1e-11)


def seeing_itself(model):
    """Mutants: a mask of B where it must be A, an unshifted input, no mask at all."""
    if isinstance(model, MADE):
        model.last.mask = model.last.mask.roll(-1, 0)  # output i sees degrees up to i + 1
    elif isinstance(model, PixelCNN):
        first = model.stacks.layers[0]
        along = nn.Conv2d(1, 5, (1, 4)).double()
        first.along, first.first = along, True
        first.beside = lambda h, told: first.out(
            torch.relu(along(nn.functional.pad(h, (3, 0, 0, 0))) + told)
        )
    else:
        told = model._told
        model.log_probs = lambda tokens: told(model.patches(tokens) + model.places, None)[0]
    return model


@KINDS
def test_a_model_that_sees_the_pixel_itself_does_not(kind):
    assert abs(total(seeing_itself(model_of(kind)), 9) - 1) > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs(causal):
    q, k, v = torch.randn(3, 2, 4, 7, 5, dtype=torch.float64)
    if not causal:
        q = q[..., :3, :]
    theirs = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    torch.testing.assert_close(transformer.attention(q, k, v, causal), theirs)


def test_a_transformer_without_a_mask_does_not(monkeypatch):
    model, attention = model_of("transformer"), transformer.attention
    every = lambda q, k, v, causal: attention(q, k, v, False)  # noqa: E731
    monkeypatch.setattr(transformer, "attention", every)
    assert abs(total(model, 9) - 1) > 1e-3


# Triangular Jacobians


@pytest.mark.parametrize("kind", ["made", "wide made", "pixelcnn"])
def test_the_jacobian_is_strictly_lower_triangular(kind):
    model, x = model_of(kind, 25), binary(25).double()
    found = jacobian(model, x)
    assert (found.triu() == 0).all()
    below = found[1:, :-1].diagonal()
    assert (below != 0).all()  # nobody's neighbour is lost, however narrow the layer


@pytest.mark.parametrize("kind", ["made", "wide made"])
def test_made_sees_every_pixel_before(kind):
    model, x = model_of(kind, 16), binary(16).double()
    found = jacobian(model, x)
    assert bool((found[torch.ones(16, 16).tril(-1).bool()] != 0).all())


def test_a_narrow_made_has_degrees_over_the_whole_image():
    """As many numbers from 1 on as there are hidden units would hide the end of the image."""
    model = MADE(hidden=7, x_dim=50)
    assert int(model.first.mask.sum(1).max()) > 40
    assert model.last.mask[-1].all()


def rectangle(layers, side, row, column):
    """What a pixel is to be given: those before it, so many rows and columns around it."""
    reach = layers + 2
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    near = (rows >= row - reach) & ((columns - column).abs() <= reach)
    before = (rows < row) | ((rows == row) & (columns < column))
    return near & before


def positive(model):
    """Weights and inputs > 0: no dependence can cancel, no unit is off."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.abs() + 0.1)
    return model


@pytest.mark.parametrize(("layers", "place"), [(1, (4, 5)), (2, (6, 6)), (3, (8, 2)), (2, (0, 3))])
def test_the_receptive_field_of_pixelcnn_is_the_rectangle_it_says(layers, place):
    model = positive(PixelCNN(channels=2, layers=layers, x_dim=144).double())
    assert model.reach == layers + 2
    x = torch.rand(144, dtype=torch.float64, requires_grad=True)
    row, column = place
    model.logits(x[None])[0, row * 12 + column].backward()
    assert torch.equal(x.grad.view(12, 12) != 0, rectangle(layers, 12, row, column))


def blind(layer):
    """One stack of masked kernels: of the rows above, nothing further to the right."""
    layer.upper.weight[..., layer.upper.padding[1] + 1 :] = 0


def rowless(layer):
    """A mask of the second kind that leaves out its own row."""
    if not layer.first:
        layer.along.weight[..., :-1] = 0


@pytest.mark.parametrize("mutant", [blind, rowless])
def test_a_field_with_a_hole_is_not_that_rectangle(mutant):
    model = positive(PixelCNN(channels=2, layers=2, x_dim=144).double())
    with torch.no_grad():
        for layer in model.stacks.layers:
            mutant(layer)
    x = torch.rand(144, dtype=torch.float64, requires_grad=True)
    model.logits(x[None])[0, 6 * 12 + 6].backward()
    assert not torch.equal(x.grad.view(12, 12) != 0, rectangle(2, 12, 6, 6))


def test_what_the_transformer_says_at_a_place_ignores_it_and_what_follows():
    torch.manual_seed(0)
    model = Transformer(width=8, layers=2, heads=2, patch=2, x_dim=64).double()
    tokens = model.tokens(binary(1, 64).double())
    said = model.log_probs(tokens)
    for i in range(model.parts):
        other = tokens.clone()
        other[:, i] = (other[:, i] + 5) % 16
        differs = (model.log_probs(other) != said).any(-1)[0]
        assert not differs[: i + 1].any()
        assert differs[i + 1 :].all()


# The costs


def test_made_s_cost_is_a_bernoulli_s():
    model, x = model_of("made"), binary(4, 9).double()
    expected = log_bernoulli(x, model.logits(x))
    torch.testing.assert_close(model.log_prob(x), expected, rtol=1e-12, atol=0)


@KINDS
def test_the_loss_is_the_mean_cost_in_nats(kind):
    model, x = model_of(kind), binary(5, 9).double()
    loss, summaries = model.loss(x)
    expected = -sum(model.log_prob(image[None]).item() for image in x) / 5
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert summaries["gen/nll"].item() == loss.item()


def test_patches_are_numbered_by_their_pixels():
    model = Transformer(width=4, layers=1, heads=1, x_dim=16)
    x = torch.zeros(1, 16)
    x[0, [2, 7, 12]] = 1  # (0, 2), (1, 3), (3, 0)
    assert model.tokens(x).tolist() == [[0, 1 + 8, 4, 0]]


# Samples


@KINDS
def test_samples_have_the_probabilities_that_the_model_gives(kind):
    """Of 2 × 2 images, the 16 of them."""
    model, n = model_of(kind, 4), 20_000
    with seeded(1):
        drawn = model.sample_x(n)
    place = (drawn.long() * torch.tensor([8, 4, 2, 1])).sum(-1)
    share = torch.bincount(place, minlength=16) / n
    p = model.log_prob(every_image(4)).exp().detach()
    assert within(share.double(), (p * (1 - p) / n).sqrt() + 1e-12, p)


def test_a_transformer_that_keeps_what_it_knows_says_the_same():
    """Drawing patch by patch: each has the probability that all at once give it."""
    torch.manual_seed(0)
    model = Transformer(width=8, layers=2, heads=2, patch=2, x_dim=64).double()
    said, told = [], model._told

    def listening(h, past):
        found = told(h, past)
        said.append(found[0][:, -1])
        return found

    model._told = listening
    with seeded(2):
        x = model.sample_x(3)
    model._told = told
    torch.testing.assert_close(torch.stack(said, 1), model.log_probs(model.tokens(x)))


def test_made_draws_each_pixel_by_what_all_at_once_would_say(monkeypatch):
    model, x = model_of("made", 25), binary(3, 25).double()
    asked, here = [], list(x[:, 6:].T)
    monkeypatch.setattr(torch, "bernoulli", lambda p: asked.append(p) or here.pop(0))
    assert torch.equal(model.complete(x, 6), x)
    torch.testing.assert_close(torch.stack(asked, 1).logit(), model.logits(x)[:, 6:].detach())


def test_a_row_of_pixelcnn_is_drawn_from_what_all_at_once_would_say():
    model, x = model_of("pixelcnn", 144, 0.2), binary(3, 144).double()
    asked, logits = [], model.logits(x).view(3, 12, 12)
    beside = model.stacks.beside

    def listening(*some):
        asked.append(beside(*some))
        return asked[-1]

    model.stacks.beside = listening
    with seeded(3), pytest.MonkeyPatch.context() as patch:
        # Whatever is drawn is what stands there.
        patch.setattr(torch, "bernoulli", lambda p: here.pop(0))
        here = [x.view(3, 12, 12)[:, 7, c, None] for c in range(12)]
        model.drawer(x.clone())(7)
    for column, found in enumerate(asked):
        torch.testing.assert_close(found[:, 0, -1], logits[:, 7, column])


@KINDS
def test_what_is_seen_is_kept_and_the_rest_is_drawn_given_it(kind):
    """The lower half of 2 × 2 images given the upper one, against enumeration."""
    model, n = model_of(kind, 4), 20_000
    seen = model.parts // 2
    x = torch.tensor([1.0, 0, 0, 0]).double().expand(n, -1)
    with seeded(4):
        drawn = model.complete(x, seen)
    assert (drawn[:, :2] == x[:, :2]).all()
    assert (x[:, 2:] == 0).all()  # what was handed over is as it was
    share = torch.bincount((drawn[:, 2:].long() * torch.tensor([2, 1])).sum(-1), minlength=4) / n
    p = model.log_prob(every_image(4)[8:12]).exp().detach()
    p = p / p.sum()
    assert within(share.double(), (p * (1 - p) / n).sqrt() + 1e-12, p)


def test_a_picture_s_row_is_half_an_image_its_completions_and_the_truth():
    torch.manual_seed(0)
    model = Transformer(width=4, layers=1, heads=1)
    x = binary(2, 784)
    rows = exact.completed(model, x, 0).view(2, exact.COMPLETIONS + 2, 784)
    assert torch.equal(rows[:, -1], x)
    assert torch.equal(rows[:, :-1, :392], x[:, None, :392].expand(-1, 9, -1))
    assert (rows[:, 0, 392:] == 0.3).all()


@KINDS
def test_the_costs_of_a_set_are_those_of_its_images(kind):
    model, x = model_of(kind), binary(7, 9).double()
    torch.testing.assert_close(exact.costs(model, x), -model.log_prob(x).detach())


# Refusals


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MADE(hidden=0), "hidden must be at least 1"),
        (lambda: MADE(layers=0), "layers must be at least 1"),
        (lambda: MADE(x_dim=1), "x_dim must be at least 2"),
        (lambda: PixelCNN(channels=0), "channels must be at least 1"),
        (lambda: PixelCNN(x_dim=8), "must be square"),
        (lambda: Transformer(heads=5), "5 heads do not divide a width of 64"),
        (lambda: Transformer(patch=3), "divides the image's side, 28; got 3"),
        (lambda: Transformer(patch=4, x_dim=16), "patch is 1, 2 or 3"),
        (lambda: MADE(x_dim=9).log_prob(torch.zeros(2, 8)), "x must have shape"),
        (lambda: MADE(x_dim=9).sample_x(0), "batch must be at least 1"),
    ],
)
def test_mistakes_are_said_in_a_sentence(make, words):
    with pytest.raises(ValueError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_what_a_mask_leaves_out_is_not_learned():
    layer = Masked(torch.tensor([[True, False]]))
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad.tolist() == [[1, 0]]
    assert pixelcnn.side_of(49) == 7


def test_of_a_model_without_codes_samples_are_drawn(here):
    command("made", "--hidden", 8, "--figures", 1)
    (run,) = (here / "checkpoints").iterdir()
    assert (run / "completions.png").exists()
    assert [path.name for path in (run / "figures").glob("*.png")] == ["samples.png"]


def test_a_model_of_which_there_is_no_figure_is_refused_in_a_sentence(here):
    """--figures 1 draws nothing then and does no harm."""
    command("complete", "--z", 2, "--figures", 1)
    (run,) = (here / "checkpoints").iterdir()
    assert (run / "completions.png").exists()
    with pytest.raises(UserError, match="there is no figure of what these do"):
        book.draw_runs([run.name], here / "figures")
