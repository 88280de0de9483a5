"""Long recipes: a model of the catalogue with other defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A long recipe: a model of the catalogue with other defaults.

    Args:
        name: what one types.
        line: what it is, in one line.
        entry: name of the model.
        values: {flag: its default}, of every flag of the command line that is another.
    """

    name: str
    line: str
    entry: str
    values: Mapping[str, Any]


# What the ladder's have in common: 500 epochs of 59,000 images, the learning rate falling all the
# way, averaged weights; 1,000 training images select, the test images are for the end.
_LADDER = {
    "z": 40,
    "iter_max": 300_000,
    "batch_size": 100,
    "schedule": "cosine",
    "ema": 0.999,
    "validation": 1_000,
    "bias": "mean",
    "iter_save": 50_000,
    "iter_eval": 5_000,
    "eval_iw": 5_000,
}
# Of models of 100 labels, which go on learning them for long. In a step's 100 + 100 images a
# labelled one weighs 0.1 · 60,000 / 100 times what another does, as in Maaløe et al.'s minibatches
# (2016); it is in every step, 600 times as often as in Kingma et al.'s sum (2014).
_LABELS = {
    "cw": 60.0,
    "iter_max": 100_000,
    "schedule": "cosine",
    "lr_end": 3e-5,
    "iter_save": 50_000,
    "iter_eval": 5_000,
}
_SHORTER = _LABELS | {"iter_max": 50_000}
_GROWING = _LADDER | {"objective": "warmup", "warmup": 12_000}
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("ladder-vae", "500 epochs of the plain VAE, 40 dimensions", "vae", _GROWING),
        Preset("ladder-stl", "the same with the gradient that sticks the landing", "stl", _LADDER),
        Preset(
            "ladder-vamp",
            "the same with a VampPrior of 500, which begins at training images",
            "vamp",
            _GROWING | {"k": 500, "pseudo": "data"},
        ),
        Preset("ladder-realnvp", "the same with a RealNVP prior", "realnvp", _GROWING),
        Preset("ladder-dreg", "the same by DReG with 5 samples", "dreg", _LADDER | {"samples": 5}),
        Preset("long-m1m2", "50,000 steps of M1+M2 on 100 labels", "m1m2", _SHORTER),
        Preset("long-adgm", "100,000 steps of the ADGM on 100 labels", "adgm", _LABELS),
        Preset("long-sdgm", "100,000 steps of the SDGM on 100 labels", "sdgm", _LABELS),
    )
}
