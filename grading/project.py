"""This project's own package, as a submission's process gets it: private, and no more than needed.

What a submission does not bring of the package is this project's, and so is what stands in for a
file or function of its. All of it lies under a name of its own and refers to itself alone, so that
nothing of ours depends on what was handed in.
"""

import ast
import functools
import re
from pathlib import Path

CODEBASE = Path(__file__).resolve().parent.parent / "codebase"
PRIVATE = "_project"
GRADED = ("utils.py", "models/vae.py", "models/gmvae.py", "models/ssvae.py")
KEPT = (".py", ".json")
# The starter code's functions of utils.py that nobody is asked to write.
GIVEN = (
    "gaussian_parameters", "log_bernoulli_with_logits", "kl_cat", "kl_normal", "duplicate",
    "log_mean_exp", "log_sum_exp",
)  # fmt: skip


@functools.cache
def sources():
    """{path inside the package: bytes} of this project's, under the private name."""
    found = {}
    for source in sorted(CODEBASE.rglob("*")):
        path = source.relative_to(CODEBASE).as_posix()
        if source.suffix in KEPT and "__pycache__" not in path:
            data = source.read_bytes()
            found[path] = re.sub(rb"\bcodebase\b", PRIVATE.encode(), data)
    return found


def public(data):
    """A private file's text under the package's name."""
    return data.replace(PRIVATE.encode(), b"codebase")


def private(replaced=(), functions=(), whole=False):
    """The private package: {path: bytes}.

    Of the graded files it holds those that stand in for a submission's, with what they import;
    else, of utils.py, what the starter code gave and the functions that stand in. So a submission
    finds no other answer in it.

    Args:
        replaced: graded files.
        functions: names in utils.py.
        whole: every file.
    """
    files = sources()
    if whole:
        return files
    needed = _closure(files, replaced)
    kept = {path: data for path, data in files.items() if path not in GRADED or path in needed}
    if "utils.py" not in kept:
        names = (*GIVEN, *functions, "__getattr__")
        kept["utils.py"] = excerpt(files["utils.py"].decode("utf-8"), names)
    return kept


def _closure(files, paths):
    """Files that these files import, directly or by way of others, and they themselves."""
    modules = {
        ".".join([PRIVATE, *path.removesuffix(".py").removesuffix("/__init__").split("/")]): path
        for path in files
        if path.endswith(".py")
    }
    found, waiting = set(), list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [modules[name] for name in _imported(files[path]) if name in modules]
    return found


@functools.cache
def _imported(source):
    """Names that may be modules in a file's import statements at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def excerpt(source, names):
    """The part of a module that the named functions need: its imports, constants and helpers."""
    tree = ast.parse(source)
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = {node.name: node for node in tree.body if isinstance(node, kinds)}
    needed, queue = set(), list(names)
    while queue:
        name = queue.pop()
        if name in defined and name not in needed:
            needed.add(name)
            queue += [n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name)]
    body = [node for node in tree.body if not isinstance(node, kinds) or node.name in needed]
    return ast.unparse(ast.Module(body, [])).encode()
