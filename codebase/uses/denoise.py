"""Noise taken away by a model, beside filters that know nothing of the images."""

from argparse import Namespace

import numpy as np
import torch
from scipy.ndimage import median_filter
from scipy.signal import wiener

from codebase import figures
from codebase.data.batches import grey
from codebase.engine.randomness import seeded
from codebase.evaluation.codes import redrawn
from codebase.evaluation.numbers import Number
from codebase.models.autoencoders import DenoisingAutoencoder
from codebase.models.noise import Noise
from codebase.sides import side_of
from codebase.uses.subject import Found, Subject

SIZES = 3, 5  # of the filters' windows
SHOWN = 20


def measure(subject: Subject, args: Namespace) -> Found:
    """PSNR of the grey test images, spoiled, restored by the model and by filters."""
    noise = _noise(subject, args)
    truth = grey(subject.dataset.test_x)
    with seeded():
        noisy = noise(truth)
    pictures = {"noisy": noisy, "model": redrawn(subject.model, noisy)}
    pictures |= filtered(noisy)
    found = {name: Number.of(psnr(images, truth)) for name, images in pictures.items()}
    at = torch.arange(0, len(truth), -(-len(truth) // SHOWN))
    rows = torch.cat([noisy[at], pictures["model"][at], truth[at]])
    path = subject.run.folder / "use-denoise.png"
    figures.save_grid(path, rows, len(at))
    notes = (
        f"{noise.kind} noise of rate {noise.rate:g}; all is cut to [0, 1] before it is compared",
        f"noisy, restored, truth: {path}",
    )
    extra = {"noise": noise.kind, "rate": noise.rate}
    title = f"PSNR of {len(truth):,} test images in dB, larger is better"
    return Found(title, {"PSNR": found}, notes, extra)


def _noise(subject, args):
    own = subject.model.noise if isinstance(subject.model, DenoisingAutoencoder) else None
    kind = args.noise or (own.kind if own else "gaussian")
    if args.rate is not None:
        return Noise(kind, args.rate)
    return own if own and own.kind == kind else Noise(kind, 0.3)


def filtered(noisy: torch.Tensor) -> dict[str, torch.Tensor]:
    """{filter: (N, D)}, scipy's median and Wiener filters, each image for itself."""
    side = side_of(noisy.shape[1])
    images = noisy.view(-1, side, side).cpu().double().numpy()
    found = {}
    for size in SIZES:
        found[f"median {size} × {size}"] = median_filter(images, size=(1, size, size))
    for size in SIZES:
        with np.errstate(divide="ignore", invalid="ignore"):  # where a window is all of one value
            through = np.stack([wiener(image, size) for image in images])
        found[f"Wiener {size} × {size}"] = np.where(np.isfinite(through), through, images)
    return {name: torch.from_numpy(f).flatten(1).to(noisy) for name, f in found.items()}


def psnr(images: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """−10 log₁₀ of each image's mean squared error, whites being 1: (N, D), (N, D) → (N,) in dB."""
    error = (images.clamp(0, 1) - truth).square().mean(1).cpu().double()
    return -10 * error.clamp(min=1e-10).log10()
