"""The family's numbers: what a step costs, and the tables of docs/models.md.

    python -m benchmarks.family cost [NAME …]   a step's time over the VAE's, to results/;
                                                with --z 50 of such latents, on both sides
    python -m benchmarks.family page            the tables, from the catalogue and results/

The runs are `python run.py NAME --runs 3 --threads 1 --eval_iw 500`, the rest at its default, and
`run_comparison.py --add` puts them into results/.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from benchmarks.machine import facts
from codebase.catalogue import CATALOGUE
from codebase.report import columns, comparison, evidence
from codebase.report.page import table

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "models.md"
# The tasks whose numbers are of another kind, and in pages of their own.
ELSEWHERE = "reconstruction", "exact", "adversarial", "diffusion", "completion"
SHOWN = (
    *("test images", "nelbo", "kl", "rec", "IWAE", "IWAE − VAE's", "accuracy", "active"),
    *("s", "step", "runs"),
)


# What a step costs


def cost(names, data_dir, z=None, rounds=9, seconds=0.7):
    """{name: {"ratio", "low", "high"}} of a step's time to the VAE's, each beside the VAE.

    The two take turns, the first one by turns too; median, lowest and highest over the rounds.

    Args:
        z: latent dimensions of both, which the name then says; None: as many as they have.
    """
    import torch

    from codebase.data import datasets
    from codebase.engine.memory import keep_memory

    keep_memory()  # as every run does
    torch.set_num_threads(1)
    dataset = datasets.load("mnist", data_dir)
    own = {} if z is None else {"z": z}
    vae, found = _step("vae", dataset, own), {}
    for name in names:
        other, ratios = _step(name, dataset, own), []
        for i in range(rounds):
            first, second = (vae, other) if i % 2 else (other, vae)
            took = {id(step): _seconds(step, seconds) for step in (first, second)}
            ratios.append(took[id(other)] / took[id(vae)])
        ratio, low, high = statistics.median(ratios), min(ratios), max(ratios)
        label = name if z is None else f"{name} --z {z}"
        found[label] = {"ratio": ratio, "low": low, "high": high}
        print(f"{label:22} {ratio:.2f} ({low:.2f}–{high:.2f})", flush=True)
    return found


def _step(name, dataset, own):
    import torch

    from benchmarks import sides
    from codebase.data.batches import grey
    from codebase.engine.graph import captured
    from codebase.evaluation import features

    torch.manual_seed(0)
    entry = CATALOGUE[name]
    model = entry.build(entry.defaults() | own, name)
    model.prepare(lambda: grey(dataset.train_x))
    features.give(model.modules(), dataset)
    model.allow_data_dependent_shapes()
    step = captured(sides.plain_step(model, dataset))
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


# The tables


def page():
    """docs/models.md with both tables as the catalogue and results/ have them now."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in (("models", listed()), ("measured", measured())):
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = before + begin + "".join(f"{line}\n" for line in lines) + end + rest.split(end)[1]
    return text


def listed():
    """Lines of a Markdown table: name, line and source of every model, and what that reports."""
    rows = [f"| `{e.name}` | {e.line} | {e.source} | {e.claim} |" for e in CATALOGUE.values()]
    return ["| name | what it is | source | which reports |", "|---|---|---|---|", *rows]


def measured():
    """Lines of a Markdown table, a row for each model with a posterior, at its defaults, and for
    the presets that were run.
    """
    steps = comparison.step_costs(RESULTS)
    every = [*columns.nats(), *columns.codes(), *columns.cost(steps)]
    shown = [column for column in every if column[0] in SHOWN]
    rows = [
        [group.name + ", grey pixels" * group.grey, *(cell(group) for _, cell in shown)]
        for group in evidence.groups(RESULTS)
        if group.data == "mnist" and not group.flags
        if group.name == group.entry.name or group.runs
        if group.entry.task not in ELSEWHERE
    ]
    return table(["model", *(name for name, _ in shown)], rows).splitlines()


def main():
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("cost", "page"))
    parser.add_argument("names", nargs="*", help="of the catalogue; all of them by default")
    parser.add_argument("--z", type=int, help="latent dimensions, of what a step costs")
    parser.add_argument("--data_dir", default="data")
    args = parser.parse_args()
    if args.what == "cost":
        path = RESULTS / comparison.STEP_COST
        before = json.loads(path.read_text("utf-8")) if path.exists() else {}
        here = facts()  # before it is busy with this
        found = cost(args.names or list(CATALOGUE), args.data_dir, args.z)
        content = {
            "step": before.get("step", {}) | found,
            "machine": before.get("machine", {}) | dict.fromkeys(found, here),
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
