"""What the scripts do with a trained model: numbers, table and pictures."""

from functools import partial

import torch
from torch.nn import functional as F
from tqdm import tqdm

from codebase import data, evaluate, figures, logs
from codebase.reference import BANDS, table

ROWS, COLUMNS = 10, 20  # the assignment's picture of 200 digits
PROJECTED = 1_000  # test images whose latents TensorBoard's projector shows


def watch_bounds(run, model, step):
    """Logs the bounds on the test subset, samples and reconstructions, at a checkpoint."""
    run.writer.lay_out(logs.BOUND)
    x, _ = data.test_subset(run.dataset)
    _log_test(run, evaluate.subset_bounds(model, x, run_iwae=False), step)
    with evaluate.seeded(run.args.seed):
        samples = model.sample_sigmoid(100)
        again = model.compute_sigmoid_given(model.enc(x)[0])
    _log_grid(run.writer, "samples", samples, step)
    _log_grid(run.writer, "reconstructions", figures.reconstructions(x, again), step)


def report_bounds(run, model, problem):
    """Problems 1 and 2: bounds on the test subset and on all test images, and 200 digits."""
    x, _ = data.test_subset(run.dataset)
    run_iwae = run.args.train != 1
    subset = evaluate.subset_bounds(model, x, run_iwae, least=5)
    test = data.binarized_test(run.dataset)
    full = evaluate.full_bounds(model, test) if hasattr(model, "negative_elbo_terms") else {}
    if iw := run.args.eval_iw:
        bar = partial(tqdm, desc=f"iwae-{iw}", unit=" images")
        full[f"iwae-{iw}"] = evaluate.full_iwae(model, test, iw, run.args.precision, bar)
    active = evaluate.active_units(model, test)
    print(f"\n{_title(run)}: nats per image, smaller is better")
    columns = {
        f"test subset ({len(x)})": subset,
        f"all test images ({len(run.dataset.test_x):,})": full,
    }
    print(table(columns, None if run.changed.keys() - {"precision"} else BANDS[problem]))
    print("± standard error: of the repeated estimate (subset), over the images (all)")
    print(f"active latent dimensions: {active} of {model.z_dim}")
    _warn_of_collapse(active < model.z_dim / 5 or subset["kl"].value < 0.1)

    with evaluate.seeded(run.args.seed):
        z = model.sample_z(ROWS * COLUMNS)
        probabilities = model.compute_sigmoid_given(z)
        samples = torch.bernoulli(probabilities)
        again = model.compute_sigmoid_given(model.enc(x)[0])
    figures.save_grid(run.output / "samples.png", samples, COLUMNS)
    figures.save_grid(run.output / "samples_probabilities.png", probabilities, COLUMNS)
    pairs = figures.reconstructions(x, again)
    figures.save_grid(run.output / "reconstructions.png", pairs, COLUMNS)
    _log_latents(run, model)
    run.finish({"subset": subset, "test": full}, active_units=active)
    _draw_figures(run, model)


def watch_classifier(run, model, step):
    """Logs test accuracy and cross-entropy at a checkpoint, and of the generative nets the bound
    on the test subset and what they draw.
    """
    run.writer.lay_out(logs.CLASSIFIER | (logs.BOUND if model.gen_weight else {}))
    numbers, _ = _classification(run, model)
    _log_test(run, numbers, step)
    if model.gen_weight:
        x, _ = data.test_subset(run.dataset)
        _log_test(run, evaluate.subset_bounds(model, x, run_iwae=False), step)
        with evaluate.seeded(run.args.seed):
            grid = class_conditional(model, 10)
        _log_grid(run.writer, "class_conditional", grid, step, columns=10)


def report_classifier(run, model):
    """Problem 3: accuracy, confusion matrix and, where they were trained, what the nets draw."""
    numbers, confusion = _classification(run, model)
    groups = {"test": numbers}
    print(f"\n{_title(run)}")
    usual = run.changed.keys() <= {"gw", "precision"}
    bands = BANDS.get(f"ssvae_gw={run.args.gw:g}") if usual else None
    print(table({f"test ({len(run.dataset.test_x):,} grey images)": numbers}, bands))
    if model.gen_weight:
        x, _ = data.test_subset(run.dataset)
        groups["subset"] = evaluate.subset_bounds(model, x, run_iwae=False)
        print("\nbound on the test subset, nats per image")
        print(table({f"test subset ({len(x)})": groups["subset"]}))
        _warn_of_collapse(groups["subset"]["kl_z"].value < 0.1)
        with evaluate.seeded(run.args.seed):
            grid = class_conditional(model, COLUMNS)
            rows = analogies(model, x[::10], F.one_hot(predicted(model, x[::10]), model.y_dim))
        figures.save_grid(run.output / "class_conditional.png", grid, COLUMNS)
        figures.save_grid(run.output / "analogies.png", rows, model.y_dim + 1)
        _log_latents(run, model)
    figures.save_confusion(run.output / "confusion.png", confusion)
    run.finish(groups, confusion=confusion.tolist())
    _draw_figures(run, model)


def class_conditional(model, columns):
    """Pixel probabilities, a row per label, a column per z: (Y · columns, 784)."""
    z = model.sample_z(columns)
    labels = torch.eye(model.y_dim, device=z.device).unsqueeze(1)  # (Y, 1, Y)
    z = z.expand(model.y_dim, *z.shape)
    return model.compute_sigmoid_given(z, labels).flatten(0, 1)


def analogies(model, x, y):
    """An image, then its z decoded with every label: (B, 784), one-hot (B, Y) → (B·(1+Y), 784)."""
    z, _ = model.enc(x, y.to(x))
    labels = torch.eye(model.y_dim, device=z.device).unsqueeze(1)  # (Y, 1, Y)
    drawn = model.compute_sigmoid_given(z.expand(model.y_dim, *z.shape), labels)  # (Y, B, 784)
    return torch.cat([x.unsqueeze(0), drawn]).transpose(0, 1).flatten(0, 1)


def predicted(model, x):
    """The likeliest label of each image, (B,)."""
    return model.cls(x).argmax(-1)


def _classification(run, model):
    x, y = data.grey(run.dataset.test_x), run.dataset.test_y
    return evaluate.classification(model, x, y)


def _draw_figures(run, model):
    if run.args.figures:
        from codebase.figures import book  # scikit-learn and matplotlib take seconds to import

        others = book.other_datasets(run.dataset.name, run.args.data_dir)
        study = book.Study(model, run.dataset, run.name, run.args.seed, others)
        book.draw(study, run.output / "figures")


def _warn_of_collapse(collapsed):
    if collapsed:
        print("*** WARNING: the posterior has collapsed; z says next to nothing about x.")


def _title(run):
    note = "" if run.dataset.name == "mnist" else f" — {run.dataset.name.upper()}, NOT MNIST"
    return f"{run.name} after {run.args.iter_max:,} iterations{note}"


def _log_test(run, numbers, step):
    logs.log_summaries(run.writer, {f"test/{name}": n.value for name, n in numbers.items()}, step)


def _log_latents(run, model):
    """Posterior means of test images for the projector, once the model is trained."""
    if run.writer is None:
        return  # --train 0
    every = slice(None, None, -(-len(run.dataset.test_x) // PROJECTED))
    means, _ = evaluate.posteriors(model, data.binarized_test(run.dataset)[every])
    x, y = data.grey(run.dataset.test_x[every]), run.dataset.test_y[every]
    run.writer.add_latents(means, x, y, run.args.iter_max)


def _log_grid(writer, tag, images, step, columns=COLUMNS):
    writer.add_image(tag, figures.grid(images, columns), step, dataformats="HW")
