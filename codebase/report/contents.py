"""The report: tables, pictures, what β does, pairs; as Markdown, as one page, as numbers."""

from argparse import Namespace
from functools import partial
from pathlib import Path

import torch

from codebase.data import datasets
from codebase.engine.devices import device as device_named
from codebase.files import disk, records
from codebase.report.measured import measure, record
from codebase.report.page import html
from codebase.report.recorded import EXPERIMENTS, Runs, read
from codebase.report.sections import sections
from codebase.report.training import train_missing


def write(args: Namespace) -> None:
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
    dataset.need_labels("the report")
    sha256 = dataset.sha256()

    def on_disk(key: str) -> Runs:
        return read(EXPERIMENTS[key], args.runs, dataset.name, sha256, args.iter_max)

    runs = {key: on_disk(key) for key in EXPERIMENTS}  # what is damaged is known before training
    if args.train:
        left = sum(len(r.missing) for r in runs.values())
        for key in runs:
            if runs[key].missing:
                print(f"\n{left} of {args.runs * len(runs)} runs are still to be trained")
                left -= len(runs[key].missing)
            train_missing(runs[key], partial(on_disk, key), args, dataset.source)
        runs = {key: on_disk(key) for key in EXPERIMENTS}
    out = Path(args.out)
    disk.make_folder(out)
    report = measure(args, dataset, runs, out, device)
    records.write(out / "results.json", record(report, sha256))
    content = "\n\n".join(sections(report)) + "\n"
    _write(out / "report.md", content)
    _write(out / "report.html", html(content, out))
    missing = sum(len(r.missing) for r in runs.values())
    print(f"\nreport: {out / 'report.html'}, {out / 'report.md'}; numbers: {out / 'results.json'}")
    if missing:
        way = "shown as missing" if args.train else "--train trains them"
        count = missing + sum(len(r.found) for r in runs.values())
        print(f"{missing} of {count} runs are not there: {way}.")


def _write(path, content):
    with disk.atomic(path) as file:
        file.write(content.encode())
