"""Every model by its name: how it is built, its flags, what is measured of it. Imports no torch."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from codebase import axes
from codebase.axes import BETA
from codebase.errors import UserError, nearest
from codebase.flag import IF_CHANGED, IN_NAME, Flag, number, switch, weight

FAMILY = "codebase.models.family:FamilyVAE"  # takes a factory for each axis

if TYPE_CHECKING:
    import torch

    from codebase.models.base import Model


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Args:
        name: what one types, and what begins its runs' names.
        line: what it is, in one line.
        source: who thought of it.
        model: "module:Class"; imported when it is built. A constructor takes `name` and what the
            flags' `argument`s say.
        task: the module of codebase.tasks that measures and draws it.
        iter_max: iterations it is trained for.
        own: a `Flag` for each of its settings.
        reference: where evaluation.reference.BANDS has the bands of its default flags, formatted
            with their values; "" where there are none.
        parts: of a model that is put together from parts (see `axes`), {axis: its own} where that
            is not the VAE's; None: of one that is not. With other parts than these, the
            assignment's two are models of the family too.
    """

    name: str
    line: str
    source: str
    model: str
    task: str
    iter_max: int
    own: tuple[Flag, ...]
    reference: str = ""
    parts: Mapping[str, str] | None = None

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Its own, then those of the axes."""
        found = {flag.name: flag for flag in self.own}
        if self.parts is not None:
            found = {f.name: f for f in axes.flags(self.parts)} | found
        own = [flag.name for flag in self.own]
        return tuple(found[name] for name in dict.fromkeys([*own, *found]))

    def defaults(self) -> dict[str, Any]:
        """{flag: its default}."""
        return {flag.name: flag.default for flag in self.flags}

    def matters(self, values: Mapping[str, Any]) -> tuple[Flag, ...]:
        """The flags that make the model what it is: its own, and what was chosen beyond.

        Args:
            values: {flag: value}.
        """
        values = self.defaults() | dict(values)
        if self.parts is None or self._plain(values):
            return self.own
        names = {*axes.AXES, *axes.read(values)} | {flag.name for flag in self.own}
        return tuple(flag for flag in self.flags if flag.name in names)

    def check(self, values: Mapping[str, Any]) -> None:
        """Raises a UserError for parts that do not go together, and flags that no part reads."""
        if self.parts is not None:
            axes.check(self.defaults() | dict(values), self.defaults())

    def _plain(self, values: Mapping[str, Any]) -> bool:
        """Whether it is the assignment's own model, with nothing chosen that that does not know."""
        usual, own = self.defaults(), {flag.name for flag in self.own}
        beyond = (name for name in usual if name not in own)
        return self.model != FAMILY and all(values[name] == usual[name] for name in beyond)

    def layout(self, values: Mapping[str, Any]) -> str:
        """The first part of a run's name, such as "model=vae_z=10".

        Args:
            values: {flag: value}.
        """
        parts = [flag.written(values[flag.name]) for flag in self.own if flag.names == IN_NAME]
        return "_".join([f"model={self.name}", *parts])

    def build(
        self, values: Mapping[str, Any], name: str, sizes: Mapping[str, int] | None = None
    ) -> "Model":
        """The model, untrained, as one of this house (see models.adapter).

        Args:
            values: {flag: value}; a flag that is not there is at its default.
            name: of the run, names the checkpoint folder.
            sizes: {argument: value} for the constructor, in the place of what the flags say.
        """
        from codebase.models.adapter import adapted

        values = self.defaults() | dict(values)
        if self.parts is None or self._plain(values):
            made, own, arguments = self.model, self.own, {}
        else:
            read = axes.read(values)
            made, own = FAMILY, tuple(flag for flag in self.own if flag.name not in read)
            arguments = {axis: part.factory(values) for axis, part in axes.chosen(values).items()}
        for flag in own:
            value = values[flag.name]
            if flag.argument and not (flag.beyond and value == flag.default):
                arguments[flag.argument] = value
        module, cls = made.split(":")
        constructor = getattr(importlib.import_module(module), cls)
        return adapted(constructor(name=name, **arguments | dict(sizes or {})))


def dimensions(default: int) -> Flag:
    """The flag --z."""
    return Flag(
        "z",
        "latent dimensions",
        type=number(int, 1, 10_000),
        default=default,
        names=IN_NAME,
        written=lambda z: f"z={z:02d}",
        argument="z_dim",
    )


def components(default: int) -> Flag:
    """The flag --k."""
    return Flag(
        "k",
        "mixture components",
        type=number(int, 1, 100_000),
        default=default,
        names=IN_NAME,
        written=lambda k: f"k={k:03d}",
        argument="k",
    )


def _autoencoder(name, line, source, cls, *own, z=10):
    """One of models.autoencoders and its neighbours, "module:Class"."""
    model = f"codebase.models.{cls}"
    return Entry(name, line, source, model, "reconstruction", 20_000, (dimensions(z), *own))


# Flags of autoencoders
LAYERS = Flag(
    "layers", "hidden layers on each side", type=number(int, 0, 100), default=2, argument="layers"
)
ONE_LAYER = replace(LAYERS, default=0)
ACTIVATION = Flag(
    "activation",
    "of the hidden layers",
    default="elu",
    choices=("elu", "relu", "silu", "softplus", "tanh", "sigmoid", "linear"),
    argument="activation",
)
OUTPUT = Flag(
    "output",
    "function of the redrawn pixels",
    default="sigmoid",
    choices=("sigmoid", "linear"),
    argument="output",
)
TIED = Flag(
    "tied",
    "1: the decoder's matrices are the encoder's, transposed",
    type=switch,
    default=0,
    argument="tied",
)
WEIGHT = Flag("weight", "of the penalty", type=number(float, 0), default=0.1, argument="weight")
DENSE = (axes.HIDDEN, LAYERS, ACTIVATION, OUTPUT)
SHALLOW = (axes.HIDDEN, ONE_LAYER, ACTIVATION, OUTPUT)


def _whole(name, line, default, least=1, most=10_000):
    """A flag for a size, which begins a run's name, and the argument of that name."""

    def written(value):
        return f"{name}={value:02d}"

    kind = number(int, least, most)
    return Flag(
        name, line, type=kind, default=default, names=IN_NAME, written=written, argument=name
    )


def _real(name, line, default, least=0):
    """A flag for a weight, and the argument of that name."""
    return Flag(name, line, type=number(float, least), default=default, argument=name)


def _one_of(name, line, *choices):
    """A flag for one of some words, the first by default, and the argument of that name."""
    return Flag(name, line, default=choices[0], choices=choices, argument=name)


def _steps(name, line, default=10_000, least=1):
    """A flag for a number of training steps, and the argument of that name."""
    return Flag(name, line, type=number(int, least), default=default, argument=name)


def _layers(name, line, source, cls):
    """A VAE of two layers."""
    flags = (
        dimensions(10),
        _whole("z2_dim", "latent dimensions of the layer above", 10),
        _steps("warm_up", "steps in which kl comes to weigh 1", 2_000, least=0),
    )
    made = f"codebase.models.layers:{cls}"
    return Entry(name, line, source, made, "likelihood", 20_000, flags)


def _exact(name, line, source, cls, iter_max, *own):
    """One of models.autoregressive and its neighbours, "module:Class"."""
    return Entry(name, line, source, f"codebase.models.{cls}", "exact", iter_max, own)


def _family(name, line, source, *own, **parts):
    """The VAE with other parts: {axis: name}."""
    flags = (dimensions(10), *own)
    return Entry(name, line, source, FAMILY, "likelihood", 20_000, flags, parts=parts)


_ENTRIES = (
    Entry(
        "vae",
        "one Gaussian latent vector per image; a β-VAE with --beta",
        "Kingma & Welling 2014; Higgins et al. 2017",
        "codebase.models.vae:VAE",
        "likelihood",
        20_000,
        (dimensions(10), BETA),
        "vae",
        parts={},
    ),
    Entry(
        "gmvae",
        "a VAE whose prior is a learned mixture of Gaussians",
        "Stanford CS236, homework 2",
        "codebase.models.gmvae:GMVAE",
        "likelihood",
        20_000,
        (dimensions(10), components(500), BETA),
        "gmvae",
        parts={"prior": "mixture"},
    ),
    Entry(
        "ssvae",
        "a VAE with a label, known for 100 images and inferred for the others (M2)",
        "Kingma et al. 2014",
        "codebase.models.ssvae:SSVAE",
        "classifier",
        30_000,
        (
            Flag(
                "gw",
                "weight of −ELBO in the loss",
                type=number(float, 0),
                default=1.0,
                names=IN_NAME,
                written=lambda gw: f"gw={weight(gw)}",
                aliases=("-gw",),
                argument="gen_weight",
            ),
            Flag(
                "cw",
                "weight of the cross-entropy",
                type=number(float, 0),
                default=100.0,
                names=IN_NAME,
                written=lambda cw: f"cw={weight(cw)}",
                aliases=("-cw",),
                argument="class_weight",
            ),
            Flag(
                "labeled_elbo",
                "1: Kingma's objective, ELBO(x, y) too",
                type=switch,
                default=0,
                argument="labeled_elbo",
                beyond=True,
            ),
            Flag(
                "n_labels",
                "labelled images, of every digit as many as that allows; below 10 some have none",
                type=number(int, 1, 60_000),
                default=100,
            ),
            Flag("label_seed", "draws other labelled images", type=number(int, 0), default=0),
        ),
        "ssvae_gw={gw:g}",
    ),
    # with another prior
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
    # with another posterior
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
    Entry(
        "svi",
        "a VAE without an encoder: gradient steps find every image's posterior anew",
        "Hoffman et al. 2013",
        "codebase.models.svi:SVI",
        "likelihood",
        20_000,
        (
            dimensions(10),
            Flag(
                "inner",
                "gradient steps for a posterior",
                type=number(int, 1, 100_000),
                default=20,
                argument="inner",
            ),
        ),
    ),
    # discrete, conditional, of several layers
    Entry(
        "categorical",
        "a VAE with N choices of one in C, by Gumbel-softmax; its bounds are of hard choices",
        "Jang et al. 2017; Maddison et al. 2017",
        "codebase.models.categorical:CategoricalVAE",
        "likelihood",
        20_000,
        (
            _whole("n", "choices", 20, most=1_000),
            _whole("c", "of how many each is one", 10, least=2, most=1_000),
            _steps("t_steps", "steps in which the temperature falls from 1 to ½"),
        ),
    ),
    Entry(
        "joint",
        "a Gaussian vector and one choice of C per image, with a capacity each",
        "Dupont 2018",
        "codebase.models.categorical:JointVAE",
        "likelihood",
        20_000,
        (
            dimensions(10),
            _whole("c", "of how many the choice is one", 10, least=2, most=1_000),
            _real("gamma", "weight of |kl − capacity|", 30.0),
            _real("capacity_z", "nats that kl of the Gaussian is led to", 5.0),
            _real("capacity_c", "nats that kl of the choice is led to, log C at most", 5.0),
            _steps("capacity_steps", "steps in which the capacities grow to that"),
            _steps("t_steps", "steps in which the temperature falls from 1 to ½"),
        ),
    ),
    Entry(
        "vq",
        "a VAE whose latents are entries of a codebook, with a learned prior over them",
        "van den Oord et al. 2017",
        "codebase.models.vq:VQVAE",
        "likelihood",
        20_000,
        (
            _whole("codes", "entries that an image has", 10, most=1_000),
            _whole("k", "entries of the codebook", 64, most=10_000),
            _whole("width", "dimensions of an entry", 8, most=1_000),
            _one_of("codebook", "ema: averages of what chose them", "ema", "gradient"),
            _one_of("code_prior", "over the codes", "learned", "uniform"),
        ),
    ),
    _layers(
        "two-layer", "a VAE with a latent vector above another", "Burda et al. 2016", "TwoLayer"
    ),
    _layers(
        "ladder",
        "two layers whose posterior merges what the image and the layer above say",
        "Sønderby et al. 2016",
        "Ladder",
    ),
    _layers("structured", "a ladder of rectified Gaussians", "Salimans 2016", "Structured"),
    Entry(
        "auxiliary",
        "a VAE whose posterior is a mixture over an auxiliary variable",
        "Maaløe et al. 2016",
        "codebase.models.auxiliary:AuxiliaryVAE",
        "likelihood",
        20_000,
        (dimensions(10), _whole("a_dim", "dimensions of the auxiliary variable", 10)),
    ),
    Entry(
        "cvae",
        "a VAE of images given their labels, which are known for all",
        "Sohn et al. 2015",
        "codebase.models.cvae:CVAE",
        "conditional",
        20_000,
        (dimensions(10),),
    ),
    Entry(
        "complete",
        "images completed from one, two or three quadrants, beside a feed-forward network",
        "Sohn et al. 2015",
        "codebase.models.complete:Completion",
        "completion",
        20_000,
        (dimensions(20), _whole("seen", "quadrants that are seen", 1, most=3)),
    ),
    # neighbours: pixel after pixel
    _exact(
        "made",
        "a masked MLP that gives each pixel given those before: log p(x) is exact",
        "Germain et al. 2015",
        "autoregressive:MADE",
        20_000,
        _whole("hidden", "width of the hidden layers", 500),
        _whole("layers", "hidden layers", 2, most=100),
    ),
    _exact(
        "pixelcnn",
        "the same by small convolutions that look back only, without a blind spot",
        "van den Oord et al. 2016",
        "pixelcnn:PixelCNN",
        5_000,
        _whole("channels", "of each of the two stacks", 16, most=1_000),
        _whole("layers", "of convolutions; layers + 2 rows and columns are seen", 6, most=100),
    ),
    _exact(
        "transformer",
        "the same by a small transformer over patches of pixels, 2^(patch²) kinds of them",
        "Vaswani et al. 2017; Chen et al. 2020",
        "transformer:Transformer",
        5_000,
        _whole("width", "of what a place knows", 64),
        _whole("layers", "of attention", 3, most=100),
        _whole("heads", "of the attention, which divide the width", 4, most=100),
        _whole("patch", "side of a patch, which divides 28", 2, most=2),
    ),
    # neighbours: noise taken away
    Entry(
        "diffusion",
        "noise taken away step by step; a bound of log p(x), and no latents",
        "Ho et al. 2020",
        "codebase.models.diffusion:Diffusion",
        "diffusion",
        20_000,
        (
            replace(
                _one_of("net", "that is asked for the noise", "mlp", "unet"),
                names=IN_NAME,
                written=lambda net: f"net={net}",
            ),
            _whole("times", "steps of noise", 200),
            _one_of("noising", "schedule of the noise", "logsnr", "linear"),
            _one_of("objective", "squared error of the noise, or the bound", "simple", "bound"),
            replace(axes.HIDDEN, default=512),
            replace(LAYERS, help="hidden layers of the mlp", default=3),
            replace(_whole("channels", "of the unet", 16, most=1_000), names=IF_CHANGED),
        ),
    ),
    Entry(
        "latent-diffusion",
        "a VAE, and over its codes, once it stands still, diffusion as a prior",
        "Rombach et al. 2022; Vahdat et al. 2021",
        "codebase.models.latent_diffusion:LatentDiffusion",
        "diffusion",
        20_000,
        (
            dimensions(10),
            _steps("vae_steps", "steps in which the VAE is trained"),
            _whole("times", "steps of noise", 200),
            replace(axes.HIDDEN, default=128),
            replace(LAYERS, help="hidden layers of the network", default=3),
        ),
    ),
    # of other pixels
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
    # with another objective
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
    # with other networks
    _family("conv", "a VAE with convolutions", "", net="conv"),
    # autoencoders
    _autoencoder(
        "ae",
        "a deep autoencoder: a code for each image, and the image redrawn from it",
        "Hinton & Salakhutdinov 2006",
        "autoencoders:DeepAutoencoder",
        *(*DENSE, TIED),
    ),
    _autoencoder(
        "linear-ae",
        "an autoencoder of one linear layer on each side: PCA, found by gradients",
        "Baldi & Hornik 1989",
        "autoencoders:DeepAutoencoder",
        *(axes.HIDDEN, ONE_LAYER, replace(ACTIVATION, default="linear")),
        *(replace(OUTPUT, default="linear"), TIED),
    ),
    _autoencoder(
        "stacked-ae",
        "a deep autoencoder whose layers are trained one by one first, then together",
        "Bengio et al. 2007",
        "autoencoders:StackedAutoencoder",
        *(*DENSE, TIED),
        Flag(
            "pretrain",
            "steps that each layer is trained for alone",
            type=number(int, 0),
            default=2_000,
            argument="pretrain",
        ),
    ),
    _autoencoder(
        "conv-ae",
        "an autoencoder of convolutions",
        "Masci et al. 2011",
        "convolutional:ConvAutoencoder",
        Flag(
            "channels",
            "of the first layer, twice as many in every further one",
            type=number(int, 1, 10_000),
            default=16,
            argument="channels",
        ),
        Flag(
            "layers",
            "of stride 2, on each side",
            type=number(int, 0, 10),
            default=2,
            argument="layers",
        ),
        Flag(
            "kernel",
            "side of the kernels, odd",
            type=number(int, 1, 99),
            default=3,
            argument="kernel",
        ),
        *(ACTIVATION, OUTPUT),
    ),
    _autoencoder(
        "denoising-ae",
        "a deep autoencoder that redraws the clean image from a spoiled one",
        "Vincent et al. 2008",
        "autoencoders:DenoisingAutoencoder",
        *(*DENSE, TIED),
        Flag(
            "noise",
            "what spoils the images in training",
            default="masking",
            choices=("gaussian", "masking", "saltpepper"),
            argument="noise",
        ),
        Flag(
            "rate",
            "of the noise: the standard deviation, or how many of the pixels",
            type=number(float, 0),
            default=0.3,
            argument="rate",
        ),
    ),
    _autoencoder(
        "k-sparse-ae",
        "an autoencoder that keeps the k largest units of a large linear code",
        "Makhzani & Frey 2014",
        "sparse:KSparseAutoencoder",
        *(*SHALLOW, replace(TIED, default=1)),
        Flag(
            "active",
            "k, the units that are kept",
            type=number(int, 1, 10_000),
            default=25,
            argument="active",
        ),
        Flag(
            "alpha",
            "in evaluation αk are kept",
            type=number(float, 1),
            default=1.0,
            argument="alpha",
        ),
        z=1_000,
    ),
    _autoencoder(
        "l1-ae",
        "an autoencoder whose codes cost their absolute values, or their squares",
        "Ng 2011",
        "sparse:NormSparseAutoencoder",
        *SHALLOW,
        WEIGHT,
        Flag("norm", "of the code", default="l1", choices=("l1", "l2"), argument="norm"),
        z=1_000,
    ),
    _autoencoder(
        "kl-ae",
        "an autoencoder of sigmoid units that are to be active as seldom as ρ",
        "Ng 2011",
        "sparse:KLSparseAutoencoder",
        *(*SHALLOW, TIED, WEIGHT),
        Flag(
            "rho",
            "ρ, how active a unit is to be on average",
            type=number(float, 1e-6, 1 - 1e-6),
            default=0.05,
            argument="rho",
        ),
        z=1_000,
    ),
    _autoencoder(
        "contractive-ae",
        "an autoencoder whose code hardly moves when the image does",
        "Rifai et al. 2011",
        "sparse:ContractiveAutoencoder",
        *(*SHALLOW, replace(TIED, default=1), WEIGHT),
        z=1_000,
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def entry_of(name: str) -> Entry:
    """The entry of a name.

    Raises:
        UserError: there is none; it names those there are.
    """
    if name not in CATALOGUE:
        raise UserError(
            f"There is no model {name!r}; the models are {', '.join(CATALOGUE)}."
            f"{nearest(name, CATALOGUE)}"
        )
    return CATALOGUE[name]


def recognised(state: Mapping[str, "torch.Tensor"]) -> tuple[Entry, dict[str, int]]:
    """Which of the assignment's three models a bare checkpoint holds, and its settings.

    Args:
        state: a state_dict with the contract's keys.
    Returns:
        Its entry, and the sizes that the weights have, {argument: value}.
    Raises:
        LookupError, TypeError, AttributeError: it holds none of them.
    """
    z = len(state["enc.net.4.bias"]) // 2
    if "cls.net.4.bias" in state:
        found = {"z_dim": z, "y_dim": len(state["cls.net.4.bias"])}
        usual = {"z_dim": 64, "y_dim": 10}  # a solution's constructor takes neither
        return CATALOGUE["ssvae"], {k: v for k, v in found.items() if v != usual[k]}
    if "z_pre" in state:
        return CATALOGUE["gmvae"], {"z_dim": z, "k": state["z_pre"].shape[1] // 2}
    return CATALOGUE["vae"], {"z_dim": z}
