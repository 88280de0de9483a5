"""The VAE's neighbours: pixel after pixel, games of two networks, noise taken away."""

from dataclasses import replace

from codebase.axes import nets
from codebase.catalogue.entry import Entry
from codebase.catalogue.flags import LAYERS, dimensions, size
from codebase.flag import IN_NAME, one_of, real, whole


def _exact(name, line, source, claim, cls, iter_max, *own, lr=1e-3):
    """One of models.autoregressive and its neighbours, "module:Class"."""
    return Entry(name, line, source, claim, f"codebase.models.{cls}", "exact", iter_max, own, lr=lr)


ENTRIES = (
    _exact(
        "made",
        "a masked MLP that gives each pixel given those before: log p(x) is exact",
        "Germain et al. 2015",
        "as good as other tractable densities, and faster; binarized MNIST: 86.64 nats",
        "autoregressive:MADE",
        20_000,
        size("hidden", "width of the hidden layers", 500),
        size("layers", "hidden layers", 2, most=100),
    ),
    _exact(
        "pixelcnn",
        "the same by small convolutions that look back only, without a blind spot",
        "van den Oord et al. 2016",
        "binarized MNIST: 81.30 nats (PixelRNN 79.20)",
        "pixelcnn:PixelCNN",
        5_000,
        size("channels", "of each of the two stacks", 16, most=1_000),
        size("layers", "of convolutions; layers + 2 rows and columns are seen", 6, most=100),
        lr=4e-3,
    ),
    _exact(
        "transformer",
        "the same by a small transformer over patches of pixels, 2^(patch²) kinds of them",
        "Vaswani et al. 2017; Chen et al. 2020",
        "pixels in a row, nothing said of rows and columns: features as good as supervised ones",
        "transformer:Transformer",
        5_000,
        size("width", "of what a place knows", 64),
        size("layers", "of attention", 3, most=100),
        size("heads", "of the attention, which divide the width", 4, most=100),
        size("patch", "side of a patch, which divides 28", 2, most=2),
    ),
    Entry(
        "gan",
        "a generator of images against a discriminator: samples, but neither density nor codes",
        "Goodfellow et al. 2014",
        "its only optimum is the data's distribution; neither chains nor inference are needed",
        "codebase.models.gan:GAN",
        "adversarial",
        20_000,
        (
            dimensions(64),
            one_of("game", "what the generator minimizes", "non-saturating", "minimax"),
            one_of("net", "of both players", "mlp", "conv"),
            nets.HIDDEN,
            real(
                "dropout",
                "share of the discriminator's hidden units that are 0 in training",
                0.3,
                most=0.99,
            ),
        ),
        lr=2e-4,
    ),
    Entry(
        "vae-gan",
        "a VAE whose reconstructions are compared by what a discriminator sees of them",
        "Larsen et al. 2016",
        "better-looking faces than by errors of pixels",
        "codebase.models.vaegan:VAEGAN",
        "likelihood",
        20_000,
        (
            dimensions(10),
            real(
                "gamma",
                "weight of the reconstruction beside the game, in the generator's loss",
                0.1,
            ),
            one_of("net", "of all three players", "mlp", "conv"),
            nets.HIDDEN,
        ),
        lr=2e-4,
    ),
    Entry(
        "diffusion",
        "noise taken away step by step; a bound of log p(x), and no latents",
        "Ho et al. 2020",
        "CIFAR-10: FID 3.17",
        "codebase.models.diffusion:Diffusion",
        "diffusion",
        20_000,
        (
            replace(
                one_of("net", "that is asked for the noise", "mlp", "unet"),
                names=IN_NAME,
                written=lambda net: f"net={net}",
            ),
            size("times", "steps of noise", 200),
            one_of("noising", "schedule of the noise", "logsnr", "linear"),
            one_of("objective", "squared error of the noise, or the bound", "simple", "bound"),
            replace(nets.HIDDEN, default=512),
            replace(LAYERS, help="hidden layers of the mlp", default=3),
            whole("channels", "of the unet", 16, most=1_000),
        ),
    ),
    Entry(
        "latent-diffusion",
        "a VAE, and over its codes, once it stands still, diffusion as a prior",
        "Rombach et al. 2022; Vahdat et al. 2021",
        "nearly the same images for far less computation",
        "codebase.models.latent_diffusion:LatentDiffusion",
        "diffusion",
        20_000,
        (
            dimensions(10),
            whole("vae_steps", "steps in which the VAE is trained", 10_000),
            size("times", "steps of noise", 200),
            replace(nets.HIDDEN, default=128),
            replace(LAYERS, help="hidden layers of the network", default=3),
        ),
    ),
)
