"""Seconds of a VAE's training on a CUDA GPU: step by step, and with the step replayed as a graph.

python benchmarks/gpu.py                 # 20,000 iterations each, on MNIST in data/
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--steps", type=int, default=20_000, help="iterations of each training")
    p.add_argument("--rounds", type=int, default=3, help="trainings of each kind, in turns")
    p.add_argument("--data_dir", default="data", help="folder that holds MNIST/raw")
    return p.parse_args()


def seconds(dataset, steps, precision, graph):
    """Seconds of one training's iterations, to the end of the last one's work on the device."""
    import torch
    from tqdm import tqdm

    from codebase import data
    from codebase.graph import captured
    from codebase.models.vae import VAE
    from codebase.steps import Step, adam

    torch.manual_seed(0)
    loader = data.Batches(dataset.train_x, dataset.train_y, 97, data.generator(0, "cuda"))
    model = VAE(z_dim=10).to("cuda")
    plain = Step(model, adam(model), data.Stream(loader, None, "cuda"), precision)
    advance = captured(plain) if graph else plain
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in tqdm(range(steps), leave=False):
        values, _, _ = advance()
    values.cpu()
    return time.perf_counter() - begin


def main():
    args = arguments()
    import torch

    from codebase import datasets

    if not torch.cuda.is_available():
        raise SystemExit("gpu.py: error: torch finds no CUDA GPU on this machine.")
    dataset = datasets.load("mnist", args.data_dir).to("cuda")
    print(f"{torch.cuda.get_device_name()}, VAE z=10, minibatches of 97, {args.steps:,} iterations")
    for precision in ("fp32", "bf16"):
        found = {"plain": [], "graph": []}
        for _ in range(args.rounds):
            for name in found:
                found[name].append(seconds(dataset, args.steps, precision, name == "graph"))
        plain, graph = (sorted(times)[len(times) // 2] for times in found.values())
        print(f"{precision}: plain {plain:.1f} s, graph {graph:.1f} s, ratio {plain / graph:.1f}")


if __name__ == "__main__":
    main()
