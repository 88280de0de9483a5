"""What the family's models are put together from: one part of each axis. Imports no torch.

A part is a class of a file of `models/` named after its axis. A flag chooses it, `--prior realnvp`
for example, and brings the flags that it reads. What cannot go together is said in a sentence.
"""

import argparse
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from codebase.errors import UserError
from codebase.flag import Flag, number

# What one part may need of another.
DENSITY = "the density of any z, not of its own samples alone"
UNSCALED = "no scale of the pixels that it would have to train"
GAUSSIAN = "a mean and a variance for each dimension, independent of the others"


@dataclass(frozen=True)
class Part:
    """A choice on an axis.

    Args:
        name: what one types.
        line: what it is, in one line.
        source: who thought of it.
        made: "module:Class" of what is made of it; imported when it is built.
        flags: those it reads; a flag's `argument` is the constructor's.
        has: which of DENSITY, GAUSSIAN, … it can give another part.
        needs: {axis: what the part chosen there must have}.
    """

    name: str
    line: str
    source: str
    made: str
    flags: tuple[Flag, ...] = ()
    has: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)

    def factory(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """Its class, with what its flags say as arguments.

        Args:
            values: {flag: value}; a flag that is not there is at its default.
        """
        module, cls = self.made.split(":")
        arguments = {flag.argument: values.get(flag.name, flag.default) for flag in self.flags}
        return partial(getattr(importlib.import_module(module), cls), **arguments)


# The parts of each axis, the VAE's first, behind the flags that they read. One that several parts
# read is one object.

# Priors, models/priors.py

K = Flag("k", "components of the prior", type=number(int, 1, 100_000), default=500, argument="k")
PSEUDO = Flag(
    "pseudo",
    "what the learned images of the VampPrior begin as: random, or data, training images",
    default="random",
    choices=("random", "data"),
    argument="pseudo",
)
COUPLINGS = Flag(
    "couplings", "of the RealNVP prior", type=number(int, 1, 1_000), default=6, argument="couplings"
)
MAFS = Flag(
    "mafs",
    "autoregressive flows of the MAF prior",
    type=number(int, 1, 1_000),
    default=3,
    argument="couplings",
)
FLOW_HIDDEN = Flag(
    "flow_hidden",
    "width of a flow's hidden layers",
    type=number(int, 1, 100_000),
    default=128,
    argument="hidden",
)
_PRIORS = (
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

# Posteriors, models/posteriors.py

STEPS = Flag(
    "steps",
    "planar or radial flows, or reflections, of the posterior",
    type=number(int, 1, 1_000),
    default=8,
    argument="steps",
)
IAFS = Flag(
    "iafs",
    "inverse autoregressive flows of the posterior",
    type=number(int, 1, 1_000),
    default=2,
    argument="steps",
)
_POSTERIORS = (
    Part(
        "diagonal",
        "a Gaussian of independent dimensions",
        "Kingma & Welling 2014",
        "codebase.models.posteriors:Diagonal",
        has=(DENSITY, GAUSSIAN),
    ),
    Part(
        "full",
        "a Gaussian with every covariance",
        "Kingma & Welling 2014",
        "codebase.models.posteriors:Full",
        has=(DENSITY,),
    ),
    Part(
        "planar",
        "a Gaussian pushed through planar flows",
        "Rezende & Mohamed 2015",
        "codebase.models.posteriors:Planar",
        (STEPS,),
    ),
    Part(
        "radial",
        "a Gaussian pushed through radial flows",
        "Rezende & Mohamed 2015",
        "codebase.models.posteriors:Radial",
        (STEPS,),
    ),
    Part(
        "iaf",
        "a Gaussian pushed through inverse autoregressive flows",
        "Kingma et al. 2016",
        "codebase.models.posteriors:Iaf",
        (IAFS, FLOW_HIDDEN),
    ),
    Part(
        "householder",
        "a Gaussian turned by reflections",
        "Tomczak & Welling 2016",
        "codebase.models.posteriors:Householder",
        (STEPS,),
        has=(DENSITY,),
    ),
)

# Likelihoods, models/likelihoods.py


def _sigma(text):
    """An argparse type: "learned", "optimal" or a standard deviation."""
    if text in ("learned", "optimal"):
        return text
    try:
        return number(float, above=0)(text)
    except argparse.ArgumentTypeError:
        wanted = "learned, optimal or a number above 0"
        raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}") from None


SIGMA = Flag(
    "sigma",
    "standard deviation of Gaussian pixels: learned; optimal, of each minibatch; or a number",
    type=_sigma,
    default="learned",
    argument="sigma",
)
SHARPNESS = Flag(
    "sharpness",
    "of the log-cosh density: the larger, the more it is like Laplace's",
    type=number(float, above=0),
    default=10.0,
    argument="sharpness",
)
CHANNELS = Flag(
    "channels",
    "of a PixelCNN as the likelihood",
    type=number(int, 1, 1_000),
    default=8,
    argument="channels",
)
LOOKS = Flag(
    "looks",
    "layers of a PixelCNN as the likelihood; looks + 2 rows and columns are seen",
    type=number(int, 1, 100),
    default=3,
    argument="looks",
)
_LIKELIHOODS = (
    Part(
        "bernoulli",
        "binary pixels",
        "Kingma & Welling 2014",
        "codebase.models.likelihoods:BernoulliPixels",
        has=(UNSCALED,),
    ),
    Part(
        "gaussian",
        "grey pixels with one variance for all",
        "Kingma & Welling 2014; Rybkin et al. 2021",
        "codebase.models.likelihoods:GaussianPixels",
        (SIGMA,),
    ),
    Part(
        "continuous-bernoulli",
        "grey pixels with the density on [0, 1] that a Bernoulli's formula has",
        "Loaiza-Ganem & Cunningham 2019",
        "codebase.models.likelihoods:ContinuousBernoulliPixels",
        has=(UNSCALED,),
    ),
    Part(
        "logcosh",
        "grey pixels, between a Gaussian and a Laplace density",
        "Chen et al. 2019",
        "codebase.models.likelihoods:LogCoshPixels",
        (SHARPNESS,),
    ),
    Part(
        "logistic",
        "256 levels of grey, of a logistic law",
        "Kingma et al. 2016; Salimans et al. 2017",
        "codebase.models.likelihoods:LogisticPixels",
    ),
    Part(
        "pixelcnn",
        "binary pixels, each given z and those before it",
        "Chen et al. 2017; Gulrajani et al. 2017",
        "codebase.models.pixel_by_pixel:PixelCnnPixels",
        (CHANNELS, LOOKS),
    ),
)

# Objectives, models/objectives.py

BETA = Flag(
    "beta",
    "weight of kl in the loss, rec + β·kl",
    type=number(float, 0),
    default=1.0,
    argument="beta",
    beyond=True,
)
WARMUP = Flag(
    "warmup",
    "steps over which β, or the capacity, grows from 0",
    type=number(int, 1),
    default=5_000,
    argument="warmup",
)
GAMMA = Flag(
    "gamma",
    "weight of the distance of kl to its capacity",
    type=number(float, 0),
    default=30.0,
    argument="gamma",
)
CAPACITY = Flag(
    "capacity",
    "nats of kl at the end of the warm-up",
    type=number(float, 0),
    default=20.0,
    argument="capacity",
)
BITS = Flag(
    "bits",
    "nats of a latent dimension that are free",
    type=number(float, 0),
    default=0.5,
    argument="bits",
)
SAMPLES = Flag(
    "samples",
    "importance samples of an image, in each bound",
    type=number(int, 1, 100_000),
    default=5,
    argument="samples",
)
GROUPS = Flag(
    "groups",
    "bounds of so many samples that are averaged",
    type=number(int, 1, 100_000),
    default=2,
    argument="groups",
)
MIX = Flag(
    "mix",
    "share of −ELBO beside the importance-weighted bound",
    type=number(float, 0, 1),
    default=0.05,
    argument="mix",
)
ALPHA = Flag(
    "alpha",
    "of Rényi's bound: 0 is IWAE's, 1 −ELBO; below 0 it would bound nothing",
    type=number(float, 0, 100),
    default=0.5,
    argument="alpha",
)
INFO = Flag(
    "info_alpha",
    "1 − the weight of kl in InfoVAE's objective",
    type=number(float, 0, 1),
    default=0.0,
    argument="alpha",
)
INFO_WEIGHT = Flag(
    "info_weight",
    "λ of InfoVAE: MMD weighs α + λ − 1",
    type=number(float, 0),
    default=100.0,
    argument="weight",
)
WEIGHT = Flag(
    "weight",
    "of the distance between codes and prior, beside the squared error",
    type=number(float, 0),
    default=10.0,
    argument="weight",
)
PROJECTIONS = Flag(
    "projections",
    "directions of the sliced distance",
    type=number(int, 1, 100_000),
    default=50,
    argument="projections",
)
DIP = Flag("dip", "1: DIP-VAE-I; 2: II", type=number(int, 1, 2), default=2, argument="kind")
DIP_OFF = Flag(
    "dip_off",
    "weight of the codes' squared covariances",
    type=number(float, 0),
    default=10.0,
    argument="off",
)
DIP_ON = Flag(
    "dip_on",
    "weight of the squared distance of their variances to 1",
    type=number(float, 0),
    default=10.0,
    argument="on",
)
TC = Flag(
    "tc_beta",
    "weight of the total correlation in β-TCVAE's objective",
    type=number(float, 0),
    default=6.0,
    argument="beta",
)
FACTOR = Flag(
    "tc_gamma",
    "weight of the total correlation beside −ELBO, by a discriminator",
    type=number(float, 0),
    default=10.0,
    argument="gamma",
)
DFC = Flag(
    "dfc_gamma",
    "weight of the distance in a classifier's features beside kl",
    type=number(float, 0),
    default=500.0,
    argument="gamma",
)
SSIM = Flag(
    "ssim_gamma",
    "weight of 1 − MS-SSIM beside kl",
    type=number(float, 0),
    default=300.0,
    argument="gamma",
)
_OBJECTIVES = (
    Part("elbo", "rec + β·kl", "Higgins et al. 2017", "codebase.models.objectives:Elbo", (BETA,)),
    Part(
        "warmup",
        "β growing from 0",
        "Bowman et al. 2016",
        "codebase.models.objectives:Warmup",
        (BETA, WARMUP),
    ),
    Part(
        "capacity",
        "kl held to a capacity that grows",
        "Burgess et al. 2018",
        "codebase.models.objectives:Capacity",
        (GAMMA, CAPACITY, WARMUP),
    ),
    Part(
        "freebits",
        "some nats of each dimension are free",
        "Kingma et al. 2016",
        "codebase.models.objectives:FreeBits",
        (BITS,),
        needs={"posterior": GAUSSIAN, "prior": GAUSSIAN},
    ),
    Part(
        "iwae",
        "the importance-weighted bound",
        "Burda et al. 2016",
        "codebase.models.importance:Iwae",
        (SAMPLES,),
    ),
    Part(
        "miwae",
        "the mean of several of them",
        "Rainforth et al. 2018",
        "codebase.models.importance:Miwae",
        (SAMPLES, GROUPS),
    ),
    Part(
        "ciwae",
        "a mixture of it and −ELBO",
        "Rainforth et al. 2018",
        "codebase.models.importance:Ciwae",
        (SAMPLES, MIX),
    ),
    Part(
        "piwae",
        "several for the encoder, one of all samples for the rest",
        "Rainforth et al. 2018",
        "codebase.models.importance:Piwae",
        (SAMPLES, GROUPS),
    ),
    Part(
        "stl",
        "−ELBO with a gradient that varies less",
        "Roeder et al. 2017",
        "codebase.models.importance:Stl",
        needs={"posterior": DENSITY},
    ),
    Part(
        "dreg",
        "the importance-weighted bound with a gradient that varies less",
        "Tucker et al. 2019",
        "codebase.models.importance:Dreg",
        (SAMPLES,),
        needs={"posterior": DENSITY},
    ),
    Part(
        "renyi",
        "Rényi's bound",
        "Li & Turner 2016",
        "codebase.models.importance:Renyi",
        (SAMPLES, ALPHA),
    ),
    Part(
        "infovae",
        "−ELBO and the codes' MMD to the prior",
        "Zhao et al. 2019",
        "codebase.models.matching:InfoVae",
        (INFO, INFO_WEIGHT),
    ),
    Part(
        "wae-mmd",
        "squared error and the codes' MMD to the prior",
        "Tolstikhin et al. 2018",
        "codebase.models.matching:Wae",
        (WEIGHT,),
        needs={"likelihood": UNSCALED},
    ),
    Part(
        "swae",
        "squared error and the codes' sliced Wasserstein distance to the prior",
        "Kolouri et al. 2019",
        "codebase.models.matching:Swae",
        (WEIGHT, PROJECTIONS),
        needs={"likelihood": UNSCALED},
    ),
    Part(
        "dip",
        "−ELBO and the codes' covariance held to I",
        "Kumar et al. 2018",
        "codebase.models.disentangling:Dip",
        (DIP, DIP_OFF, DIP_ON),
        needs={"posterior": GAUSSIAN},
    ),
    Part(
        "tc",
        "−ELBO with the total correlation weighed more",
        "Chen et al. 2018",
        "codebase.models.disentangling:TotalCorrelation",
        (TC,),
        needs={"posterior": GAUSSIAN},
    ),
    Part(
        "factor",
        "the same by a discriminator",
        "Kim & Mnih 2018",
        "codebase.models.disentangling:Factor",
        (FACTOR,),
    ),
    Part(
        "dfc",
        "kl and the distance in a classifier's features",
        "Hou et al. 2017",
        "codebase.models.perceptual:Dfc",
        (DFC,),
        needs={"likelihood": UNSCALED},
    ),
    Part(
        "ms-ssim",
        "kl and 1 − MS-SSIM",
        "Snell et al. 2017",
        "codebase.models.perceptual:MsSsim",
        (SSIM,),
        needs={"likelihood": UNSCALED},
    ),
)

# Networks, models/nns/parts.py

HIDDEN = Flag(
    "hidden", "width of hidden layers", type=number(int, 1, 100_000), default=300, argument="hidden"
)
LAYERS = Flag("layers", "hidden layers", type=number(int, 1, 100), default=2, argument="layers")
ACTIVATION = Flag(
    "activation",
    "between layers",
    default="elu",
    choices=("elu", "relu", "silu", "softplus", "tanh"),
    argument="activation",
)
BIAS = Flag(
    "bias",
    "mean: the decoder's last bias begins where it draws the average training image",
    default="zero",
    choices=("zero", "mean"),
    argument="bias",
)
_NETS = (
    Part(
        "v1",
        "MLPs, by default two hidden layers of 300 with ELU",
        "",
        "codebase.models.nns.parts:MLP",
        (HIDDEN, LAYERS, ACTIVATION, BIAS),
    ),
    Part(
        "gated",
        "MLPs whose hidden layers are gated",
        "Tomczak & Welling 2018",
        "codebase.models.nns.parts:Gated",
        (HIDDEN, LAYERS, BIAS),
    ),
    Part(
        "conv",
        "two convolutions each way and a hidden layer",
        "",
        "codebase.models.nns.parts:Conv",
        (HIDDEN, BIAS),
    ),
)

AXES: dict[str, tuple[Part, ...]] = {
    "prior": _PRIORS,
    "posterior": _POSTERIORS,
    "likelihood": _LIKELIHOODS,
    "objective": _OBJECTIVES,
    "net": _NETS,
}
_WHAT = {
    "prior": "p(z)",
    "posterior": "q(z|x)",
    "likelihood": "p(x|z)",
    "objective": "what is minimized",
    "net": "the networks",
}


def flags(parts: Mapping[str, str]) -> tuple[Flag, ...]:
    """A flag for each axis, and those that parts read.

    Args:
        parts: {axis: name of the part} of the axes whose default is not the VAE's.
    """
    found = {
        axis: Flag(
            axis,
            f"{_WHAT[axis]}: " + "; ".join(f"{part.name}, {part.line}" for part in choices),
            default=parts.get(axis, choices[0].name),
            choices=tuple(part.name for part in choices),
            metavar="NAME",
        )
        for axis, choices in AXES.items()
    }
    for choices in AXES.values():
        for part in choices:
            found |= {flag.name: flag for flag in part.flags}
    return tuple(found.values())


def chosen(values: Mapping[str, Any]) -> dict[str, Part]:
    """{axis: the part that the flags choose}.

    Args:
        values: {flag: value}; an axis that is not there is the VAE's.
    """
    return {
        axis: next(part for part in choices if part.name == values.get(axis, choices[0].name))
        for axis, choices in AXES.items()
    }


def read(values: Mapping[str, Any]) -> set[str]:
    """Names of the flags that the chosen parts read."""
    return {flag.name for part in chosen(values).values() for flag in part.flags}


def check(values: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Looks whether the parts go together, and every flag that was changed is read by one.

    Args:
        values: {flag: value}.
        usual: {flag: its default}.
    Raises:
        UserError: they do not, or it is not.
    """
    parts = chosen(values)
    for axis, part in parts.items():
        for other, needed in part.needs.items():
            if needed not in parts[other].has:
                able = [p.name for p in AXES[other] if needed in p.has]
                raise UserError(
                    f"--{axis} {part.name} does not go with --{other} {parts[other].name}: it "
                    f"needs {needed}, as --{other} {' or '.join(able)} has."
                )
    everyone = [(axis, part) for axis, choices in AXES.items() for part in choices]
    seen = read(values)
    for name in {flag.name: None for _, part in everyone for flag in part.flags}:
        if name not in seen and name in values and values[name] != usual.get(name):
            readers = [f"--{a} {p.name}" for a, p in everyone if name in {f.name for f in p.flags}]
            raise UserError(
                f"--{name} {values[name]} changes nothing here: it is for {' or '.join(readers)}."
            )
