"""Posteriors q(z|x), which are in models/posteriors.py."""

from codebase.axes.part import DENSITY, GAUSSIAN, Part
from codebase.axes.priors import FLOW_HIDDEN
from codebase.flag import whole

STEPS = whole("steps", "planar or radial flows, or reflections, of the posterior", 8, most=1_000)
IAFS = whole(
    "iafs", "inverse autoregressive flows of the posterior", 2, most=1_000, argument="steps"
)

PARTS = (
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
