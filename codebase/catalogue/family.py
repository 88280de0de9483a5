"""VAEs put together from parts (see `axes`)."""

from dataclasses import replace

from codebase.axes import nets
from codebase.catalogue.entry import FAMILY, Entry
from codebase.catalogue.flags import components, dimensions


def _family(name, line, source, claim, *own, **parts):
    """The VAE with other parts: {axis: name}."""
    flags = (dimensions(10), *own)
    return Entry(name, line, source, claim, FAMILY, "likelihood", 20_000, flags, parts=parts)


ENTRIES = (
    _family(
        "vamp",
        "a VAE whose prior is a mixture of the posteriors of K learned images",
        "Tomczak & Welling 2018",
        "latents do not lie idle; static bits, one layer of 40 dimensions: 85.57 nats",
        components(500),
        prior="vamp",
    ),
    _family(
        "realnvp",
        "a VAE whose prior is a flow of affine couplings",
        "Dinh et al. 2017",
        "static bits, a ResNet: 79.99 nats, N(0, I) 82.95, in the posterior 80.97 (Xu et al.)",
        prior="realnvp",
    ),
    _family(
        "maf",
        "a VAE whose prior is an autoregressive flow",
        "Papamakarios et al. 2017",
        "static bits, a ResNet: 79.30 nats, IAF in the posterior 79.88 (Chen et al. 2017)",
        prior="maf",
    ),
    _family(
        "full",
        "a VAE whose posterior has every covariance",
        "Kingma & Welling 2014",
        "",
        posterior="full",
    ),
    _family(
        "planar",
        "a VAE whose posterior is a Gaussian pushed through planar flows",
        "Rezende & Mohamed 2015",
        "richer posteriors, better bounds; static bits: 85.10 nats",
        posterior="planar",
    ),
    _family(
        "radial",
        "a VAE whose posterior is a Gaussian pushed through radial flows",
        "Rezende & Mohamed 2015",
        "richer posteriors, better bounds",
        posterior="radial",
    ),
    _family(
        "iaf",
        "a VAE whose posterior is a Gaussian pushed through inverse autoregressive flows",
        "Kingma et al. 2016",
        "dynamic bits, a ResNet: bound 80.80, log p 79.10 nats; diagonal 84.08 and 81.08",
        posterior="iaf",
    ),
    _family(
        "householder",
        "a VAE whose posterior is a Gaussian turned by reflections",
        "Tomczak & Welling 2016",
        "a richer posterior without a determinant, not behind other flows",
        posterior="householder",
    ),
    _family(
        "pixel-vae",
        "a VAE whose decoder is a PixelCNN too, with some nats of each latent dimension free",
        "Gulrajani et al. 2017; Chen et al. 2017",
        "static bits: 80.64 nats, without the PixelCNN 87.41",
        likelihood="pixelcnn",
        objective="freebits",
    ),
    _family(
        "gaussian",
        "a VAE of grey pixels with one learned variance",
        "Kingma & Welling 2014; Rybkin et al. 2021",
        "a learned or analytic variance weighs both terms by itself, better than a tuned β",
        likelihood="gaussian",
    ),
    _family(
        "continuous-bernoulli",
        "a VAE of grey pixels with the continuous Bernoulli's density",
        "Loaiza-Ganem & Cunningham 2019",
        "what a Bernoulli of grey pixels leaves out matters; with it samples are sharper",
        likelihood="continuous-bernoulli",
    ),
    _family(
        "logcosh",
        "a VAE of grey pixels with the log-cosh density",
        "Chen et al. 2019",
        "",
        likelihood="logcosh",
    ),
    _family(
        "logistic",
        "a VAE of 256 levels of grey with a discretized logistic law",
        "Kingma et al. 2016; Salimans et al. 2017",
        "trains faster than 256 classes a pixel",
        likelihood="logistic",
    ),
    _family(
        "warmup",
        "a VAE whose kl is weighed more and more while it begins",
        "Bowman et al. 2016",
        "latents are not ignored, and the bound at the end is better (of text)",
        objective="warmup",
    ),
    _family(
        "capacity",
        "a VAE whose kl is held to a capacity that grows",
        "Burgess et al. 2018",
        "disentangles more reliably, and redraws as well",
        objective="capacity",
    ),
    _family(
        "freebits",
        "a VAE with some nats of each latent dimension free",
        "Kingma et al. 2016",
        "latents are not given up early",
        objective="freebits",
    ),
    _family(
        "iwae",
        "a VAE trained by the importance-weighted bound",
        "Burda et al. 2016",
        "dynamic bits, one layer: 85.54 nats with 5 samples, 84.78 with 50, a VAE 86.76",
        objective="iwae",
    ),
    _family(
        "miwae",
        "a VAE trained by the mean of several importance-weighted bounds",
        "Rainforth et al. 2018",
        "drowns the encoder's gradient less; dynamic bits, 8 of 8 samples: 84.97 nats",
        objective="miwae",
    ),
    _family(
        "ciwae",
        "a VAE trained by a mixture of the importance-weighted bound and −ELBO",
        "Rainforth et al. 2018",
        "better than IWAE by IWAE's own measure; dynamic bits, β 0.05: 84.57 nats",
        objective="ciwae",
    ),
    _family(
        "piwae",
        "a VAE whose encoder is trained by MIWAE and the rest by IWAE",
        "Rainforth et al. 2018",
        "both networks better than IWAE's; dynamic bits, 8 of 8 samples: 84.46 nats",
        objective="piwae",
    ),
    _family(
        "stl",
        "a VAE whose gradient sticks the landing",
        "Roeder et al. 2017",
        "unbiased, and without variance where q is exact",
        objective="stl",
    ),
    _family(
        "dreg",
        "IWAE with the doubly reparameterized gradient",
        "Tucker et al. 2019",
        "unbiased too, less noisy, and not noisier with more samples",
        objective="dreg",
    ),
    _family(
        "renyi",
        "a VAE trained by Rényi's bound",
        "Li & Turner 2016",
        "from the ELBO to log p(x); one layer, α = ½, 5 samples: 85.50 nats, their IWAE 85.41",
        objective="renyi",
    ),
    _family(
        "infovae",
        "a VAE whose codes are held to the prior by MMD too",
        "Zhao et al. 2019",
        "codes say more of the image and posteriors are better than by the ELBO",
        objective="infovae",
    ),
    _family(
        "wae-mmd",
        "a Wasserstein autoencoder: squared error, and codes held to the prior by MMD",
        "Tolstikhin et al. 2018",
        "minimizes a transport cost from the model to the data",
        objective="wae-mmd",
    ),
    _family(
        "swae",
        "the same by the sliced Wasserstein distance",
        "Kolouri et al. 2019",
        "as able as WAE, for any prior one can draw from, without an adversary",
        objective="swae",
    ),
    _family(
        "dip",
        "a VAE whose codes' covariance is held to I",
        "Kumar et al. 2018",
        "more disentangled than β-VAE, and redraws better",
        objective="dip",
    ),
    _family(
        "tc",
        "β-TCVAE: the total correlation of the codes weighs more",
        "Chen et al. 2018",
        "more disentangled than β-VAE without a further hyperparameter",
        objective="tc",
    ),
    _family(
        "factor",
        "FactorVAE: the same by a discriminator",
        "Kim & Mnih 2018",
        "more disentangled than β-VAE at the same reconstruction",
        objective="factor",
    ),
    _family(
        "dfc",
        "a VAE whose reconstructions are compared by a classifier's features",
        "Hou et al. 2017",
        "better-looking faces than by errors of pixels, and codes that tell attributes",
        objective="dfc",
    ),
    _family(
        "ms-ssim",
        "a VAE whose reconstructions are compared by multi-scale structural similarity",
        "Snell et al. 2017",
        "people prefer its images to those trained by L1 or L2",
        replace(nets.BIAS, default="mean"),  # from grey the way to a black background is flat
        objective="ms-ssim",
    ),
    _family("conv", "a VAE with convolutions", "", "", net="conv"),
)
