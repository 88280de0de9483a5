"""What a submission's code calls itself and its helpers: read off its import statements.

People's packages are imported as codebase, submission, src.submission or by bare names, whatever
the folder is called that they hand in, and bring modules that lie beside the package.
"""

import re
import sys

PACKAGE = "codebase"
CUSTOMARY = ("submission", "src.submission", "src.codebase")
# By these modules of the assignment a package is known, whatever it is called.
KNOWN = (
    "utils", "train", "models", "models.nns", "models.nns.v1", "models.vae", "models.gmvae",
    "models.ssvae",
)  # fmt: skip
# Libraries that have a module called utils, train or models: not the submission's own name.
LIBRARIES = {
    "PIL", "cv2", "datasets", "diffusers", "flax", "gensim", "jax", "keras", "lightning",
    "matplotlib", "networkx", "nltk", "numpy", "pandas", "plotly", "pyro", "pytorch_lightning",
    "scipy", "seaborn", "skimage", "sklearn", "statsmodels", "tensorboard", "tensorboardX",
    "tensorflow", "tensorflow_probability", "timm", "torch", "torch_geometric", "torchmetrics",
    "torchvision", "tqdm", "transformers", "wandb", "xgboost",
} | set(sys.stdlib_module_names)  # fmt: skip
# By lines, not by the grammar: a file that does not parse has imports too.
STATEMENT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>[.\w]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n#;]+)"
    r"|import[ \t]+(?P<modules>[^\n#;]+))",
    re.MULTILINE,
)
NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")


def imported(data, package=""):
    """Dotted names that a file may import: of modules, and of what is taken from them.

    Args:
        data: the file's bytes.
        package: the dotted name of the package it lies in, for relative imports.
    """
    found = []
    for match in STATEMENT.finditer(data.decode("utf-8", "replace")):
        if match["modules"]:
            found += [_first(part) for part in match["modules"].split(",")]
            continue
        source = match["source"]
        level = len(source) - len(source.lstrip("."))
        if level:
            above = package.split(".")[: len(package.split(".")) - level + 1] if package else []
            source = ".".join([*above, *filter(None, [source[level:]])])
        names = [_first(part) for part in match["names"].strip("() \t").split(",")]
        found += [source, *(f"{source}.{name}" for name in names if name)]
    return {name for name in found if name.strip(".")}


def _first(text):
    match = NAME.search(text)
    return match[0] if match else ""


def own_names(dotted):
    """The names, out of those imported, under which the package itself is meant; "" for bare ones.

    Args:
        dotted: names that no file of the submission's answers to as they stand.
    """
    found = set()
    for name in dotted:
        for known in KNOWN:
            if name == known:
                found.add("")
            elif name.endswith(f".{known}"):
                found.add(name.removesuffix(f".{known}"))
    return {name for name in found if name.partition(".")[0] not in LIBRARIES}


class Surroundings:
    """The files that a package's imports reach, and the names by which they reach the package.

    Args:
        tree: a Tree.
        root: parts of the package's folder in it.
        files: {path inside the package: bytes}.

    Attributes:
        modules: {dotted name: parts} of modules that lie beside the package.
        contents: {parts: bytes} of those.
        aliases: {dotted name: dotted name in the package called codebase}.
    """

    def __init__(self, tree, root, files):
        self.tree, self.root = tree, root
        self.modules, self.contents = {}, {}
        self.aliases = dict.fromkeys(CUSTOMARY, PACKAGE)
        # Where a program may have been started: in the package, beside it, or further out.
        self.starts = [root[:i] for i in range(len(root), -1, -1)]
        strangers = set()
        waiting = [imported(data) for path, data in files.items() if path.endswith(".py")]
        while waiting:
            for name in sorted(waiting.pop()):
                if name.partition(".")[0] in LIBRARIES:
                    continue
                if not self._taken(name, waiting):
                    strangers.add(name)
        for name in own_names(strangers):
            if name:
                self.aliases.setdefault(name, PACKAGE)
            else:
                for known in ("utils", "train", "models"):
                    self.aliases.setdefault(known, f"{PACKAGE}.{known}")
        self.aliases.pop(PACKAGE, None)

    def _taken(self, name, waiting):
        """Whether a dotted name is a module of the submission's; if so, it is noted."""
        parts = tuple(name.split("."))
        for start in self.starts:
            file = self._file((*start, *parts))
            if file is None:
                continue
            within = start + parts
            if within[: len(self.root)] == self.root:
                self._alias(start, parts)
            else:
                self._take(start, parts, waiting)
            return True
        return False

    def _alias(self, start, parts):
        """A module of the package's, by a name that counts from another folder."""
        inside = len(self.root) - len(start)
        if inside:
            self.aliases[".".join(parts[:inside])] = PACKAGE
        else:
            self.aliases[parts[0]] = f"{PACKAGE}.{parts[0]}"

    def _take(self, start, parts, waiting):
        """A module beside the package, with the packages that it lies in."""
        for length in range(1, len(parts) + 1):
            name, file = ".".join(parts[:length]), self._file((*start, *parts[:length]))
            if name in self.modules or not file or file[: len(self.root)] == self.root:
                continue
            data = self.tree.read(file)
            self.modules[name], self.contents[file] = file, data
            package = name if file[-1] == "__init__.py" else name.rpartition(".")[0]
            waiting.append(imported(data, package))

    def _file(self, parts):
        """The file of a module that would have these parts, or None."""
        for file in ((*parts[:-1], f"{parts[-1]}.py"), (*parts, "__init__.py")):
            if file in self.tree.sizes:
                return file
        return None
