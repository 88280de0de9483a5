"""The submission's side of the pipe: arrays in, arrays back.

Runs in a confined process. It knows what to call and with what, and nothing of what should come
out; no verdict is made here, so code that takes over this process gains nothing but the chance to
send other arrays.
"""

import importlib
import importlib.util
import linecache
import os
import random
import sys
import traceback
import types

import numpy as np
import torch

from grading import wire

MAX_REQUEST = 1 << 30
MAX_TEXT = 500
PACKAGE = "codebase"
GRADED = ("utils.py", "models/vae.py", "models/gmvae.py", "models/ssvae.py")

# What submissions import for data and pictures, and no graded function needs: an empty module is
# there instead, so that nothing of it has to be installed, or waited for.
REPLACED = {
    "IPython", "cv2", "ipywidgets", "matplotlib", "pandas", "seaborn", "skimage", "sklearn",
    "tensorboard", "tensorboardX", "tensorflow", "torchvision", "wandb",
}  # fmt: skip
# The same, but only where they are not installed: torch itself may import these.
REPLACED_IF_ABSENT = {"PIL", "imageio", "scipy", "tqdm"}


def serve(requests, replies, folder, guards):
    """Answer requests until the grader closes the pipe.

    Args:
        requests, replies: binary streams.
        folder: holds the assembled package.
        guards: what `lockdown.confine` got; told to the grader before any submitted code runs.
    """
    sys.path.insert(0, str(folder))
    sys.meta_path.insert(0, Placeholders(REPLACED))
    sys.meta_path.append(Placeholders(REPLACED_IF_ABSENT))
    wire.send(replies, {"guards": guards})
    models = {}
    while True:
        try:
            info, arrays = wire.receive(requests, MAX_REQUEST)
        except EOFError:
            return
        try:
            reply = OPERATIONS[info["operation"]](info, arrays, models)
        except BaseException as error:  # exit() in submitted code raises SystemExit
            reply = {"error": describe(error, folder)}, {}
        wire.send(replies, *reply)


def describe(error, folder):
    """An exception as plain text: its type, message, and the line that its author should look at.

    That is the last one in a graded file, though a helper further down may have raised it.
    """
    message = str(error).replace(f"{folder}{os.sep}", "")
    found = {"type": type(error).__name__, "message": message[:MAX_TEXT]}
    frames = traceback.extract_tb(error.__traceback__)
    inside = [f for f in frames if f.filename.startswith(str(folder))]
    inside.sort(key=lambda f: f.filename.replace(os.sep, "/").endswith(GRADED))
    if isinstance(error, SyntaxError) and str(error.filename).startswith(str(folder)):
        place = error.filename, error.lineno or 0, ""
    elif inside:
        place = inside[-1].filename, inside[-1].lineno, inside[-1].name
    else:
        return found
    path, line, function = place
    text = linecache.getline(path, line).strip()[:MAX_TEXT]
    file = os.path.relpath(path, folder).replace(os.sep, "/")
    return found | {"file": file, "line": line, "function": function, "text": text}


# Operations: (info, arrays, models already built) → (info, arrays)


def load(info, arrays, models):
    """Import a module of the package."""
    package_module(info["module"])
    return {}, {}


def function(info, arrays, models):
    """Call a function of utils.py, several times from one seed, and differentiate it if asked.

    info: name; repeat; seed; gradient. arrays: "0", "1", … the arguments; "cotangent".
    Returns value (repeat, …) and, for gradient, "d0", "d1", …: Σ cotangent · value differentiated.
    """
    call = getattr(package_module("utils"), info["name"], None)
    if call is None:
        return {"missing": info["name"]}, {}
    arguments = [tensor(arrays[str(i)]) for i in range(info["arguments"])]
    if info["gradient"]:
        arguments = [a.requires_grad_() for a in arguments]
    seed_all(info["seed"])
    values = [call(*arguments) for _ in range(info["repeat"])]
    found = outputs_of([(value,) for value in values])
    if not info["gradient"] or "error" in found[0]:
        return found
    value = values[-1]
    if not value.requires_grad:
        return found[0] | {"constant": True}, found[1]
    (value * tensor(arrays["cotangent"])).sum().backward()
    return found[0], found[1] | {
        f"d{i}": a.grad.numpy() for i, a in enumerate(arguments) if a.grad is not None
    }


def parameters(info, arrays, models):
    """The model's state as it is built, {name: array}."""
    seed_all(info["seed"])
    return {}, {name: t.detach().numpy() for name, t in built(info, models).state_dict().items()}


def networks(info, arrays, models):
    """What the networks make of given inputs, each its own part of the answer where asked.

    arrays: x or x and y → m, v; z or z and y → logits; with classify, x → classes.
    """
    model = loaded(info, arrays, models)
    given = {name: tensor(arrays[f"input.{name}"], model) for name in info["inputs"]}
    x, z, y = (given.get(name) for name in "xzy")
    label = () if y is None else (y,)
    with torch.no_grad():
        if info["part"] == "enc":
            found = dict(zip("mv", method(model.enc, "encode")(x, *label), strict=True))
        elif info["part"] == "dec":
            found = {"logits": method(model.dec, "decode")(z, *label)}
        else:
            found = {"classes": method(model.cls, "classify")(x)}
    return {}, {name: array(t) for name, t in found.items()}


def bound(info, arrays, models):
    """A bound of the model, several times from one seed; the gradients of its first term if asked.

    info: method; extra, further arguments; repeat; seed; gradient, names of parameters.
    Returns "0", "1", … (repeat, …), and "d.‹name›" for every parameter that has a gradient.
    """
    model = loaded(info, arrays, models)
    call = getattr(model, info["method"], None)
    if call is None:
        return {"missing": info["method"]}, {}
    x = tensor(arrays["input.x"], model)
    seed_all(info["seed"])
    with torch.set_grad_enabled(bool(info["gradient"])):
        rows = [call(x, *info["extra"]) for _ in range(info["repeat"])]
    found = outputs_of(rows)
    if not info["gradient"] or "error" in found[0]:
        return found
    first = rows[-1][0]
    if not first.requires_grad:
        return found[0] | {"constant": True}, found[1]
    model.zero_grad()
    first.sum().backward()
    named = dict(model.named_parameters())
    gradients = {n: named[n].grad for n in info["gradient"] if named[n].grad is not None}
    return found[0], found[1] | {f"d.{name}": array(g) for name, g in gradients.items()}


def training(info, arrays, models):
    """Train a model by this project's loop.

    info: model; arguments; semisup; iterations; batch_size; seed. arrays: train_x uint8,
    train_y; labelled_x grey, labelled_y one-hot. Returns the trained state.
    """
    data, loop = (package_module(name) for name in ("data", "train"))
    given = {name: torch.tensor(a) for name, a in arrays.items()}
    seed_all(info["seed"])
    model = built(info, models)
    stream = data.generator(info["seed"])
    loop.train(
        model,
        data.Batches(given["train_x"], given["train_y"], info["batch_size"], stream),
        (given["labelled_x"], given["labelled_y"]) if info["semisup"] else None,
        torch.device("cpu"),
        quiet,
        None,
        iter_max=info["iterations"],
        y_status="semisup" if info["semisup"] else "none",
    )
    return {}, {name: array(t) for name, t in model.state_dict().items()}


OPERATIONS = {f.__name__: f for f in (load, function, parameters, networks, bound, training)}


# Helpers


def package_module(name):
    """A module of the submission, with utils imported first, as the scripts do."""
    importlib.import_module(f"{PACKAGE}.utils")
    return importlib.import_module(f"{PACKAGE}.{name}")


def built(info, models):
    """The model of these arguments, built once."""
    key = info["model"], repr(info["arguments"])
    if key not in models:
        kind = getattr(package_module(f"models.{info['model'].lower()}"), info["model"])
        models[key] = kind(**info["arguments"])
    return models[key]


def loaded(info, arrays, models):
    """The model with the weights that came along."""
    model = built(info, models)
    prefix = "state."
    state = {k[len(prefix) :]: torch.tensor(a) for k, a in arrays.items() if k.startswith(prefix)}
    model.load_state_dict(state)
    return model.eval()  # a submission's own networks may hold dropout


def method(network, name):
    """A network's forward, under the name older solutions give it where it has none."""
    return getattr(network, name, network)


def tensor(a, model=None):
    """An array as a tensor of the model's type, or torch's default one."""
    like = None if model is None else next(model.parameters(), None)
    return torch.tensor(a, dtype=torch.get_default_dtype() if like is None else like.dtype)


def array(t):
    """A tensor as an array of a type that travels."""
    a = t.detach().cpu()
    return a.numpy() if a.dtype in (torch.float32, torch.float64) else a.double().numpy()


def outputs_of(rows):
    """Rows of outputs, each output stacked over the rows under its index.

    What is neither a tensor nor a number is reported instead of sent.
    """
    if not all(isinstance(row, (tuple, list)) for row in rows):
        return {"error": {"type": "returned", "message": type(rows[0]).__name__}}, {}
    for value in (value for row in rows for value in row):
        if not isinstance(value, (torch.Tensor, float, int)):
            return {"error": {"type": "returned", "message": type(value).__name__}}, {}
    plain = any(not isinstance(value, torch.Tensor) for value in rows[0])
    columns = zip(*rows, strict=True)
    stacked = {
        str(i): array(torch.stack([torch.as_tensor(v).detach() for v in column]))
        for i, column in enumerate(columns)
    }
    return {"plain": plain}, stacked


def seed_all(seed):
    """Every generator a submission may draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- submissions use the legacy generator
    torch.manual_seed(seed)


class quiet:
    """A progress bar that shows nothing."""

    def __init__(self, *args, **kwargs):
        self.n = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def update(self, *args):
        return None

    set_postfix = set_description = set_postfix_str = close = refresh = update


class Placeholders:
    """An importer of empty modules, for the packages of the given names."""

    def __init__(self, packages):
        self.packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            return importlib.util.spec_from_loader(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Placeholder(spec.name)

    def exec_module(self, module):
        module.__version__ = "99"


class Placeholder(types.ModuleType):
    """A module, class or function that is there and does nothing."""

    def __init__(self, name="placeholder", *args, **kwargs):
        super().__init__(str(name))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder(name)

    def __call__(self, *args, **kwargs):
        return self
