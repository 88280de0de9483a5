"""VAEs put together from parts (see `axes`)."""

from dataclasses import replace

from codebase.axes import nets
from codebase.catalogue.entry import FAMILY, Entry
from codebase.catalogue.flags import components, dimensions


def _family(name, line, source, *own, **parts):
    """The VAE with other parts: {axis: name}."""
    flags = (dimensions(10), *own)
    return Entry(name, line, source, FAMILY, "likelihood", 20_000, flags, parts=parts)


ENTRIES = (
    _family(
        "vamp",
        "a VAE whose prior is a mixture of the posteriors of K learned images",
        "Tomczak & Welling 2018",
        components(500),
        prior="vamp",
    ),
    _family(
        "realnvp",
        "a VAE whose prior is a flow of affine couplings",
        "Dinh et al. 2017",
        prior="realnvp",
    ),
    _family(
        "maf",
        "a VAE whose prior is an autoregressive flow",
        "Papamakarios et al. 2017",
        prior="maf",
    ),
    _family(
        "full",
        "a VAE whose posterior has every covariance",
        "Kingma & Welling 2014",
        posterior="full",
    ),
    _family(
        "planar",
        "a VAE whose posterior is a Gaussian pushed through planar flows",
        "Rezende & Mohamed 2015",
        posterior="planar",
    ),
    _family(
        "radial",
        "a VAE whose posterior is a Gaussian pushed through radial flows",
        "Rezende & Mohamed 2015",
        posterior="radial",
    ),
    _family(
        "iaf",
        "a VAE whose posterior is a Gaussian pushed through inverse autoregressive flows",
        "Kingma et al. 2016",
        posterior="iaf",
    ),
    _family(
        "householder",
        "a VAE whose posterior is a Gaussian turned by reflections",
        "Tomczak & Welling 2016",
        posterior="householder",
    ),
    _family(
        "pixel-vae",
        "a VAE whose decoder is a PixelCNN too, with some nats of each latent dimension free",
        "Gulrajani et al. 2017; Chen et al. 2017",
        likelihood="pixelcnn",
        objective="freebits",
    ),
    _family(
        "gaussian",
        "a VAE of grey pixels with one learned variance",
        "Kingma & Welling 2014; Rybkin et al. 2021",
        likelihood="gaussian",
    ),
    _family(
        "continuous-bernoulli",
        "a VAE of grey pixels with the continuous Bernoulli's density",
        "Loaiza-Ganem & Cunningham 2019",
        likelihood="continuous-bernoulli",
    ),
    _family(
        "logcosh",
        "a VAE of grey pixels with the log-cosh density",
        "Chen et al. 2019",
        likelihood="logcosh",
    ),
    _family(
        "logistic",
        "a VAE of 256 levels of grey with a discretized logistic law",
        "Kingma et al. 2016; Salimans et al. 2017",
        likelihood="logistic",
    ),
    _family(
        "warmup",
        "a VAE whose kl is weighed more and more while it begins",
        "Bowman et al. 2016",
        objective="warmup",
    ),
    _family(
        "capacity",
        "a VAE whose kl is held to a capacity that grows",
        "Burgess et al. 2018",
        objective="capacity",
    ),
    _family(
        "freebits",
        "a VAE with some nats of each latent dimension free",
        "Kingma et al. 2016",
        objective="freebits",
    ),
    _family(
        "iwae",
        "a VAE trained by the importance-weighted bound",
        "Burda et al. 2016",
        objective="iwae",
    ),
    _family(
        "miwae",
        "a VAE trained by the mean of several importance-weighted bounds",
        "Rainforth et al. 2018",
        objective="miwae",
    ),
    _family(
        "ciwae",
        "a VAE trained by a mixture of the importance-weighted bound and −ELBO",
        "Rainforth et al. 2018",
        objective="ciwae",
    ),
    _family(
        "piwae",
        "a VAE whose encoder is trained by MIWAE and the rest by IWAE",
        "Rainforth et al. 2018",
        objective="piwae",
    ),
    _family(
        "stl", "a VAE whose gradient sticks the landing", "Roeder et al. 2017", objective="stl"
    ),
    _family(
        "dreg",
        "IWAE with the doubly reparameterized gradient",
        "Tucker et al. 2019",
        objective="dreg",
    ),
    _family("renyi", "a VAE trained by Rényi's bound", "Li & Turner 2016", objective="renyi"),
    _family(
        "infovae",
        "a VAE whose codes are held to the prior by MMD too",
        "Zhao et al. 2019",
        objective="infovae",
    ),
    _family(
        "wae-mmd",
        "a Wasserstein autoencoder: squared error, and codes held to the prior by MMD",
        "Tolstikhin et al. 2018",
        objective="wae-mmd",
    ),
    _family(
        "swae",
        "the same by the sliced Wasserstein distance",
        "Kolouri et al. 2019",
        objective="swae",
    ),
    _family(
        "dip", "a VAE whose codes' covariance is held to I", "Kumar et al. 2018", objective="dip"
    ),
    _family(
        "tc",
        "β-TCVAE: the total correlation of the codes weighs more",
        "Chen et al. 2018",
        objective="tc",
    ),
    _family(
        "factor", "FactorVAE: the same by a discriminator", "Kim & Mnih 2018", objective="factor"
    ),
    _family(
        "dfc",
        "a VAE whose reconstructions are compared by a classifier's features",
        "Hou et al. 2017",
        objective="dfc",
    ),
    _family(
        "ms-ssim",
        "a VAE whose reconstructions are compared by multi-scale structural similarity",
        "Snell et al. 2017",
        replace(nets.BIAS, default="mean"),  # from grey the way to a black background is flat
        objective="ms-ssim",
    ),
    _family("conv", "a VAE with convolutions", "", net="conv"),
)
