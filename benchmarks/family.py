"""The family's numbers: what a step costs, what runs have left, and the tables of docs/models.md.

    python -m benchmarks.family cost [NAME …]   a step's time over the VAE's, to results/family/;
                                                with --z 50 of such latents, on both sides
    python -m benchmarks.family collect         finished runs of checkpoints/, to results/family/
    python -m benchmarks.family page            the tables of docs/models.md, from results/family/

The runs are `python run.py NAME --runs 3 --threads 1 --eval_iw 500`, the rest at its default.
"""

import argparse
import json
import math
import statistics
import textwrap
import time
from pathlib import Path

from benchmarks.machine import facts
from codebase.catalogue import CATALOGUE
from codebase.report import evidence

# Their numbers are of another kind, and in the pages of their own.
ELSEWHERE = "reconstruction", "exact", "adversarial", "diffusion"
ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results" / "family", ROOT / "docs" / "models.md"
SEEDS, IW = range(3), 500
KEPT = "run", "flags", "data", "device", "versions", "finished", "training", "numbers"
COST = "cost.json"


# What a step costs


def cost(names, data_dir, z=None, rounds=9, seconds=0.7):
    """{name: median ratio of a step's time to the VAE's}, each beside the VAE, taking turns.

    Args:
        z: latent dimensions of both, which the name then says; None: as many as they have.
    """
    import torch

    from codebase.data import datasets

    torch.set_num_threads(1)
    dataset = datasets.load("mnist", data_dir)
    own = {} if z is None else {"z": z}
    vae, found = _step("vae", dataset, own), {}
    for name in names:
        other = _step(name, dataset, own)
        pairs = [(_seconds(vae, seconds), _seconds(other, seconds)) for _ in range(rounds)]
        ratio = statistics.median(theirs / mine for mine, theirs in pairs)
        found[name if z is None else f"{name} --z {z}"] = ratio
        print(f"{name:22} {ratio:.2f}", flush=True)
    return found


def _step(name, dataset, own):
    import torch

    from codebase.data import subsets
    from codebase.data.batches import Batches, grey, seeded_generator
    from codebase.data.stream import Stream
    from codebase.engine.graph import captured
    from codebase.engine.step import Step

    torch.manual_seed(0)
    entry = CATALOGUE[name]
    model = entry.build(entry.defaults() | own, name)
    model.prepare(lambda: grey(dataset.train_x))
    model.allow_data_dependent_shapes()
    loader = Batches(dataset.train_x, dataset.train_y, 97, seeded_generator(0))
    labelled = subsets.labelled(dataset) if model.abilities.classifier else None
    plain = Step(model.train(), Stream(loader, labelled, "cpu", model.abilities.pixels))
    step = captured(plain)
    for _ in range(20):
        step()
    return step


def _seconds(step, least):
    """Of one step, from as many as take that long."""
    began, steps = time.perf_counter(), 0
    while (so_far := time.perf_counter() - began) < least:
        step()
        steps += 1
    return so_far / steps


# What runs have left


def collect(folder):
    """Copies the record of every finished default run, with its difference to the VAE's."""
    RESULTS.mkdir(exist_ok=True)
    for entry in CATALOGUE.values():
        for seed in SEEDS:
            run = _run(folder, entry, seed)
            if not run:
                continue
            record = json.loads((run / "results.json").read_text(encoding="utf-8"))
            record["flags"].pop("data_dir", None)  # of the machine
            kept = {key: record[key] for key in KEPT} | {
                "active_units": record.get("active_units"),
                "over_vae": None if evidence.is_grey(record) else _over_vae(folder, run, seed),
            }
            path = RESULTS / f"{entry.name}_seed={seed}.json"
            path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            print(path.name)


def _run(folder, entry, seed):
    """The folder of a run at its defaults with IWAE of all test images, or None."""
    path = folder / f"{entry.layout(entry.defaults())}_run={seed:04d}"
    record = path / "results.json"
    if not record.exists():
        return None
    numbers = json.loads(record.read_text(encoding="utf-8"))["numbers"]
    return path if f"iwae-{IW}" in numbers.get("test", {}) else None


def _over_vae(folder, run, seed):
    """{number: [mean, s.e.] of the differences on the same bits, image by image}, or None."""
    vae = _run(folder, CATALOGUE["vae"], seed)
    if vae in (None, run) or not (run / "per_image.npz").exists():
        return None
    return evidence.differences(run, vae)


# The table


def page():
    """docs/models.md with both tables as the catalogue and results/family/ have them now."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in (("models", listed()), ("measured", table())):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = before + begin + "".join(f"{line}\n" for line in lines) + end + rest.split(end)[1]
    return text


def listed():
    """Lines of a Markdown table: name, line and source of every model, and what that reports."""
    rows = [f"| `{e.name}` | {e.line} | {e.source} | {e.claim} |" for e in CATALOGUE.values()]
    return ["| name | what it is | source | which reports |", "|---|---|---|---|", *rows]


def table():
    """Lines of a Markdown table, a row for each model that was run or timed, and who was not."""
    costs = json.loads((RESULTS / COST).read_text("utf-8")) if (RESULTS / COST).exists() else {}
    head = ["model", "nelbo", "kl", "rec", f"IWAE-{IW}", "over the VAE's", "active", "s", "step"]
    lines, missing = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"], []
    for name, entry in CATALOGUE.items():
        if entry.task in ELSEWHERE:
            continue
        found = [path for seed in SEEDS if (path := RESULTS / f"{name}_seed={seed}.json").exists()]
        records = [json.loads(path.read_text(encoding="utf-8")) for path in found]
        ratio = costs.get("step", {}).get(name)
        if not records:
            missing.append(f"`{name}`")
        if records or ratio:
            cells = _cells(records) if records else ["not run"] + [""] * 6
            grey = any(evidence.is_grey(record) for record in records)
            cells = [f"`{name}`" + ", grey pixels" * grey, *cells, f"{ratio:.2f}" if ratio else ""]
            lines.append("| " + " | ".join(cells) + " |")
    if missing:
        text = f"Not run in this way so far: {', '.join(missing)}."
        lines += ["", *textwrap.wrap(text, 104, break_on_hyphens=False)]
    return lines


def _cells(records):
    """Of a model's runs: means over the seeds, ± their standard error where there are several."""
    numbers = [{name: n["value"] for name, n in r["numbers"]["test"].items()} for r in records]
    kl = [sum(v for name, v in n.items() if name.startswith("kl")) for n in numbers]
    cells = [
        _mean([n["nelbo"] for n in numbers]),
        _mean(kl),
        _mean([n["rec"] for n in numbers]),
        _mean([n[f"iwae-{IW}"] for n in numbers if f"iwae-{IW}" in n]),
        _difference([r["over_vae"] for r in records if r["over_vae"]]),
    ]
    active = [r["active_units"] for r in records if r["active_units"] is not None]
    cells.append(f"{statistics.mean(active):.1f}" if active else "")
    return [*cells, f"{statistics.median(r['training']['seconds'] for r in records):.0f}"]


def _mean(values):
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.2f} (1 seed)"
    return f"{statistics.mean(values):.2f} ± {_se(values):.2f}"


def _difference(found):
    """Of the IWAE bounds, on the same bits: over the seeds, or of one by its images."""
    pairs = [own[f"iwae-{IW}"] for own in found if f"iwae-{IW}" in own]
    if not pairs:
        return ""
    means = [mean for mean, _ in pairs]
    se = _se(means) if len(means) > 1 else pairs[0][1]
    return f"{statistics.mean(means):+.2f} ± {se:.2f}"


def _se(values):
    return statistics.stdev(values) / math.sqrt(len(values))


def main():
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("cost", "collect", "page"))
    parser.add_argument("names", nargs="*", help="of the catalogue; all of them by default")
    parser.add_argument("--z", type=int, help="latent dimensions, of what a step costs")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if args.what == "cost":
        path = RESULTS / COST
        before = json.loads(path.read_text("utf-8"))["step"] if path.exists() else {}
        found = before | cost(args.names or list(CATALOGUE), args.data_dir, args.z)
        content = {"step": found, "machine": facts()}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    elif args.what == "collect":
        collect(args.checkpoints)
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
