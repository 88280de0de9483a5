"""The numbers of docs/autoencoders.md: what to run, collect and write.

python -m benchmarks.autoencoders commands   every run and use, a line each, for a queue
python -m benchmarks.autoencoders collect    finished runs of checkpoints/ and their uses, to
                                             results/autoencoders/
python -m benchmarks.autoencoders page       the page's tables, from results/autoencoders/
"""

import argparse
import json
import math
import re
import statistics
from pathlib import Path

from codebase.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results" / "autoencoders", ROOT / "docs" / "autoencoders.md"
SEEDS, SIZES = 3, (2, 5, 10, 32)
KEPT = "run", "model", "flags", "data", "device", "finished", "training", "numbers"
KEPT += "active_units", "zero_share"
NAMES = [name for name, entry in CATALOGUE.items() if entry.task == "reconstruction"]
BOTTLENECKS = "linear-ae", "ae", "stacked-ae", "conv-ae", "denoising-ae"
LARGE = (
    "k-sparse-ae",
    "l1-ae",
    "l1-ae --weight 0",
    "l1-ae --norm l2",
    "kl-ae",
    "kl-ae --weight 0",
    "contractive-ae",
    "contractive-ae --weight 0",
)
USED = ("ae --z 10", "stacked-ae --z 10", "denoising-ae --z 10", "k-sparse-ae", "contractive-ae")
USED += ("vae --z 10",)
NOISES = ("gaussian", "masking", "saltpepper")
RATES = {"gaussian": 0.3, "masking": 0.3, "saltpepper": 0.2}
# What sets a row apart: flags of a record that are not at their defaults, but for these.
ALIKE = {"run", "seed", "z", "threads", "iter_max", "runs", "jobs", "dataset", "data_dir", "device"}
ALIKE |= {"precision", "pretrain", "stack", "iter_eval", "iter_save", "figures", "eval_iw"}


# What to run


def commands(iter_max=None):
    """Lines of a shell: trainings, then uses of what they leave."""
    length = f" --iter_max {iter_max}" if iter_max else ""
    train = f"--runs {SEEDS} --threads 1{length}"
    # A training that is cut short has its layers' own cut short too.
    stacked = f"stacked-ae --pretrain {iter_max // 10}" if iter_max else "stacked-ae"

    def cut(words):
        return words.replace("stacked-ae", stacked)

    lines = [cut(f"{name} --z {z} {train}") for name in BOTTLENECKS for z in SIZES]
    lines += [f"{name} {train}" for name in (*LARGE, "vae --z 10")]
    denoisers = [f"denoising-ae --z 32 --noise {k} --rate {RATES[k]}" for k in NOISES]
    lines += [f"{name} {train}" for name in denoisers]
    left_out = [f"{m} --z 10 --without {d}" for m in ("ae", "vae") for d in range(10)]
    lines += [f"{name} --threads 1{length}" for name in left_out]
    lines = [f"python run.py {line}" for line in lines]
    for name in left_out:
        lines.append(f"python run.py use anomaly {_run_name(name, 0)} --threads 1")
    for seed in range(SEEDS):
        for what, names in (
            ("neighbours", USED),
            ("labels", USED),
            ("compress", ("ae --z 10", "ae --z 32", "vae --z 10")),
            ("denoise", (*denoisers, "ae --z 32", "vae --z 10")),
        ):
            for name in names:
                lines.append(f"python run.py use {what} {_run_name(cut(name), seed)} --threads 1")
    return lines


def _run_name(words, seed):
    """The run's name that these words and an id lead to."""
    from codebase.runs.flags import parser_of
    from codebase.runs.settings import run_name

    name, *flags = words.split()
    entry = CATALOGUE[name]
    p = parser_of(entry)
    values = vars(p.parse_args(flags))
    usual = {flag.name: flag.default for flag in p.flags}
    own = {flag.name for flag in (*entry.own, *p.flags) if flag.name not in ("z", "run")}
    apart = {k: values[k] for k in own if values[k] != usual[k]}
    return run_name(entry.layout(values), seed, apart)


# What they have left


def collect(folder):
    """Copies the records of finished runs on MNIST and of their uses, in the place of others."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    for path in RESULTS.glob("*.json"):
        path.unlink()
    for path in sorted(folder.glob("*/results.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        uses = {
            file.stem.removeprefix("use-"): json.loads(file.read_text(encoding="utf-8"))
            for file in sorted(path.parent.glob("use-*.json"))
        }
        if record["data"]["name"] != "mnist" or not (record["model"] in NAMES or uses):
            continue
        record["flags"].pop("data_dir", None)  # of the machine
        kept = {key: record.get(key) for key in KEPT} | {"uses": uses}
        (RESULTS / f"{record['run']}.json").write_text(
            json.dumps(kept, indent=2) + "\n", encoding="utf-8"
        )
        print(record["run"])


def records():
    """[(row, z, record)] of everything collected; row: the model with what sets it apart."""
    found = []
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        usual = CATALOGUE[record["model"]].defaults()
        flags = record["flags"]
        apart = {k: v for k, v in flags.items() if k in usual and v != usual[k] and k not in ALIKE}
        row = " ".join(
            [
                record["model"],
                *(
                    f"--{k} {v:g}" if isinstance(v, float) else f"--{k} {v}"
                    for k, v in apart.items()
                ),
            ]
        )
        found.append((row, flags.get("z"), record))
    return found


# The tables


def page():
    """docs/autoencoders.md with the tables as results/autoencoders/ has them now."""
    text, all_of = PAGE.read_text(encoding="utf-8"), records()
    for name, lines in TABLES.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{begin}.*?{end}", re.DOTALL)
        table = "\n".join(lines(all_of))
        text = pattern.sub(lambda _, t=table, b=begin, e=end: f"{b}\n{t}\n{e}", text)
    return text


def sizes(all_of):
    """Squared error by the size of the code, beside PCA's."""
    plain = [r for r in all_of if r[2]["flags"].get("without") is None]
    rows = {"PCA": {}} | {name: {} for name in BOTTLENECKS}
    for row, z, record in plain:
        if row in rows and z in SIZES:
            rows[row].setdefault(z, []).append(record)
    for z in SIZES:  # as it stands beside the others, the same for all seeds
        for name in BOTTLENECKS:
            for record in rows[name].get(z, [])[:1]:
                rows["PCA"].setdefault(z, [record["numbers"]["pca"]["error"]["value"]])
    lines = _head("model", *(f"{z} numbers" for z in SIZES), "iterations", "runs")
    for name, of in rows.items():
        cells = []
        for z in SIZES:
            values = of.get(z, [])
            if name != "PCA":
                values = [r["numbers"]["test"]["error"]["value"] for r in values]
            cells.append(_mean(values))
        runs = [r for found in of.values() for r in found] if name != "PCA" else []
        lines.append(_row(_code(name), *cells, *_length(runs)))
    return lines


def large(all_of):
    """The overcomplete ones."""
    lines = _head("model", "squared error", "share of zeros", "units in use", "iterations", "runs")
    rows = _grouped(all_of, lambda row, z, r: z == 1_000 and r["flags"].get("without") is None)
    for (row, _), found in rows.items():
        error = [r["numbers"]["test"]["error"]["value"] for r in found]
        zeros = statistics.mean(r["zero_share"] for r in found)
        used = statistics.mean(r["active_units"] for r in found)
        cells = _mean(error), f"{zeros:.1%}", f"{used:.0f}"
        lines.append(_row(_code(row), *cells, *_length(found)))
    return lines


def use(what, columns=None, digits=3):
    """A table of a use: a row for every run's model and column of the record."""

    def lines(all_of):
        rows = _grouped(all_of, lambda row, z, r: what in r["uses"])
        body, names = [], {}
        for (row, z), found in rows.items():
            records = [r["uses"][what] for r in found]
            for column in records[0]["numbers"]:
                cells = {}
                for name in records[0]["numbers"][column]:
                    cells[name] = _number([r["numbers"][column][name] for r in records], digits)
                names |= dict.fromkeys(cells)
                body.append((f"{_code(row)}, {z}", column, cells, _length(found)))
        head = _head("run, Z", "", *names, "iterations", "runs")
        return head + [
            _row(row, column, *(cells.get(n, "") for n in names), *length)
            for row, column, cells, length in body
        ]

    return lines


def digits_left_out(all_of):
    """AUROC of each digit, a row for each model and score."""
    rows = {}
    for row, z, record in all_of:
        found = record["uses"].get("anomaly")
        if not found or found["without"] is None:
            continue
        digit = found["without"]
        length = found["iterations"]
        for column, numbers in found["numbers"].items():
            key = f"{_code(row)}, {z}: {column}", length
            rows.setdefault(key, {})[digit] = numbers[f"digit {digit}"]["value"]
    lines = _head("run, Z: score", *range(10), "mean", "iterations")
    for (name, length), of in rows.items():
        cells = [f"{of[d]:.2f}" if d in of else "" for d in range(10)]
        mean = f"{statistics.mean(of.values()):.2f}" if len(of) == 10 else ""
        lines.append(_row(name, *cells, mean, f"{length:,}"))
    return lines


TABLES = {
    "sizes": sizes,
    "large": large,
    "neighbours": use("neighbours", digits=4),
    "anomaly": digits_left_out,
    "denoise": use("denoise", digits=2),
    "compress": use("compress", digits=1),
    "labels": use("labels"),
}


def _grouped(all_of, keep):
    """{(row, z): records} of those that are kept, in the order of the catalogue."""
    order = {name: i for i, name in enumerate(CATALOGUE)}
    rows = {}
    for row, z, record in sorted(all_of, key=lambda r: (order[r[0].split()[0]], r[0], r[1])):
        if keep(row, z, record):
            rows.setdefault((row, z), []).append(record)
    return rows


def _length(found):
    iterations = sorted({r["training"]["iterations"] for r in found})
    return " to ".join(
        f"{n:,}" for n in dict.fromkeys(iterations[:: max(len(iterations) - 1, 1)])
    ), (str(max((_runs(found)).values(), default=0)) if found else "")


def _runs(found):
    """How many runs each size has."""
    counts = {}
    for r in found:
        z = r["flags"].get("z")
        counts[z] = counts.get(z, 0) + 1
    return counts


def _mean(values, digits=2):
    if not values:
        return ""
    if len(set(values)) == 1:
        return f"{values[0]:.{digits}f}"
    se = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.{digits}f} ± {se:.{digits}f}"


def _number(found, digits):
    """Over the seeds; of a lone run, or where it depends on none, with its own standard error."""
    alike = len({n["value"] for n in found}) == 1
    if found and alike and found[0]["se"] is not None:
        return f"{found[0]['value']:.{digits}f} ± {found[0]['se']:.{digits}f}"
    return _mean([n["value"] for n in found], digits)


def _code(row):
    return row if row == "PCA" else f"`{row}`"


def _head(*names):
    return [_row(*names), "|---" * len(names) + "|"]


def _row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def main():
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("commands", "collect", "page"))
    parser.add_argument("--iter_max", type=int, help="of shorter trainings")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    args = parser.parse_args()
    if args.what == "commands":
        print("\n".join(commands(args.iter_max)))
    elif args.what == "collect":
        collect(args.checkpoints)
    else:
        PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
