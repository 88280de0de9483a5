"""Models that are given labels, or pixels."""

from dataclasses import replace

from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import LABELLED, SEMISUPERVISED, dimensions, size


def _semisupervised(name, line, source, claim, cls, z):
    """A model of 100 labels with an auxiliary variable."""
    gw, cw, elbo, *labels = SEMISUPERVISED
    own = dimensions(z), size("a_dim", "dimensions of the auxiliary variable", z)
    flags = (*own, gw, cw, replace(elbo, beyond=False), *labels)
    return Entry(name, line, source, claim, f"codebase.models.{cls}", "classifier", 30_000, flags)


ENTRIES = (
    Entry(
        "cvae",
        "a VAE of images given their labels, which are known for all",
        "Sohn et al. 2015",
        "diverse, realistic outputs where a deterministic network gives one",
        "codebase.models.cvae:CVAE",
        "conditional",
        20_000,
        (dimensions(10),),
    ),
    Entry(
        "complete",
        "images completed from one, two or three quadrants, beside a feed-forward network",
        "Sohn et al. 2015",
        "diverse, realistic outputs where a deterministic network gives one",
        "codebase.models.complete:Completion",
        "completion",
        20_000,
        (dimensions(20), size("seen", "quadrants that are seen", 1, most=3)),
    ),
    Entry(
        "m1",
        "a VAE, and a linear classifier of the labelled images' codes (M1)",
        "Kingma et al. 2014",
        "100 labels, a transductive SVM of the codes: 11.82 % error",
        "codebase.models.m1:M1",
        "classifier",
        30_000,
        (dimensions(50), *LABELLED),
    ),
    _semisupervised(
        "m1m2",
        "M2 of the codes of a VAE (M1+M2)",
        "Kingma et al. 2014",
        "100 labels: 3.33 ± 0.14 % error",
        "m1:M1M2",
        50,
    ),
    _semisupervised(
        "adgm",
        "M2 with an auxiliary variable in its posterior",
        "Maaløe et al. 2016",
        "100 labels, 1,000 epochs: 0.96 ± 0.02 % error",
        "adgm:ADGM",
        64,
    ),
    _semisupervised(
        "sdgm",
        "M2 with a second layer of latents",
        "Maaløe et al. 2016",
        "100 labels, 1,000 epochs: 1.32 ± 0.07 % error",
        "sdgm:SDGM",
        64,
    ),
)
