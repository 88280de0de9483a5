"""Objectives: what is minimized. They are in models/objectives.py and, of a kind, beside it."""

from dataclasses import replace

from codebase.axes.part import DENSITY, GAUSSIAN, UNSCALED, Part
from codebase.flag import real, whole

BETA = replace(real("beta", "weight of kl in the loss, rec + β·kl", 1.0), beyond=True)
WARMUP = whole("warmup", "steps over which β, or the capacity, grows from 0", 5_000)
GAMMA = real("gamma", "weight of the distance of kl to its capacity", 30.0)
CAPACITY = real("capacity", "nats of kl at the end of the warm-up", 20.0)
BITS = real("bits", "nats of a latent dimension that are free", 0.5)
SAMPLES = whole("samples", "importance samples of an image, in each bound", 5, most=100_000)
GROUPS = whole("groups", "bounds of so many samples that are averaged", 2, most=100_000)
MIX = real("mix", "share of −ELBO beside the importance-weighted bound", 0.05, most=1)
ALPHA = real(
    "alpha", "of Rényi's bound: 0 is IWAE's, 1 −ELBO; below 0 it would bound nothing", 0.5, most=100
)
INFO = real(
    "info_alpha", "1 − the weight of kl in InfoVAE's objective", 0.0, most=1, argument="alpha"
)
INFO_WEIGHT = real("info_weight", "λ of InfoVAE: MMD weighs α + λ − 1", 100.0, argument="weight")
WEIGHT = real("weight", "of the distance between codes and prior, beside the squared error", 10.0)
PROJECTIONS = whole("projections", "directions of the sliced distance", 50, most=100_000)
DIP = whole("dip", "1: DIP-VAE-I; 2: II", 2, most=2, argument="kind")
DIP_OFF = real("dip_off", "weight of the codes' squared covariances", 10.0, argument="off")
DIP_ON = real(
    "dip_on", "weight of the squared distance of their variances to 1", 10.0, argument="on"
)
TC = real("tc_beta", "weight of the total correlation in β-TCVAE's objective", 6.0, argument="beta")
FACTOR = real(
    "tc_gamma",
    "weight of the total correlation beside −ELBO, by a discriminator",
    10.0,
    argument="gamma",
)
DFC = real(
    "dfc_gamma",
    "weight of the distance in a classifier's features beside kl",
    500.0,
    argument="gamma",
)
SSIM = real("ssim_gamma", "weight of 1 − MS-SSIM beside kl", 300.0, argument="gamma")

PARTS = (
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
