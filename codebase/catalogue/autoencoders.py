"""Autoencoders: codes that are points."""

from dataclasses import replace

from codebase.axes import nets
from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import LAYERS, dimensions
from codebase.flag import Flag, one_of, real, switch, whole

ONE_LAYER = replace(LAYERS, default=0)
ACTIVATION = one_of(
    "activation",
    "of the hidden layers",
    *("elu", "relu", "silu", "softplus", "tanh", "sigmoid", "linear"),
)
OUTPUT = one_of("output", "function of the redrawn pixels", "sigmoid", "linear")
TIED = Flag(
    "tied",
    "1: the decoder's matrices are the encoder's, transposed",
    type=switch,
    default=0,
    argument="tied",
)
WEIGHT = real("weight", "of the penalty", 0.1)
DENSE = (nets.HIDDEN, LAYERS, ACTIVATION, OUTPUT)
SHALLOW = (nets.HIDDEN, ONE_LAYER, ACTIVATION, OUTPUT)


def _autoencoder(name, line, source, claim, cls, *own, z=10):
    """One of models.autoencoders and its neighbours, "module:Class"."""
    model = f"codebase.models.{cls}"
    return Entry(name, line, source, claim, model, "reconstruction", 20_000, (dimensions(z), *own))


ENTRIES = (
    _autoencoder(
        "ae",
        "a deep autoencoder: a code for each image, and the image redrawn from it",
        "Hinton & Salakhutdinov 2006",
        "far better codes than PCA's",
        "autoencoders:DeepAutoencoder",
        *(*DENSE, TIED),
    ),
    _autoencoder(
        "linear-ae",
        "an autoencoder of one linear layer on each side: PCA, found by gradients",
        "Baldi & Hornik 1989",
        "PCA's subspace is the only minimum, all else that is flat a saddle",
        "autoencoders:DeepAutoencoder",
        *(nets.HIDDEN, ONE_LAYER, replace(ACTIVATION, default="linear")),
        *(replace(OUTPUT, default="linear"), TIED),
    ),
    _autoencoder(
        "stacked-ae",
        "a deep autoencoder whose layers are trained one by one first, then together",
        "Bengio et al. 2007",
        "deep networks from random starts get stuck",
        "autoencoders:StackedAutoencoder",
        *(*DENSE, TIED),
        whole("pretrain", "steps that each layer is trained for alone", 2_000, least=0),
    ),
    _autoencoder(
        "conv-ae",
        "an autoencoder of convolutions",
        "Masci et al. 2011",
        "filters that are a better start for a classifier of MNIST and CIFAR-10",
        "convolutional:ConvAutoencoder",
        whole(
            "channels", "of the first layer, twice as many in every further one", 16, most=10_000
        ),
        whole("layers", "of stride 2, on each side", 2, least=0, most=10),
        whole("kernel", "side of the kernels, odd", 3, most=99),
        *(ACTIVATION, OUTPUT),
    ),
    _autoencoder(
        "denoising-ae",
        "a deep autoencoder that redraws the clean image from a spoiled one",
        "Vincent et al. 2008",
        "robuster features; stacked, better classifiers",
        "autoencoders:DenoisingAutoencoder",
        *(*DENSE, TIED),
        Flag(
            "noise",
            "what spoils the images in training",
            default="masking",
            choices=("gaussian", "masking", "saltpepper"),
            argument="noise",
        ),
        real("rate", "of the noise: the standard deviation, or how many of the pixels", 0.3),
    ),
    _autoencoder(
        "k-sparse-ae",
        "an autoencoder that keeps the k largest units of a large linear code",
        "Makhzani & Frey 2014",
        "classifies MNIST and NORB better than denoising autoencoders, dropout and RBMs",
        "sparse:KSparseAutoencoder",
        *(*SHALLOW, replace(TIED, default=1)),
        whole("active", "k, the units that are kept", 25, most=10_000),
        real("alpha", "in evaluation αk are kept", 1.0, least=1),
        z=1_000,
    ),
    _autoencoder(
        "l1-ae",
        "an autoencoder whose codes cost their absolute values, or their squares",
        "Ng 2011",
        "features from unlabelled images alone",
        "sparse:NormSparseAutoencoder",
        *SHALLOW,
        WEIGHT,
        one_of("norm", "of the code", "l1", "l2"),
        z=1_000,
    ),
    _autoencoder(
        "kl-ae",
        "an autoencoder of sigmoid units that are to be active as seldom as ρ",
        "Ng 2011",
        "features from unlabelled images alone",
        "sparse:KLSparseAutoencoder",
        *(*SHALLOW, TIED, WEIGHT),
        real("rho", "ρ, how active a unit is to be on average", 0.05, least=1e-6, most=1 - 1e-6),
        z=1_000,
    ),
    _autoencoder(
        "contractive-ae",
        "an autoencoder whose code hardly moves when the image does",
        "Rifai et al. 2011",
        "classifies as well as denoising autoencoders or better",
        "sparse:ContractiveAutoencoder",
        *(*SHALLOW, replace(TIED, default=1), WEIGHT),
        z=1_000,
    ),
)
