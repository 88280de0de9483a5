"""run.py use: neighbours, outliers, noise, compression, few labels, each against a stranger."""

import json
import math
import zlib
from argparse import Namespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from codebase import command
from codebase.catalogue import CATALOGUE
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation import features
from codebase.evaluation.codes import codes, redrawn
from codebase.evaluation.numbers import Number
from codebase.models.autoencoders import squared_error
from codebase.models.noise import Noise
from codebase.runs.saved import SavedRun
from codebase.uses import anomaly, compress, denoise, front, labels, neighbours, quality
from codebase.uses.subject import Subject

SIZES = {"z": 4, "k": 3, "active": 2, "hidden": 16}


def subject(name, digits, here, without=None, **values):
    """A run of a small model that nobody has trained."""
    torch.manual_seed(0)
    entry = CATALOGUE[name]
    values = {k: v for k, v in (SIZES | values).items() if k in entry.defaults()}
    model = entry.build(values, "run").eval()
    return Subject(SavedRun(here, model, 0, "digits", kind=name), digits, without)


@pytest.fixture
def few(digits, monkeypatch):
    """Fewer digits, so that it is quick."""
    from dataclasses import replace

    cut = {"train_x": 300, "train_y": 300, "test_x": 60, "test_y": 60}
    return replace(digits, **{name: getattr(digits, name)[:n] for name, n in cut.items()})


# Neighbours


def test_neighbours_vote_as_scikit_learn_s(digits):
    x, y = grey(digits.train_x), digits.train_y
    test_x, test_y = grey(digits.test_x), digits.test_y
    found = neighbours.accuracies(x, test_x, y, test_y)
    for k in neighbours.KS:
        theirs = KNeighborsClassifier(k, algorithm="brute").fit(x.numpy(), y.numpy())
        expected = theirs.score(test_x.numpy(), test_y.numpy())
        assert found[f"k = {k}"].value == pytest.approx(expected, abs=1e-9)


def test_standardised_is_by_the_training_images_alone():
    generator = torch.Generator().manual_seed(0)
    points, queries = torch.randn(40, 3, generator=generator), torch.randn(7, 3) + 5
    points[:, 2] = queries[:, 2] = 1.0  # a dimension that says nothing
    a, b = neighbours.standardised(points, queries)
    torch.testing.assert_close(a[:, :2].mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(a[:, :2].std(0), torch.ones(2))
    torch.testing.assert_close(b[:, :2], (queries - points.mean(0))[:, :2] / points.std(0)[:2])
    assert (a[:, 2] == 0).all()
    assert (b[:, 2] == 0).all()


# Outliers


def test_auroc_is_scikit_learn_s_ties_and_all():
    generator = torch.Generator().manual_seed(0)
    usual = torch.randint(0, 6, (50,), generator=generator)
    odd = torch.randint(2, 9, (30,), generator=generator)
    is_odd = np.r_[np.zeros(50), np.ones(30)]
    found = anomaly.auroc(usual, odd)
    assert found.value == pytest.approx(roc_auc_score(is_odd, torch.cat([usual, odd]).numpy()))
    assert found.value > 0.6  # the mutant has it the other way round


def test_its_standard_error_is_what_draws_spread_by():
    generator = torch.Generator().manual_seed(0)
    draws = [
        anomaly.auroc(
            torch.randn(40, generator=generator), torch.randn(25, generator=generator) + 1
        )
        for _ in range(1_500)
    ]
    spread = torch.tensor([n.value for n in draws]).std().item()
    claimed = torch.tensor([n.se for n in draws]).mean().item()
    assert claimed == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("name", ["ae", "vae"])
def test_the_digit_left_out_is_the_outlier(name, few, here):
    found = anomaly.measure(subject(name, few, here, without=4), Namespace(data_dir=here))
    first = next(iter(found.columns))
    assert (first == "nelbo") == (name == "vae")
    assert "squared error" in found.columns
    assert "PCA of 4" in found.columns
    assert all(set(column) == {"digit 4"} for column in found.columns.values())
    x, y = subject(name, few, here, without=4).train
    assert not (y == 4).any()
    assert len(x) == int((few.train_y != 4).sum())


def test_a_bound_is_used_as_a_cost(few, here):
    """Pure noise is odder than digits, by bound and by error."""
    own = subject("vae", few, here)
    x = own.test[0]
    with seeded(0):
        noise = torch.rand_like(x).round()
        trained = own.model.train()
        optimizer = torch.optim.Adam(trained.parameters(), 3e-3)
        with torch.enable_grad():
            for _ in range(60):
                optimizer.zero_grad()
                trained.loss(own.train[0])[0].backward()
                optimizer.step()

    def errors(model, x):
        return squared_error(x, redrawn(model, x))

    for score in (anomaly.bounds, errors):
        assert anomaly.auroc(score(own.model, x), score(own.model, noise)).value > 0.99


# Noise


def test_psnr_is_by_hand():
    truth = torch.full((2, 4), 0.5)
    images = truth + torch.tensor([[0.1, -0.1, 0.1, -0.1], [0.2, 0.2, 0.0, 0.0]])
    expected = -10 * np.log10([0.01, 0.02])
    np.testing.assert_allclose(denoise.psnr(images, truth).numpy(), expected, rtol=1e-5)
    beyond = torch.tensor([[2.0, 0.5, 0.5, 0.5]])
    assert denoise.psnr(beyond, truth[:1]).item() == pytest.approx(-10 * math.log10(0.25 / 4))


def test_filters_are_scipy_s_image_by_image(digits):
    from scipy.ndimage import median_filter
    from scipy.signal import wiener

    with seeded(0):
        noisy = Noise("gaussian", 0.3)(grey(digits.test_x[:3]))
    found = denoise.filtered(noisy)
    image = noisy[1].view(28, 28).double().numpy()
    ours = {name: f[1].view(28, 28).numpy() for name, f in found.items()}
    np.testing.assert_allclose(ours["median 3 × 3"], median_filter(image, 3), rtol=1e-6)
    np.testing.assert_allclose(ours["Wiener 5 × 5"], wiener(image, 5), rtol=1e-5, atol=1e-6)
    flat = denoise.filtered(torch.zeros(1, 784))  # where scipy's would be 0/0
    assert all(torch.isfinite(f).all() for f in flat.values())


def test_the_noise_is_the_run_s_own_unless_another_is_asked_for(few, here):
    asked = Namespace(noise=None, rate=None)
    own = subject("denoising-ae", few, here, noise="saltpepper", rate=0.2)
    assert denoise._noise(own, asked) == Noise("saltpepper", 0.2)
    assert denoise._noise(own, Namespace(noise="masking", rate=None)) == Noise("masking", 0.3)
    assert denoise._noise(own, Namespace(noise=None, rate=0.5)) == Noise("saltpepper", 0.5)
    assert denoise._noise(subject("vae", few, here), asked) == Noise("gaussian", 0.3)
    found = denoise.measure(own, asked)
    with Image.open(here / "use-denoise.png") as picture:
        assert picture.height == 2 * (3 * 30 + 2)  # noisy, restored, truth
    assert found.columns["PSNR"].keys() >= {"noisy", "model", "median 3 × 3", "Wiener 3 × 3"}


# Compression


def test_files_hold_the_pixels(digits):
    x = (grey(digits.test_x[:5]) > 0.5).float()
    rows = compress.packed(x)
    assert rows.shape == (5, 98)
    back = np.unpackbits(rows, axis=1)[:, :784]
    np.testing.assert_array_equal(back, x.numpy())
    found = compress.by_files(rows, binary=True)
    assert found["as they lie"].value == 784
    each = [8 * len(zlib.compress(row.tobytes(), 9)) for row in rows]
    assert found["zlib of each"].value == pytest.approx(np.mean(each))
    for binary, pixels in ((True, rows), (False, digits.test_x[:5].numpy())):
        import io

        image = np.asarray(Image.open(io.BytesIO(compress._png(pixels[2], binary))))
        expected = digits.test_x[2].numpy() if not binary else x[2].numpy() > 0
        np.testing.assert_array_equal(image.flatten(), expected)


def test_what_is_left_gives_the_pixels_back(few, here):
    own = subject("ae", few, here)
    again = compress._from_rounded(
        own, own.test[0], compress._range(own.codes(own.train[0])), 8
    ).numpy()
    rest = compress.remainder(few.test_x.numpy(), again)
    predicted = np.clip(np.round(again * 255), 0, 255).astype(np.int64)
    np.testing.assert_array_equal((predicted + rest) % 256, few.test_x.numpy())


def test_rounded_codes_take_so_many_values_and_0_stays():
    z = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)) * 3 - 1
    z[0] = 0
    low, high = z.amin(0), z.amax(0)
    found = compress.rounded(z, low, high, 3)
    assert (found[0] == 0).all()
    assert all(len(found[1:, d].unique()) == 8 for d in range(2))
    assert ((found - z).abs() <= (high - low) / 14 + 1e-6).all()


def test_the_rate_of_a_sparse_code_says_which_units_they_are(few, here):
    own = subject("k-sparse-ae", few, here, z=10)
    assert compress._rate(own, 8) == 2 * 8 + math.log2(45)
    assert compress._rate(subject("ae", few, here), 6) == 4 * 6


def test_bits_back_is_the_bound_in_bits(few, here):
    from codebase.evaluation.bounds import image_terms

    own = subject("vae", few, here)
    found = compress.measure(own, Namespace()).columns["bits per image"]
    nats = image_terms(own.model, own.test[0]).sum(0).mean().item()
    assert found["bits-back, nelbo / ln 2"].value == pytest.approx(nats / math.log(2))
    labelled = subject("ssvae", few, here)
    labelled.pixels = "grey"
    with pytest.raises(UserError, match="has a label in its code"):
        compress.measure(labelled, Namespace())


# Few labels


def test_the_frozen_encoder_is_left_as_it_is_and_the_tuned_one_is_not(few, here):
    own = subject("ae", few, here)
    before = {k: t.clone() for k, t in own.model.state_dict().items()}
    x, y = own.train[0][:50], few.train_y[:50]
    ways = dict(labels._classifiers(own.model, own.train[0], x, y, steps=3, seed=5))
    assert list(ways) == ["codes as they are", "encoder trained on", "encoder from scratch"]
    frozen, tuned, scratch = (way.model.state_dict() for way in ways.values())
    for key, t in before.items():
        assert torch.equal(frozen[key], t)
        assert torch.equal(own.model.state_dict()[key], t)
        if key.startswith("enc"):
            assert not torch.equal(tuned[key], t)
            assert (scratch[key] - t).abs().mean() > (tuned[key] - t).abs().mean()
        else:
            assert torch.equal(tuned[key], t)  # a decoder has no part in it


def test_the_head_is_scikit_learn_s_logistic_regression(few, here):
    from sklearn.linear_model import LogisticRegression

    own = subject("ae", few, here)
    classifier = labels.Classifier(own.model, own.train[0])
    x, y = own.train[0][:80], few.train_y[:80]
    labels.fit_head(classifier, x, y)
    z = codes(own.model, own.train[0])
    z = ((z - z.mean(0)) / z.std(0)).numpy()
    theirs = LogisticRegression(max_iter=2_000).fit(z[:80], y.numpy())
    with torch.no_grad():
        ours = classifier(own.train[0]).softmax(1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(z), atol=1e-3)


def test_where_there_is_no_encoder_nothing_is_trained(few, here):
    own = subject("svi", few, here)
    x, y = own.train[0][:30], few.train_y[:30]
    ways = labels._classifiers(own.model, own.train[0][:60], x, y, steps=1, seed=0)
    assert [name for name, _ in ways] == ["codes as they are"]


# The command line


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["ae", "vae"])
def test_each_use_of_a_finished_run(name, here, capsys, monkeypatch):
    monkeypatch.setattr(features, "EPOCHS", 0)
    monkeypatch.setattr(features, "LEAST", 5)
    words = ["--dataset", "digits", "--iter_max", "2", "--threads", "1", "--z", "3"]
    command.main(name, words=[*words, "--without", "4"], prog="run.py")
    (folder,) = (here / "checkpoints").iterdir()
    assert "without=4" in folder.name
    for what in front.USES.keys() - {"disentangle"}:  # of sprites: see test_disentanglement.py
        flags = ["--label_seeds", "1", "--steps", "2"] if what == "labels" else []
        command.named(["use", what, folder.name, "--data_dir", str(here), *flags])
        record = json.loads((folder / f"use-{what}.json").read_text())
        assert (record["use"], record["iterations"], record["without"]) == (what, 2, 4)
        values = [n["value"] for column in record["numbers"].values() for n in column.values()]
        assert values
        assert all(map(math.isfinite, values))
        assert f"{folder.name} after 2 iterations" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["use", "neighbors", "x"], "There is no use 'neighbors'; they are neighbours, anomaly"),
        (["use", "labels", "nowhere"], "There is no run 'nowhere'"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(words, said, here, capsys):
    with pytest.raises(SystemExit) as end:
        command.named(words)
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_classifier_alone_has_no_codes(digits, here):
    torch.manual_seed(0)
    model = CATALOGUE["ssvae"].build({"gw": 0.0}, "run")
    with pytest.raises(UserError, match="gives images no codes"):
        Subject(SavedRun(here, model, 0, "digits"), digits)


def test_without_is_not_for_a_classifier(here, capsys):
    with pytest.raises(SystemExit):
        command.main("ssvae", words=["--dataset", "digits", "--without", "3"], prog="run.py")
    assert "--without 3 is for models that are trained without labels" in capsys.readouterr().err


def test_the_uses_are_listed(capsys):
    for words in ([], ["use"]):
        command.named(words)
        said = capsys.readouterr().out
        assert all(what in said for what in front.USES)


# Quality


def test_samples_and_redrawn_images_are_held_against_images_that_are_not_their_own(
    few, here, monkeypatch
):
    """In no order, and without the digit that the run has not met; the mutant finds itself."""
    held = {}

    class Looking:
        path, sha256, accuracy = here / "features.pt", "0", {}

    def compared(x, real, _):
        held[len(held)] = x, real
        return {"class entropy": Number(2.0, None)}

    monkeypatch.setattr(quality, "features_of", lambda _: Looking())
    monkeypatch.setattr(quality, "compared", compared)
    run = subject("vae", few, here, without=3)
    found = quality.measure(run, Namespace(samples=1_000))
    names = list(found.columns)
    assert names == ["samples", quality.REDRAWN, quality.FLOOR]
    (_, real), (again, against), (floor, of_floor) = held.values()
    n = (few.test_y != 3).sum().item()
    assert {len(t) for pair in held.values() for t in pair} == {n} == {found.extra["images"]}
    assert torch.equal(real, of_floor)
    assert torch.equal(against, floor)
    kept = subsets.binarized_test(few)[few.test_y != 3]
    assert not torch.equal(real, kept)
    assert sorted(map(bytes, real.byte().numpy())) == sorted(map(bytes, kept.byte().numpy()))
    assert again.shape == real.shape
