"""Flags that several models have."""

from dataclasses import replace

from codebase.flag import IN_NAME, Flag, number, switch, weight, whole


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


def size(name: str, line: str, default: int, least: int = 1, most: int = 10_000) -> Flag:
    """A flag for a size, which begins a run's name, and the argument of that name."""

    def written(value):
        return f"{name}={value:02d}"

    flag = whole(name, line, default, least=least, most=most)
    return replace(flag, names=IN_NAME, written=written)


# Of models of 100 labels
LABELLED = (
    Flag(
        "n_labels",
        "labelled images, of every digit as many as that allows; below 10 some have none",
        type=number(int, 1, 60_000),
        default=100,
    ),
    Flag("label_seed", "draws other labelled images", type=number(int, 0), default=0),
)
SEMISUPERVISED = (
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
        "1: ELBO(x, y) of the labelled images too, its mean weighing as much as the others'",
        type=switch,
        default=0,
        argument="labeled_elbo",
        beyond=True,
    ),
    *LABELLED,
)

# Of MLPs
LAYERS = whole("layers", "hidden layers on each side", 2, least=0, most=100)
