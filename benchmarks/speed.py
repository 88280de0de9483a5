"""Measures this project beside a textbook solution and beside what the machine could do.

Checks first that both sides compute and reach the same loss. Then they take turns, each in
processes of its own, and ratios are medians over pairs of neighbouring measurements. Run it on an
otherwise idle machine:

    python benchmarks/speed.py --json speed.json
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine, report, stages
from benchmarks.measure import Failed, Setting
from benchmarks.stages import MODELS
from codebase.flag import folder
from codebase.screen import lasting


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    add("--rounds", type=int, default=7, help="measurements of each side (default 7)")
    add("--data_dir", type=folder, default="data", help="holds MNIST/raw (default data)")
    add("--threads", type=int, default=0, help="CPU threads of all sides; 0: torch's own choice")
    add("--models", nargs="+", choices=MODELS, default=MODELS, help="default: all")
    add("--json", type=Path, metavar="FILE", help="writes everything here too")
    add("--profile", action="store_true", help="also where the time of a step goes")
    add("--compile", action="store_true", help="also the project's step compiled")
    add("--busy", action="store_true", help="also the VAE beside another busy process")
    add("--growth", action="store_true", help="also cost by iterations, batch size and k")
    add("--whole", action="store_true", help="also the time of all of run_vae.py at its defaults")
    add("--all", action="store_true", help="all of these but --compile")
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
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # leaves no child
    data_dir = str(Path(args.data_dir).resolve())  # the measured processes run elsewhere
    setting = Setting(args.dataset, data_dir, args.threads, args.seconds, args.rounds)
    results = {
        "machine": machine.facts(),
        "setting": asdict(setting) | {"data_dir": args.data_dir, "quick": args.quick},
    }
    _warn_if_busy(results["machine"])
    checks = stages.checks(setting, args.models, args.quick)
    _keep(args, results, "checks", checks, report.checks)
    wrong = [model for model, check in checks.items() if not check["same"]]
    if wrong:
        raise Failed(f"no speeds, for the two sides' losses differ: {', '.join(wrong)}")

    results["machine"] |= stages.machine(setting)
    print(report.heading(results["machine"], results["setting"]), flush=True)
    speeds = stages.speeds(setting, args.models, results["machine"]["native_bf16"], args.compile)
    _keep(args, results, "speeds", speeds, report.speeds)
    _keep(args, results, "ratios", stages.comparisons(setting), report.ratios)
    _keep(args, results, "evaluation", stages.evaluation(setting, args.quick), report.evaluation)
    _keep(args, results, "waiting", stages.waiting(setting, args.whole), report.waiting)
    if args.busy:
        _keep(args, results, "busy", stages.beside_a_busy_process(setting), report.busy)
    if args.profile:
        found = stages.breakdown(setting, args.models, args.quick)
        _keep(args, results, "breakdown", found, report.breakdown)
    if args.growth:
        _keep(args, results, "growth", stages.growth(setting), report.growth)


def _keep(args, results, name, found, show):
    """Prints what a stage found, and writes all that is known so far."""
    print(show(found), "\n", flush=True)  # each table as soon as it is known
    results[name] = found
    results["machine"]["load_after"] = machine.load()
    if args.json:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        args.json.write_text(text, encoding="utf-8")


def _warn_if_busy(facts):
    if facts["load_before"] is not None and facts["load_before"] > 0.5:
        print(
            f"*** Other processes are running (load {facts['load_before']:.1f} on {facts['cores']} "
            "cores): the numbers below are disturbed.\n",
            file=sys.stderr,
        )


if __name__ == "__main__":
    with lasting():
        try:
            main()
        except Failed as error:
            print(f"speed.py: error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
