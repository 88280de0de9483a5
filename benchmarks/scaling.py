"""Measures how many runs an hour this machine trains, by processes and threads.

Every setting trains the same runs by `--runs N --jobs J --threads T` in an empty folder, start of
the processes, evaluation and pictures included; the settings take turns. Run it on an otherwise
idle machine:

    python benchmarks/scaling.py
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from benchmarks.measure import ROOT

SETTINGS = {(1, 1): "1 × 1 thread", (1, 2): "1 × 2 threads", (2, 1): "2 × 1 thread"}


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("--script", default="run_vae.py", help="which model's (default run_vae.py)")
    add("--iter_max", type=int, default=5_000, help="iterations of a run (default 5000)")
    add("--runs", type=int, default=2, help="runs in each measurement (default 2)")
    add("--rounds", type=int, default=2, help="measurements of each setting (default 2)")
    add("--dataset", default="mnist", help="default mnist")
    add("--data_dir", default="data", help="folder that holds MNIST/raw (default data)")
    return p.parse_args()


def measure(args, jobs, threads):
    """Seconds of all runs, and the sum of what their loops did in a second."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / args.script), "--device", "cpu"]
        flags = {
            "iter_max": args.iter_max,
            "runs": args.runs,
            "jobs": jobs,
            "threads": threads,
            "dataset": args.dataset,
            "data_dir": Path(args.data_dir).resolve(),
        }
        command += [f"--{flag}={value}" for flag, value in flags.items()]
        since = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds = time.perf_counter() - since
        records = Path(folder).glob("checkpoints/*/results.json")
        speeds = [json.loads(r.read_text())["training"]["iterations_per_second"] for r in records]
    return seconds, statistics.fmean(speeds) * jobs


def main():
    args = arguments()
    facts = machine.facts()
    found = {setting: [] for setting in SETTINGS}
    for _ in range(args.rounds):
        for setting in SETTINGS:
            found[setting].append(measure(args, *setting))
    print(f"{facts['cpu']}, {facts['cores']} cores, load before {facts['load_before']};", end="")
    print(f" {args.script}, {args.runs} runs of {args.iter_max:,} iterations, {args.dataset};")
    print(f"medians of {args.rounds} rounds, commit {facts['git_commit']}\n")
    print("| processes × threads | runs an hour | range | iterations a second, all processes |")
    print("|---|---|---|---|")
    for setting, words in SETTINGS.items():
        seconds, speeds = zip(*found[setting], strict=True)
        hourly = sorted(3600 * args.runs / s for s in seconds)
        middle, speed = statistics.median(hourly), statistics.median(speeds)
        print(f"| {words} | {middle:.1f} | {hourly[0]:.1f}–{hourly[-1]:.1f} | {speed:.0f} |")


if __name__ == "__main__":
    main()
