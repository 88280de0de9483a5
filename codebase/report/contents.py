"""The report: what stands in it, in the assignment's order."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image

from codebase.data import datasets, subsets
from codebase.engine.devices import device as device_named
from codebase.errors import UserError
from codebase.evaluation.tables import text
from codebase.files import disk, records
from codebase.report import compare, numbers, sweep
from codebase.report.page import MISSING, html, picture, table
from codebase.report.recorded import BETAS, EXPERIMENTS, Z, of_beta, read
from codebase.report.training import train_missing

DIGITS = "samples", "samples_probabilities"
NUMBER = "", "reference", "mean ± s.e.", "runs", "runs inside", "one run's noise"


@dataclass(frozen=True)
class Report:
    """Everything the sections are made of."""

    args: object
    dataset: datasets.Dataset
    runs: dict  # {experiment's key: Runs}
    rows: dict  # {the same key: [Row]}
    points: list  # a sweep.Point for every β
    pairs: list  # compare.Pair
    drawn: dict  # {"vae", "gmvae": (Recorded, paths of the pictures DIGITS), or None}
    figure: Path | None  # of β

    @property
    def comparable(self):
        """Whether the reference bands apply."""
        return _comparable(self.args, self.dataset)


def _comparable(args, dataset):
    return dataset.name == "mnist" and args.iter_max is None


def write(args):
    """Writes report.md, report.html, results.json and the pictures into args.out.

    Args:
        args: what `flags.report_parser` parsed.
    Raises:
        UserError: a file of a run is damaged, a script that trained what was missing failed, or
            the folder cannot be written.
    """
    if args.threads:
        torch.set_num_threads(args.threads)
    device = device_named(args.device)
    dataset = datasets.load(args.dataset, args.data_dir).to(device)
    sha256 = dataset.sha256()

    def on_disk(key):
        return read(EXPERIMENTS[key], args.runs, dataset.name, sha256, args.iter_max)

    runs = {key: on_disk(key) for key in EXPERIMENTS}  # what is damaged is known before training
    if args.train:
        left = sum(len(r.missing) for r in runs.values())
        for key in runs:
            if runs[key].missing:
                print(f"\n{left} of {args.runs * len(runs)} runs are still to be trained")
                left -= len(runs[key].missing)
            train_missing(runs[key], lambda key=key: on_disk(key), args, dataset.name)
        runs = {key: on_disk(key) for key in EXPERIMENTS}
    out = Path(args.out)
    disk.make_folder(out)
    report = _measure(args, dataset, runs, out, device)
    records.write(out / "results.json", _record(report, sha256))
    content = "\n\n".join(_sections(report)) + "\n"
    _write(out / "report.md", content)
    _write(out / "report.html", html(content, out))
    missing = sum(len(r.missing) for r in runs.values())
    print(f"\nreport: {out / 'report.html'}, {out / 'report.md'}; numbers: {out / 'results.json'}")
    if missing:
        way = "shown as missing" if args.train else "--train trains them"
        count = missing + sum(len(r.found) for r in runs.values())
        print(f"{missing} of {count} runs are not there: {way}.")


def _measure(args, dataset, runs, out, device):
    test = subsets.binarized_test(dataset)
    x = subsets.test_subset(dataset)[0][::10]  # one of each class
    comparable = _comparable(args, dataset)
    rows = {
        key: numbers.rows(key, runs[key], "subset", numbers.BOUNDS, comparable)
        for key in ("vae", "gmvae")
    } | {
        key: numbers.rows(key, runs[key], "test", ("accuracy", "ce"), comparable)
        for key in ("ssvae_gw=0", "ssvae_gw=1")
    }
    points = [sweep.point(beta, runs[of_beta(beta)], x, test, device) for beta in BETAS]
    pairs = compare.pairs(runs["vae"], runs["gmvae"], test, device)
    drawn = {key: _drawn(runs[key], key, out) for key in ("vae", "gmvae")}
    figure = out / "beta.png" if any(p.runs for p in points) else None
    if figure:
        sweep.save_figure(figure, points, x, Z)
    return Report(args, dataset, runs, rows, points, pairs, drawn, figure)


def _drawn(runs, key, out):
    """Copies the pictures of 200 digits of the first run that has them.

    Returns:
        The run and the copies' paths; None if no run has them.
    Raises:
        UserError: one is damaged.
    """
    for run in runs.found:
        paths = [run.folder / f"{kind}.png" for kind in DIGITS]
        if all(path.exists() for path in paths):
            return run, [_copied(path, out / f"{key}_{path.name}") for path in paths]
    return None


def _copied(path, to):
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError) as error:
        raise UserError(
            f"{path} is damaged: {error}. Without it, it is shown as missing."
        ) from error
    with disk.atomic(to) as file:
        file.write(path.read_bytes())
    return to


def _write(path, content):
    with disk.atomic(path) as file:
        file.write(content.encode())


# Sections, each a string of Markdown


def _sections(report):
    return [
        *_opening(report),
        "## Problem 1: VAE",
        *_bounds(report, "vae", "1.3 Bounds"),
        *_digits(report, "vae", "1.4 Digits sampled from p(x)"),
        *_beta(report),
        "## Problem 2: GMVAE",
        *_bounds(report, "gmvae", "2.2 Bounds"),
        *_digits(report, "gmvae", "2.3 Digits sampled from p(x)"),
        *_pairs(report),
        "## Problem 3: SSVAE",
        *_accuracy(report, "ssvae_gw=0", "3.1 The classifier alone, gw = 0"),
        *_accuracy(report, "ssvae_gw=1", "3.3 Semi-supervised, gw = 1"),
        *_runs(report),
    ]


def _opening(report):
    dataset, args = report.dataset, report.args
    there = sum(len(r.found) for r in report.runs.values())
    wanted = sum(r.wanted for r in report.runs.values())
    mnist = dataset.name == "mnist"
    yield f"# VAE, GMVAE and SSVAE on binarized {'MNIST' if mnist else dataset.name}"
    if not mnist:
        yield (
            f"**The data are {dataset.name}, not MNIST: the assignment's reference bands do not "
            "apply, and none of these numbers compares with MNIST's.**"
        )
    if args.iter_max:
        yield (
            f"**Trained for {args.iter_max:,} iterations, by --iter_max, instead of the "
            "assignment's 20,000 and 30,000"
            f"{': the reference bands do not apply' if mnist else ''}.**"
        )
    yield (
        "Nats per image, summed over pixels and latent dimensions; smaller is better, but for the "
        "accuracy. *mean ± s.e.*: over training runs (seeds), the standard error of that mean. "
        "*one run's noise*: the standard error of a single run's estimate, over repeated "
        "evaluations or, of accuracy and ce, over the test images."
        + (" *reference*: the graders' two-sided bands." if report.comparable else "")
    )
    if there < wanted:
        yield (
            f"**{wanted - there} of the {wanted} runs are missing** and are shown so; nothing "
            "stands in for them. The last section lists them."
        )


def _bounds(report, key, title):
    runs = report.runs[key]
    n = f"{len(report.dataset.test_x):,}"
    yield f"### {title}"
    yield _number_table(report, key, [f"all {n} test images"])
    yield (
        "On the 100 binarized images of the test subset; nelbo, kl and rec of a run are means of "
        f"100 repeats. The last column: all {n} binarized test images, one sample each."
        f"{_absent(runs)}"
    )
    if runs.lacks_iwae():
        yield "Not every finished run was evaluated with the IWAE bounds; --train does it."


def _accuracy(report, key, title):
    yield f"### {title}"
    yield _number_table(report, key)
    yield (
        f"On all {len(report.dataset.test_x):,} grey test images; ce is the cross-entropy, "
        f"−log q(y|x), in nats.{_absent(report.runs[key])}"
    )


def _number_table(report, key, more=()):
    """Rows of numbers; the columns of the reference only where it applies."""
    wanted = report.runs[key].wanted
    heading, rows = [*NUMBER, *more], []
    for row in report.rows[key]:
        cells = numbers.cells(row, wanted)
        if more:
            taken = row.name in compare.NAMES  # IWAE bounds are taken on the subset alone
            cells.append((text(row.elsewhere) or None) if taken else "")
        rows.append(cells)
    if not report.comparable:
        heading, *rows = ([c for i, c in enumerate(r) if i not in (1, 4)] for r in [heading, *rows])
    return table(heading, rows)


def _absent(runs):
    if not runs.missing:
        return ""
    return f" Missing: {len(runs.missing)} of {runs.wanted} runs."


def _digits(report, key, title):
    yield f"### {title}"
    if report.drawn[key] is None:
        yield f"*{MISSING}: the pictures of 200 digits.*"
        return
    run, (samples, probabilities) = report.drawn[key]
    yield picture(samples, f"200 digits drawn from p(x), {run.name}")
    yield picture(probabilities, "The same 200: the probabilities their pixels were drawn with")


def _beta(report):
    yield "### 1.5 What β does"
    yield "The loss is rec + β·kl; the numbers below are rec and kl themselves."
    yield picture(
        report.figure,
        "Above: rec and kl, and the active dimensions of z, over β. Below, two rows for every β: "
        "pixel probabilities of ten digits drawn, from the same ten z of the prior, and of the "
        "test images reconstructed",
    )
    heading = ["β", "runs", "rec", "kl", "rec + kl", "active", "pixel entropy"]
    rows = [
        [f"{p.beta:g}", f"{p.runs} of {report.args.runs}"]
        + [text(n) or None for n in (p.rec, p.kl, p.nelbo)]
        + [numbers.tenths(n) for n in (p.active, p.entropy)]
        for p in report.points
    ]
    yield table(heading, rows)
    yield (
        f"Means over the runs, ± standard error over them. *active*: of the {Z} latent dimensions, "
        "those whose posterior mean has a variance over 0.01 on the test images. *pixel entropy*: "
        "Σ H(p) over the pixels of digits drawn from the prior, in nats an image."
    )
    first, *rest = sweep.reading(report.points, Z)
    yield first
    if rest:
        yield "\n".join(f"- {sentence}" for sentence in rest)


def _pairs(report):
    yield "### VAE and GMVAE on the same pixels"
    if not report.pairs:
        yield "*missing: it takes a VAE and a GMVAE of one run id, with their checkpoints.*"
        return
    rows = [
        [
            str(p.run),
            *(numbers.hundredths(n["nelbo"]) for n in (p.vae, p.gmvae, p.difference)),
            f"{p.unpaired_se:.2f}",
            f"{100 * p.better:.1f}%",
        ]
        for p in report.pairs
    ]
    heading = ["run", "VAE", "GMVAE", "VAE − GMVAE", "s.e. unpaired", "GMVAE lower"]
    yield table(heading, rows)
    n = f"{len(report.dataset.test_x):,}"
    yield (
        f"nelbo on all {n} test images, binarized once, the same pixels for both; ± standard error "
        "over the images. The difference is taken image by image, so its standard error leaves out "
        "what makes an image hard for both; *s.e. unpaired* is what two different sets of images "
        "would give. *GMVAE lower*: share of the images whose nelbo the GMVAE makes smaller."
    )
    yield compare.reading(report.pairs)


def _rate(training):
    """Iterations a second, and of how many runs at once if of several."""
    rate, runs = training.get("iterations_per_second", ""), training.get("runs_at_once", 1)
    return f"{rate} ({runs} at once)" if runs > 1 else str(rate)


def _runs(report):
    yield "## Runs"
    rows = []
    for key, runs in report.runs.items():
        group, name = ("test", "accuracy") if key.startswith("ssvae") else ("subset", "nelbo")
        for run in runs.found:
            training = run.content["training"]
            commit = str(run.content["versions"].get("git_commit") or "")
            rows.append(
                [
                    run.name,
                    f"{name} {text(run.number(group, name)) or MISSING}",
                    f"{run.iter_max:,}",
                    _rate(training),
                    commit[:10] + "+" * commit.endswith("+"),
                ]
            )
    yield table(["run", "number ± its noise", "iterations", "it/s", "commit"], rows)
    missing = [line for runs in report.runs.values() for line in _missing(runs)]
    if missing:
        yield "### Missing"
        yield "\n".join(missing)


def _missing(runs):
    """A line for every reason why runs of an experiment are missing."""
    for reason in dict.fromkeys(runs.missing.values()):
        ids = ", ".join(str(i) for i, why in runs.missing.items() if why == reason)
        yield f"- {runs.experiment.title}: {reason}: run {ids}"


# results.json


def _record(report, sha256):
    return {
        "dataset": {"name": report.dataset.name, "sha256": sha256},
        "runs": report.args.runs,
        "iter_max": report.args.iter_max,
        "reference_applies": report.comparable,
        "numbers": {
            key: {row.name: numbers.record(row) for row in rows}
            for key, rows in report.rows.items()
        },
        "beta": [sweep.record(p, Z) for p in report.points],
        "pairs": [asdict(p) | {"unpaired_se": p.unpaired_se} for p in report.pairs],
        "pairs_over_seeds": {
            name: d and asdict(d)
            for name in compare.NAMES
            for d in [compare.over_seeds(report.pairs, name)]
        },
        "missing": {
            key: {str(i): why for i, why in runs.missing.items()}
            for key, runs in report.runs.items()
            if runs.missing
        },
    }
