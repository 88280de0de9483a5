"""The assignment's three models."""

from codebase.axes.objectives import BETA
from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import SEMISUPERVISED, components, dimensions

ENTRIES = (
    Entry(
        "vae",
        "one Gaussian latent vector per image; a β-VAE with --beta",
        "Kingma & Welling 2014; Higgins et al. 2017",
        "plain stochastic gradients and one pass for a code; β > 1: disentangled",
        "codebase.models.vae:VAE",
        "likelihood",
        20_000,
        (dimensions(10), BETA),
        "vae",
        parts={},
    ),
    Entry(
        "gmvae",
        "a VAE whose prior is a learned mixture of Gaussians",
        "Stanford CS236, homework 2",
        "",
        "codebase.models.gmvae:GMVAE",
        "likelihood",
        20_000,
        (dimensions(10), components(500), BETA),
        "gmvae",
        parts={"prior": "mixture"},
    ),
    Entry(
        "ssvae",
        "a VAE with a label, known for 100 images and inferred for the others (M2)",
        "Kingma et al. 2014",
        "100 labels: 11.97 ± 1.71 % error",
        "codebase.models.ssvae:SSVAE",
        "classifier",
        30_000,
        SEMISUPERVISED,
        "ssvae_gw={gw:g}",
    ),
)
