"""A long training in short steps: memory stays flat."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_fuzz import Small
from tqdm import tqdm

from codebase import starter, train
from codebase.data.batches import Batches, seeded_generator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident():
    """Megabytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def soak(steps, every, measured=resident):
    """Trains with log, checkpoints and states; what is held by iteration, every so often."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (1000, 2), dtype=torch.uint8)
    model = Small()
    loader = Batches(x, torch.zeros(1000), 7, seeded_generator(0))
    writer = starter.prepare_writer("soak", overwrite_existing=True)
    held = {}

    def look(step):
        held[step] = measured()
        # The folder would fill with thousands of checkpoints; the last one is enough.
        Path(f"checkpoints/small/model-{step - every:05d}.pt").unlink(missing_ok=True)

    with open(os.devnull, "w") as nowhere:
        train.train(
            model,
            loader,
            None,
            "cpu",
            lambda **options: tqdm(file=nowhere, **options),
            writer,
            iter_max=steps,
            iter_save=every,
            state_path=Path("checkpoints/small/resume.pt"),
            save_every_seconds=1,
            on_checkpoint=look,
        )
    writer.close()
    return held


def slope(held, warm):
    """MB per 10,000 iterations, fitted to what was held after the warm-up."""
    steps = [step for step in held if step > warm]
    return np.polyfit(steps, [held[step] for step in steps], 1)[0] * 10_000


def test_nothing_is_kept_of_a_step(here):
    """Not one object, not even a number: of those pages would show only hundreds of thousands.

    In its first two thousand steps torch makes some of its own, and keeps them.
    """
    held = soak(4_000, 500, sys.getallocatedblocks)
    assert (held[4_000] - held[2_500]) / 1_500 < 0.3


@pytest.mark.slow
def test_memory_stays_flat_for_as_many_steps_as_four_hours(here, capsys):
    """Four hours of the SSVAE at 25 iterations a second, the textbook's pace on two cores."""
    steps = 4 * 3600 * 25
    held = soak(steps, every=1_000)
    found = slope(held, warm=50_000)
    with capsys.disabled():
        last = held[steps]
        print(f"\n{steps:,} iterations: {found:+.4f} MB per 10,000, {last:.1f} MB in the end")
    assert found < 0.05  # one float kept of every iteration is 0.3
