"""The submission's side of the pipe: arrays in, arrays back.

Runs in a confined process. It knows what to call and with what, and nothing of what should come
out; no verdict is made here, so code that takes over this process gains nothing but the chance to
send other arrays.
"""

import ast
import contextlib
import importlib
import inspect
import linecache
import os
import random
import signal
import sys
import textwrap
import traceback
from pathlib import Path

import numpy as np
import torch

from grading import gpu, wire
from grading.package import Package, parsed
from grading.placeholders import REPLACED, Placeholder, Replaced

MAX_REQUEST = 1 << 30
MAX_TEXT = 500
# What the starter code's gaps return, and what it assigns before them.
RETURNED = {"z", "log_prob", "nelbo", "niwae", "kl", "kl_z", "kl_y", "rec"}
ASSIGNED = {"prior", "x", "y", "y_logits", "y_logprob", "y_prob"}


def serve(requests, replies, folder, guards):
    """Answer requests until the grader closes the pipe.

    Args:
        requests, replies: binary streams.
        folder: holds the assembled package.
        guards: what `lockdown.confine` got; told to the grader before any submitted code runs.
    """
    package = Package(folder)
    os.chdir(os.path.join(package.own, package.parent))  # as its scripts would be started
    sys.meta_path[:0] = [package, Replaced(REPLACED)]
    torch.compile = as_it_is
    # By an interrupt the grader asks where code is that does not end; started in the background, a
    # process would not hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = Work(package)
    wire.send(replies, {"guards": guards})
    while True:
        try:
            info, arrays = wire.receive(requests, MAX_REQUEST)
        except EOFError:
            return
        wire.send(replies, *work.answer(info, arrays))


class Work:
    """What a session holds: the package, and the models built of it.

    Attributes:
        package: Package.
        models: {how built: model}.
        gpu: what makes the CPU pass for a GPU, once that is so.
    """

    def __init__(self, package):
        self.package, self.models, self.gpu = package, {}, None

    def answer(self, info, arrays):
        """The reply to a request: info and arrays.

        Where code that names a GPU fails, it is tried again with the CPU in its place, and if that
        helps it stays so: there is no error any more, or one that has nothing to do with a GPU in
        the place of one that has. A guarded use of a GPU may not bear one that is no GPU.
        """
        reply = self._attempt(info, arrays)
        failed = reply[0].get("error", {"type": "returned"})["type"]
        # Of these no GPU is to blame; of the last the clock is.
        own = ("returned", "NotImplementedError", "KeyboardInterrupt")
        if failed not in own and not self.gpu and self.package.mentions(gpu.WORDS):
            with contextlib.ExitStack() as pretence:
                pretence.enter_context(gpu.pretended())
                self._begin_anew()
                again = self._attempt(info, arrays)
                first, then = reply[0]["error"], again[0].get("error")
                if not then or (gpu.blamed(first) and not gpu.blamed(then)):
                    reply, self.gpu = again, pretence.pop_all()
            if not self.gpu:
                self._begin_anew()
        return reply[0] | {"gpu": self.gpu is not None}, reply[1]

    def _begin_anew(self):
        self.models.clear()
        self.package.forget()

    def _attempt(self, info, arrays):
        Placeholder.strict = False
        try:
            return OPERATIONS[info["operation"]](info, arrays, self)
        except BaseException as error:  # exit() in submitted code raises SystemExit
            return {"error": describe(error, self.package)}, {}

    def module(self, name):
        """A module of the submission's, by its name within the package."""
        strict, Placeholder.strict = Placeholder.strict, False
        try:
            return self.package.module(f"codebase.{name}")
        finally:
            Placeholder.strict = strict


def describe(error, package):
    """An exception as plain text: its type, message, and the line that its author should look at.

    That is the last one in a graded file, though a helper further down may have raised it.
    """
    # Where a syntax error is, is told by its place.
    message = str(error.msg if isinstance(error, SyntaxError) else error).replace(
        f"{package.own}/", ""
    )
    found = {"type": type(error).__name__, "message": message[:MAX_TEXT]}
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f for f in frames if package.place(f.filename)]
    lines.sort(key=lambda f: f.filename.endswith(tuple(package.graded)))
    if isinstance(error, SyntaxError):
        found["python"] = "{}.{}".format(*sys.version_info)
    if isinstance(error, SyntaxError) and package.place(str(error.filename)):
        path, line, function = error.filename, error.lineno or 0, ""
    elif lines:
        path, line, function = lines[-1].filename, lines[-1].lineno, lines[-1].name
    else:
        return found
    text = linecache.getline(path, line).strip()[:MAX_TEXT]
    where = {"file": package.place(path), "line": line, "function": function}
    gap = isinstance(error, NameError) and error.name in RETURNED and is_bare(path, line)
    return found | where | {"text": text, "gap": gap}


# Operations: (info, arrays, Work) → (info, arrays)


def check(info, arrays, work):
    """Which graded files do not even parse: {"broken": {path: error}}. Runs none of their code."""
    broken = {}
    for path in work.package.graded:
        file = f"{work.package.own}/{path}"
        with open(file, "rb") as source:
            data = source.read()
        try:
            compile(parsed(data, file), file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            broken[path] = describe(error, work.package)
    return {"broken": broken}, {}


def load(info, arrays, work):
    """Import a module of the package."""
    work.module(info["module"])
    return {}, {}


def function(info, arrays, work):
    """Call a function of utils.py, several times from one seed, and differentiate it if asked.

    info: name; repeat; seed; gradient. arrays: "0", "1", … the arguments; "cotangent".
    Returns value (repeat, …) and, for gradient, "d0", "d1", …: Σ cotangent · value differentiated;
    and the types of argument and value.
    """
    call = getattr(work.module("utils"), info["name"], None)
    if call is None:
        return {"missing": info["name"]}, {}
    Placeholder.strict = True
    arguments = [tensor(arrays[str(i)]) for i in range(info["arguments"])]
    if info["gradient"]:
        arguments = [a.requires_grad_() for a in arguments]
    seed_all(info["seed"])
    values = [call(*arguments) for _ in range(info["repeat"])]
    found = outputs_of([(value,) for value in values], call, work.package)
    if "error" in found[0]:
        return found
    found[0]["types"] = [str(torch.as_tensor(t).dtype) for t in (arguments[0], values[-1])]
    if not info["gradient"]:
        return found
    value = values[-1]
    if not value.requires_grad:
        return found[0] | {"constant": True}, found[1]
    cotangent = tensor(arrays["cotangent"])
    if cotangent.numel() != value.numel():  # of another shape, which the grader sees
        return found
    (value * cotangent.reshape(value.shape)).sum().backward()
    return found[0], found[1] | {
        f"d{i}": a.grad.numpy() for i, a in enumerate(arguments) if a.grad is not None
    }


def parameters(info, arrays, work):
    """The model's state as it is built, {name: array}."""
    seed_all(info["seed"])
    return {}, {name: t.detach().numpy() for name, t in built(info, work).state_dict().items()}


def networks(info, arrays, work):
    """What the networks make of given inputs, each its own part of the answer where asked.

    arrays: x or x and y → m, v; z or z and y → logits; with classify, x → classes.
    """
    model = loaded(info, arrays, work)
    given = {name: tensor(arrays[f"input.{name}"], model) for name in info["inputs"]}
    x, z, y = (given.get(name) for name in "xzy")
    label = () if y is None else (y,)
    with torch.no_grad():
        network = getattr(model, info["part"], None)
        if network is None:
            return {"error": {"type": "no_network", "message": info["part"]}}, {}
        if info["part"] == "enc":
            found = dict(zip("mv", method(network, "encode")(x, *label), strict=True))
        elif info["part"] == "dec":
            found = {"logits": method(network, "decode")(z, *label)}
        else:
            found = {"classes": method(network, "classify")(x)}
    return {}, {name: array(t) for name, t in found.items()}


def bound(info, arrays, work):
    """A bound of the model, several times from one seed; the gradients of its first term if asked.

    info: method; extra, further arguments; repeat; seed; gradient, names of parameters.
    Returns "0", "1", … (repeat, …), and "d.‹name›" for every parameter that has a gradient.
    """
    model = loaded(info, arrays, work)
    call = getattr(model, info["method"], None)
    if call is None:
        return {"missing": info["method"]}, {}
    x = tensor(arrays["input.x"], model)
    Placeholder.strict = True
    seed_all(info["seed"])
    with torch.set_grad_enabled(bool(info["gradient"])):
        rows = [several(call(x, *info["extra"])) for _ in range(info["repeat"])]
    found = outputs_of(rows, call, work.package)
    if not info["gradient"] or "error" in found[0]:
        return found
    first = rows[-1][0]
    if not first.requires_grad:
        return found[0] | {"constant": True}, found[1]
    model.zero_grad()
    first.mean().backward()  # of what is no scalar yet: as its slope is taken
    named = dict(model.named_parameters())
    gradients = {n: named[n].grad for n in info["gradient"] if named[n].grad is not None}
    return found[0], found[1] | {f"d.{name}": array(g) for name, g in gradients.items()}


def training(info, arrays, work):
    """Train a model by this project's loop.

    info: model; arguments; semisup; iterations; batch_size; seed. arrays: train_x uint8,
    train_y; labelled_x grey, labelled_y one-hot. Returns the trained state.
    """
    loop = importlib.import_module(work.package.private("train"))
    given = {name: torch.tensor(a) for name, a in arrays.items()}
    seed_all(info["seed"])
    model = built(info, work)
    loop.train(
        model,
        Batches(given["train_x"], given["train_y"], info["batch_size"], info["seed"]),
        (given["labelled_x"], given["labelled_y"]) if info["semisup"] else None,
        torch.device("cpu"),
        quiet,
        None,
        iter_max=info["iterations"],
        y_status="semisup" if info["semisup"] else "none",
    )
    return {}, {name: array(t) for name, t in model.state_dict().items()}


OPERATIONS = {f.__name__: f for f in (check, load, function, parameters, networks, bound, training)}


# Helpers


def as_it_is(model=None, **options):
    """torch.compile without a compiler, which would start processes: what it is given, or, as a
    decorator with options, what gives that. Not compiled, it computes the same."""
    return as_it_is if model is None else model


class Batches:
    """Grey images in [0, 1] with their labels, shuffled anew each time they are gone through.

    Args:
        x: (N, 784) uint8.
        y: (N,).
        size: of a minibatch; what is left over at the end of a round is left out.
    """

    def __init__(self, x, y, size, seed):
        self.x, self.y, self.size = x, y, size
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.x) // self.size

    def __iter__(self):
        order = torch.randperm(len(self.x), generator=self.generator)
        for rows in order[: len(self) * self.size].split(self.size):
            yield self.x[rows].float() / 255, self.y[rows]


def built(info, work):
    """The model of these arguments, built once."""
    key = info["model"], repr(info["arguments"])
    if key not in work.models:
        kind = getattr(work.module(f"models.{info['model'].lower()}"), info["model"])
        work.models[key] = kind(**info["arguments"])
    return work.models[key]


def loaded(info, arrays, work):
    """The model with the weights that came along."""
    model = built(info, work)
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


def several(value):
    """What a bound returned as a row of values, be it only one."""
    return value if isinstance(value, (tuple, list)) else (value,)


def outputs_of(rows, call, package):
    """Rows of outputs of a call, each output stacked over the rows under its index.

    What is neither a tensor nor a number is reported instead of sent.
    """
    for value in (value for row in rows for value in row):
        if not isinstance(value, (torch.Tensor, float, int)):
            return returned(value, call, package), {}
    plain = any(not isinstance(value, torch.Tensor) for value in rows[0])
    columns = zip(*rows, strict=True)
    stacked = {
        str(i): array(torch.stack([torch.as_tensor(v).detach() for v in column]))
        for i, column in enumerate(columns)
    }
    return {"plain": plain}, stacked


def returned(value, call, package):
    """An error: what a call returned is no tensor."""
    if isinstance(value, Placeholder):
        value._compute()
    error = {"type": "returned", "message": type(value).__name__}
    code = getattr(inspect.unwrap(call), "__code__", None)
    place = code and package.place(code.co_filename)
    if place:
        error |= {"file": place, "line": code.co_firstlineno, "text": "", "gap": is_gap(call)}
    return {"error": error}


def is_gap(call):
    """Whether a function's body is nothing but a docstring, `pass`, `...` or `return`."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(call)))
        body = ast.parse(source).body[0].body
    except (OSError, SyntaxError, AttributeError, IndexError, TypeError):
        return True
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | None))
        for node in body
    )


def is_bare(path, line):
    """Whether the starter's gap ends in this line: a `return` in a function that assigns nothing
    but what it does in the starter code."""
    inside = [
        node
        for node in ast.walk(parsed(Path(path).read_bytes(), path))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= node.end_lineno
    ]
    nodes = [*ast.walk(inside[-1])] if inside else []
    names = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    returns = any(isinstance(n, ast.Return) and n.lineno <= line <= n.end_lineno for n in nodes)
    return returns and names <= ASSIGNED


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
