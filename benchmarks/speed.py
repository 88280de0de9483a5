"""Measures this project beside a textbook solution and beside what the machine could do.

Checks first that both sides compute and reach the same loss. Then they take turns, each in
processes of its own, and ratios are medians over pairs of neighbouring measurements. Run it on an
otherwise idle machine:

    python benchmarks/speed.py --json speed.json
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, measure, report, startup
from benchmarks.measure import Setting, alternate, task

MODELS = "vae", "gmvae", "ssvae_gw1", "ssvae_gw0"
GROWTH_STEPS = 250, 500, 1_000, 2_000, 4_000
GROWTH_BATCHES = 10, 25, 50, 97, 200, 400, 800, 1_600
GROWTH_K = 250, 500, 1_000, 5_000


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    add("--rounds", type=int, default=7, help="measurements of each side (default 7)")
    add("--data_dir", default="data", help="folder that holds MNIST/raw (default data)")
    add("--threads", type=int, default=0, help="CPU threads of all sides; 0: torch's own choice")
    add("--models", nargs="+", choices=MODELS, default=MODELS, help="default: all")
    add("--json", type=Path, metavar="FILE", help="writes everything here too")
    add("--profile", action="store_true", help="also where the time of a step goes")
    add("--busy", action="store_true", help="also the VAE beside another busy process")
    add("--growth", action="store_true", help="also cost by iterations, batch size and components")
    add("--whole", action="store_true", help="also the time of all of run_vae.py at its defaults")
    add("--all", action="store_true", help="all four of these")
    add(
        "--quick",
        action="store_true",
        help="a smoke run, on scikit-learn's digits where there is no MNIST; measures nothing",
    )
    args = p.parse_args()
    if args.seconds <= 0 or args.rounds < 1 or args.threads < 0:
        p.error("--seconds is above 0, --rounds at least 1, --threads at least 0")
    for name in ("profile", "busy", "growth", "whole"):
        setattr(args, name, getattr(args, name) or (args.all and not args.quick))
    if args.quick:
        args.seconds, args.rounds = min(args.seconds, 0.2), min(args.rounds, 2)
    has_mnist = (Path(args.data_dir) / "MNIST/raw/train-images-idx3-ubyte").exists()
    if not has_mnist and not args.quick:
        p.error(f"no MNIST in {args.data_dir}; name its folder with --data_dir, or try --quick")
    args.dataset = "mnist" if has_mnist else "digits"
    return args


def main():
    args = arguments()
    sys.stdout.reconfigure(line_buffering=True)  # each table as soon as it is known
    data_dir = str(Path(args.data_dir).resolve())
    setting = Setting(args.dataset, data_dir, args.threads, args.seconds, args.rounds)
    results = {"machine": machine.facts(), "setting": asdict(setting) | {"data_dir": args.data_dir}}
    _warn_if_busy(results["machine"])

    results["checks"] = {}
    steps, seeds = (30, 2) if args.quick else (300, 3)
    for model in args.models:
        spec = setting.spec(task="check", model=model, steps=steps, seeds=seeds)
        results["checks"][model] = task(spec)
    print(report.checks(results["checks"]), "\n")
    wrong = [model for model, check in results["checks"].items() if not check["same"]]
    if wrong:
        _write(args.json, results)
        print(f"No speeds: the two sides' losses differ for {', '.join(wrong)}.", file=sys.stderr)
        raise SystemExit(1)

    bandwidth = task(setting.spec(task="bandwidth"))
    bf16 = bandwidth["native_bf16"]
    results["machine"] |= {
        "torch": bandwidth["torch"],
        "threads": bandwidth["threads"],
        "native_bf16": bf16,
        "copy_bytes_per_second": bandwidth["bytes_per_second"],
    }
    results["speeds"] = {model: speeds(model, setting, bf16) for model in args.models}
    print(_heading(results["machine"], setting), report.speeds(results["speeds"]), "", sep="\n")

    results["ratios"] = comparisons(setting)
    for name, ratio in results["ratios"].items():
        print(f"{name}: {report.ratio(ratio)}")
    results["iwae"] = task(setting.spec(task="memory", iw=100 if args.quick else 1_000))
    iwae = results["iwae"]
    print(
        f"evaluating IWAE-{iwae['iw']:,} with k={iwae['k']} on 100 images: "
        f"{report.megabytes(iwae['added'])} MB more, {iwae['seconds']:.1f} s"
    )
    results["startup"] = {
        "help_seconds": startup.seconds_of_help(),
        "first_step_seconds": startup.seconds_to_first_step(setting),
    }
    print(
        f"run_vae.py: --help {results['startup']['help_seconds']:.2f} s, first training step after "
        f"{results['startup']['first_step_seconds']:.2f} s"
    )
    if args.whole:
        results["startup"]["whole_run_seconds"] = startup.seconds_of_a_run(setting)
        seconds = results["startup"]["whole_run_seconds"]
        print(f"run_vae.py at its defaults, from start to finish: {seconds:.1f} s")
    if args.busy:
        results["busy"] = beside_a_busy_process(setting)
        for name, ratio in results["busy"].items():
            print(f"VAE's speed beside a busy process, {name}: {report.share(ratio)} of its own")
    if args.profile:
        steps = 20 if args.quick else 100
        results["breakdown"] = {
            model: task(setting.spec(task="breakdown", model=model, steps=steps))
            for model in args.models
        }
        print("", report.breakdown(results["breakdown"]), sep="\n")
    if args.growth:
        results["growth"] = growth(setting)
        print("", report.growth(results["growth"]), sep="\n")
    results["machine"]["load_after"] = machine.load()
    _write(args.json, results)


def speeds(model, setting, bf16):
    """Both sides and the machine's limits in turns, for one model."""
    sides = ["textbook", "project", "fp32", *(["bf16"] if bf16 else [])]
    rates = alternate({side: setting.spec(side=side, model=model) for side in sides}, setting)
    batch = setting.spec()["batch"]
    found = {
        "iterations_per_second": {side: rates.median(side) for side in sides},
        "images_per_second": rates.median("project") * batch,
        "ratio": rates.ratio("project", "textbook"),
        "peak_memory": rates.peak_memory,
        "rounds": rates.rates,
    }
    for limit in sides[2:]:
        found[f"share_of_{limit}_limit"] = rates.ratio("project", limit)
    return found


def comparisons(setting):
    """What the project's own variants cost each other, in turns."""
    project = {
        name: setting.spec(side="project", model=name) for name in ("vae", "gmvae", "ssvae_gw1")
    }
    copies = setting.spec(side="copies", model="ssvae_gw1")
    mixture = alternate({name: project[name] for name in ("vae", "gmvae")}, setting)
    labels = alternate({"split": project["ssvae_gw1"], "copies": copies}, setting)
    return {
        "GMVAE (k=500) step / VAE step": mixture.ratio("vae", "gmvae"),
        "SSVAE, split first layers / enumerated copies, speed": labels.ratio("split", "copies"),
    }


def beside_a_busy_process(setting):
    """Shares of the VAE's own speed that are left beside a process that keeps one core busy.

    One training was under way when the other process came, one starts beside it.
    """
    spec = setting.spec(side="project", model="vae")
    alone, disturbed, late = [], [], []
    with measure.workers({"vae": spec}) as started:
        vae = started["vae"]
        vae.run(seconds=setting.seconds)
        for _ in range(setting.rounds):
            alone.append(_rate(vae, setting))
            with measure.busy_process():
                disturbed.append(_rate(vae, setting))
        with measure.busy_process(), measure.workers({"vae": spec}) as beside:
            late = [_rate(beside["vae"], setting) for _ in range(setting.rounds)]
    rates = measure.Rates({"alone": alone, "disturbed": disturbed, "late": late}, {}, {})
    return {
        "come later": rates.ratio("disturbed", "alone"),
        "there before": rates.ratio("late", "alone"),
    }


def _rate(worker, setting):
    answer = worker.run(seconds=setting.seconds)
    return answer["steps"] / answer["seconds"]


def growth(setting):
    """Seconds by number of iterations; milliseconds of a step by batch size and components."""
    vae = setting.spec(side="project", model="vae")
    with measure.workers({"vae": vae}) as started:
        started["vae"].run(seconds=setting.seconds)
        iterations = [started["vae"].run(steps=n) for n in GROWTH_STEPS]
    batches = alternate({n: vae | {"batch": n} for n in GROWTH_BATCHES}, setting)
    mixtures = {k: setting.spec(side="project", model="gmvae", k=k) for k in GROWTH_K}
    components = alternate({"vae": vae} | mixtures, setting)
    return {
        "iterations": [{"steps": i["steps"], "seconds": i["seconds"]} for i in iterations],
        "batch": [{"batch": n, "ms": 1e3 / batches.median(n)} for n in GROWTH_BATCHES],
        "k": [
            {"k": k, "ms": 1e3 / components.median(k), "vae_steps": components.ratio("vae", k)}
            for k in GROWTH_K
        ],
    }


def _warn_if_busy(facts):
    if facts["load_before"] is not None and facts["load_before"] > 0.5:
        print(
            f"*** Other processes are running (load {facts['load_before']:.1f} on {facts['cores']} "
            "cores): the numbers below are disturbed.\n",
            file=sys.stderr,
        )


def _heading(facts, setting):
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} threads, torch "
        f"{facts['torch']}, {setting.dataset}, batch {setting.spec()['batch']}, medians of "
        f"{setting.rounds} rounds of {setting.seconds:g} s; "
        f"copy {facts['copy_bytes_per_second'] / 1e9:.0f} GB/s"
    )


def _write(path, results):
    if path:
        path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
