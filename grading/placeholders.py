"""Stand-ins for modules that are not there, and that no graded function needs.

People's files import what draws, logs or loads: installed here or not, it is replaced by something
that survives ordinary use while a module is imported. A graded function that goes on to compute
with one is told so.
"""

import ast
import dis
import importlib
import importlib.util
import sys
import types

# What submissions import for data and pictures: replaced even where it is installed, so that
# nothing of it has to be waited for.
REPLACED = {
    "IPython", "cv2", "ipywidgets", "matplotlib", "pandas", "seaborn", "skimage", "sklearn",
    "tensorboard", "tensorboardX", "tensorflow", "torchvision", "wandb",
}  # fmt: skip


class PlaceholderUsed(Exception):
    """A graded function computes with something that is not there; the message is its name."""


class Placeholder(types.ModuleType):
    """A module, class, function or value that is there and does nothing."""

    strict = False  # whether computing with one is an error: while graded functions run

    def __init__(self, name="placeholder", *args, **kwargs):
        super().__init__(str(name))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder(f"{self.__name__}.{name}")

    def __call__(self, *args, **kwargs):
        kinds = types.FunctionType, type
        decorates = len(args) == 1 and not kwargs and isinstance(args[0], kinds)
        return args[0] if decorates else Placeholder(f"{self.__name__}()")

    def __mro_entries__(self, bases):
        return (Base,)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __getitem__(self, key):
        return Placeholder(f"{self.__name__}[…]")

    def __setitem__(self, key, value):
        pass

    def __delitem__(self, key):
        pass

    def __instancecheck__(self, instance):
        return False

    def __subclasscheck__(self, subclass):
        return False

    def __iter__(self):
        """As many as the caller unpacks, and none for a loop."""
        self._compute()
        return iter([Placeholder(f"{self.__name__}[…]")] * unpacked(sys._getframe(1)))

    def _compute(self, *args, **kwargs):
        """What stands for a computation with this."""
        if Placeholder.strict:
            raise PlaceholderUsed(self.__name__)
        return Placeholder(f"{self.__name__}…")

    def _number(self, kind):
        self._compute()
        return kind(1)

    def __len__(self):
        return self._number(int)

    def __int__(self):
        return self._number(int)

    def __index__(self):
        return self._number(int)

    def __float__(self):
        return self._number(float)

    def __bool__(self):
        return True

    def __contains__(self, item):
        return self._number(bool)

    def __format__(self, spec):
        return self.__name__

    @classmethod
    def __torch_function__(cls, function, kinds, args=(), kwargs=None):
        given = [*args, *(kwargs or {}).values()]
        return next(a for a in given if isinstance(a, Placeholder))._compute()

    __hash__ = object.__hash__


def _arithmetic():
    """Operators, which all do the same."""
    both = [
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
        "lshift", "rshift", "divmod",
    ]  # fmt: skip
    alone = ["neg", "pos", "abs", "invert", "round", "lt", "le", "gt", "ge"]
    for name in [*both, *(f"r{name}" for name in both), *alone]:
        setattr(Placeholder, f"__{name}__", Placeholder._compute)


_arithmetic()


class Base:
    """What a class inherits that names a placeholder among its bases."""

    def __init__(self, *args, **kwargs):
        super().__init__()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__()


def unpacked(frame):
    """How many values a frame is about to unpack, 0 if it does not."""
    code = frame.f_code.co_code
    operation, count = dis.opname[code[frame.f_lasti]], code[frame.f_lasti + 1]
    if operation == "UNPACK_EX":
        return count & 0xFF
    return count if operation == "UNPACK_SEQUENCE" else 0


class Replaced:
    """An importer of placeholders, for the packages of the given names."""

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


ABSENT = "__absent__"  # the name by which rewritten code asks for a placeholder


def absent(error, module, name, owned):
    """What a failed import brings: a placeholder, but the error where the module is one's own.

    Args:
        error: that it raised.
        module, name: what was imported; name is None for the module as a whole.
        owned: tells whether a module is the submission's own and is there.
    """
    if owned(module) or owned(f"{module}.{name}"):
        raise error
    if name is not None:
        return Placeholder(f"{module}.{name}")
    top = module.partition(".")[0]
    try:
        return importlib.import_module(top)  # `import a.b` binds a, which may be there
    except Exception:  # whatever its import raises: it is not needed
        return Placeholder(top)


class Guard(ast.NodeTransformer):
    """Rewrites the imports of a module so that one that fails brings a placeholder.

    Not those that are guarded already by the code itself: it has a way of its own.

    Args:
        package: the dotted name that relative imports count from.
    """

    def __init__(self, package):
        self.package = package

    def visit_Try(self, node):
        if any(self._catches(handler.type) for handler in node.handlers):
            rest = "handlers", "orelse", "finalbody"
        else:
            rest = "body", "handlers", "orelse", "finalbody"
        for part in rest:
            changed = [self.visit(statement) for statement in getattr(node, part)]
            setattr(node, part, [s for c in changed for s in (c if isinstance(c, list) else [c])])
        return node

    @staticmethod
    def _catches(kind):
        names = {getattr(n, "id", "") for n in ast.walk(kind)} if kind else {"Exception"}
        return bool(names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})

    def visit_Import(self, node):
        return [
            self._guarded(
                node, ast.Import([alias]), alias.name, None,
                alias.asname or alias.name.partition(".")[0],
            )
            for alias in node.names
        ]  # fmt: skip

    def visit_ImportFrom(self, node):
        module = node.module or ""
        if node.level:
            try:
                module = importlib.util.resolve_name("." * node.level + module, self.package)
            except ImportError:
                return node
        if module == "__future__":
            return node
        return [
            self._guarded(
                node, ast.ImportFrom(node.module, [alias], node.level), module, alias.name,
                alias.asname or alias.name,
            )
            for alias in node.names
        ]  # fmt: skip

    def _guarded(self, node, single, module, name, bound):
        """try: the import; except Exception as e: bound = __absent__(e, module, name)."""
        arguments = [ast.Constant(module), ast.Constant(name)]
        call = ast.Call(
            ast.Name(ABSENT, ast.Load()), [ast.Name("__error__", ast.Load()), *arguments], []
        )
        target = "__nothing__" if bound == "*" else bound
        fallback = ast.Assign([ast.Name(target, ast.Store())], call)
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), "__error__", [fallback])
        guarded = ast.Try([single], [handler], [], [])
        for part in ast.walk(guarded):
            if part is not node:
                ast.copy_location(part, node)
        return guarded
