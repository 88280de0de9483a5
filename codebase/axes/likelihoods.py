"""Likelihoods p(x|z), which are in models/likelihoods.py."""

import argparse

from codebase.axes.part import UNSCALED, Part
from codebase.flag import Flag, number, whole


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
CHANNELS = whole("channels", "of a PixelCNN as the likelihood", 8, most=1_000)
LOOKS = whole(
    "looks",
    "layers of a PixelCNN as the likelihood; looks + 2 rows and columns are seen",
    3,
    most=100,
)

PARTS = (
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
