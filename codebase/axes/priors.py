"""Priors p(z), which are in models/priors.py."""

from codebase.axes.part import DENSITY, GAUSSIAN, Part
from codebase.flag import one_of, whole

K = whole("k", "components of the prior", 500, most=100_000)
PSEUDO = one_of(
    "pseudo",
    "what the learned images of the VampPrior begin as: random, or data, training images",
    "random",
    "data",
)
COUPLINGS = whole("couplings", "of the RealNVP prior", 6, most=1_000)
MAFS = whole("mafs", "autoregressive flows of the MAF prior", 3, most=1_000, argument="couplings")
FLOW_HIDDEN = whole(
    "flow_hidden", "width of a flow's hidden layers", 128, most=100_000, argument="hidden"
)

PARTS = (
    Part("normal", "N(0, I)", "", "codebase.models.priors:StandardNormal", has=(GAUSSIAN,)),
    Part(
        "mixture",
        "a learned mixture of Gaussians",
        "Stanford CS236, homework 2",
        "codebase.models.priors:GaussianMixture",
        (K,),
    ),
    Part(
        "vamp",
        "a mixture of the posteriors of K learned images",
        "Tomczak & Welling 2018",
        "codebase.models.priors:Vamp",
        (K, PSEUDO),
        needs={"posterior": DENSITY},
    ),
    Part(
        "realnvp",
        "a flow of affine couplings",
        "Dinh et al. 2017",
        "codebase.models.priors:RealNVP",
        (COUPLINGS, FLOW_HIDDEN),
    ),
    Part(
        "maf",
        "an autoregressive flow",
        "Papamakarios et al. 2017",
        "codebase.models.priors:Maf",
        (MAFS, FLOW_HIDDEN),
    ),
)
