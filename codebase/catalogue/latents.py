"""Models whose latents are discrete, of several layers, or not the encoder's."""

from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import dimensions, size
from codebase.flag import one_of, real, whole


def _layers(name, line, source, claim, cls):
    """A VAE of two layers."""
    flags = (
        dimensions(10),
        size("z2_dim", "latent dimensions of the layer above", 10),
        whole("warm_up", "steps in which kl comes to weigh 1", 2_000, least=0),
    )
    made = f"codebase.models.layers:{cls}"
    return Entry(name, line, source, claim, made, "likelihood", 20_000, flags)


ENTRIES = (
    Entry(
        "svi",
        "a VAE without an encoder: gradient steps find every image's posterior anew",
        "Hoffman et al. 2013",
        "millions of documents, and better than batches of fewer",
        "codebase.models.svi:SVI",
        "likelihood",
        20_000,
        (
            dimensions(10),
            whole("inner", "gradient steps for a posterior", 20, most=100_000),
        ),
    ),
    Entry(
        "categorical",
        "a VAE with N choices of one in C, by Gumbel-softmax; its bounds are of hard choices",
        "Jang et al. 2017; Maddison et al. 2017",
        "static bits, 20 × 10: bound 101.5 nats (200 × 2: 105.0)",
        "codebase.models.categorical:CategoricalVAE",
        "likelihood",
        20_000,
        (
            size("n", "choices", 20, most=1_000),
            size("c", "of how many each is one", 10, least=2, most=1_000),
            whole("t_steps", "steps in which the temperature falls from 1 to ½", 10_000),
        ),
    ),
    Entry(
        "joint",
        "a Gaussian vector and one choice of C per image, with a capacity each",
        "Dupont 2018",
        "keeps discrete and continuous factors apart, unsupervised",
        "codebase.models.categorical:JointVAE",
        "likelihood",
        20_000,
        (
            dimensions(10),
            size("c", "of how many the choice is one", 10, least=2, most=1_000),
            real("gamma", "weight of |kl − capacity|", 30.0),
            real("capacity_z", "nats that kl of the Gaussian is led to", 5.0),
            real("capacity_c", "nats that kl of the choice is led to, log C at most", 5.0),
            whole("capacity_steps", "steps in which the capacities grow to that", 10_000),
            whole("t_steps", "steps in which the temperature falls from 1 to ½", 10_000),
        ),
    ),
    Entry(
        "vq",
        "a VAE whose latents are entries of a codebook, with a learned prior over them",
        "van den Oord et al. 2017",
        "no posterior collapses; images, video and speech",
        "codebase.models.vq:VQVAE",
        "likelihood",
        20_000,
        (
            size("codes", "entries that an image has", 10, most=1_000),
            size("k", "entries of the codebook", 64, most=10_000),
            size("width", "dimensions of an entry", 8, most=1_000),
            one_of("codebook", "ema: averages of what chose them", "ema", "gradient"),
            one_of("code_prior", "over the codes", "learned", "uniform"),
        ),
    ),
    _layers(
        "two-layer",
        "a VAE with a latent vector above another",
        "Burda et al. 2016",
        "dynamic bits: 85.33 nats, one layer 86.76",
        "TwoLayer",
    ),
    _layers(
        "ladder",
        "two layers whose posterior merges what the image and the layer above say",
        "Sønderby et al. 2016",
        "dynamic bits, deeper, batch-normalized: 81.74 nats; uses layers that lie idle otherwise",
        "Ladder",
    ),
    _layers(
        "structured",
        "a ladder of rectified Gaussians",
        "Salimans 2016",
        "many layers of sparse units, trained together",
        "Structured",
    ),
    Entry(
        "auxiliary",
        "a VAE whose posterior is a mixture over an auxiliary variable",
        "Maaløe et al. 2016",
        "posteriors of more shapes, trained faster, the generative model the same",
        "codebase.models.auxiliary:AuxiliaryVAE",
        "likelihood",
        20_000,
        (dimensions(10), size("a_dim", "dimensions of the auxiliary variable", 10)),
    ),
)
