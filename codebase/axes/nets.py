"""Networks, which are in models/nns/parts.py."""

from codebase.axes.part import Part
from codebase.flag import one_of, whole

HIDDEN = whole("hidden", "width of hidden layers", 300, most=100_000)
LAYERS = whole("layers", "hidden layers", 2, most=100)
ACTIVATION = one_of("activation", "between layers", "elu", "relu", "silu", "softplus", "tanh")
BIAS = one_of(
    "bias",
    "mean: the decoder's last bias begins where it draws the average training image",
    "zero",
    "mean",
)

PARTS = (
    Part(
        "v1",
        "MLPs, by default two hidden layers of 300 with ELU",
        "",
        "codebase.models.nns.parts:MLP",
        (HIDDEN, LAYERS, ACTIVATION, BIAS),
    ),
    Part(
        "gated",
        "MLPs whose hidden layers are gated",
        "Tomczak & Welling 2018",
        "codebase.models.nns.parts:Gated",
        (HIDDEN, LAYERS, BIAS),
    ),
    Part(
        "conv",
        "two convolutions each way and a hidden layer",
        "",
        "codebase.models.nns.parts:Conv",
        (HIDDEN, BIAS),
    ),
)
