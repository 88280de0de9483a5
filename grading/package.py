"""The submission's package as its process imports it: one package, under every name it goes by.

The files lie as they were handed in. A manifest says which module is which file, which names mean
the same, and what is this project's for want of theirs. So `codebase.utils`, `submission.utils`
and a bare `utils` are one module, whichever of them the code asks for, and in whatever order.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path

from grading.placeholders import ABSENT, Guard, absent

UTILS = "codebase.utils"


class NotText(SyntaxError):
    """A file that is no UTF-8 text."""


class Package:
    """Finds the submission's modules; the first of the import system's finders.

    Args:
        folder: an assembled submission, with its manifest.json.

    Attributes:
        own: the folder of the submission's own files, as they lie.
        graded: paths of the graded files, below `own`.
        parent: the part of those paths that goes without saying.
    """

    def __init__(self, folder):
        manifest = json.loads(Path(folder, "manifest.json").read_text("utf-8"))
        self.folder, self.own = str(folder), os.path.join(folder, "own")
        self.graded, self.parent = manifest["graded"], manifest["parent"]
        self.modules, self.filled = manifest["modules"], manifest["filled"]
        self.aliases, self.names = manifest["aliases"], (manifest["given"], manifest["standins"])
        known = [*self.modules, *self.filled, *self.aliases]
        self.namespaces = {
            name.rsplit(".", i)[0] for name in known for i in range(1, name.count(".") + 1)
        }
        self.found = set()

    def real(self, name):
        """The module that a name stands for."""
        if name not in self.modules:
            parts = name.split(".")
            for length in range(len(parts), 0, -1):
                prefix = ".".join(parts[:length])
                if prefix in self.aliases:
                    name = ".".join([self.aliases[prefix], *parts[length:]])
                    break
        return self.filled.get(name, name)

    def owns(self, name):
        """Whether a module is the submission's own, is there, and is no package's __init__."""
        file = self.modules.get(self.real(name), "")
        return file.startswith("own/") and not file.endswith("__init__.py")

    def find_spec(self, name, path=None, target=None):
        real = self.real(name)
        if real not in self.modules and real not in self.namespaces:
            return None
        self.found.add(name)
        if real != name:
            return importlib.machinery.ModuleSpec(name, Alias(real))
        if real not in self.modules:
            return importlib.machinery.ModuleSpec(name, None, is_package=True)
        file = os.path.join(self.folder, *self.modules[real].split("/"))
        return importlib.util.spec_from_file_location(
            name,
            file,
            loader=Source(name, file, self),
            submodule_search_locations=[] if file.endswith("__init__.py") else None,
        )

    def module(self, name):
        """A module of the package, with utils imported first, as the scripts do."""
        try:
            importlib.import_module(UTILS)
            return importlib.import_module(name)
        except BaseException:
            self.forget()
            raise

    def forget(self):
        """Drop every module of it, so that another attempt begins anew and fails alike."""
        for name in self.found:
            sys.modules.pop(name, None)

    def complete(self, utils):
        """Give utils what it lacks of the starter's functions, and what stands in."""
        private = importlib.import_module(self.private("utils"))
        given, standins = self.names
        for name in given:
            vars(utils).setdefault(name, getattr(private, name))
        for name in standins:
            setattr(utils, name, getattr(private, name))

    @staticmethod
    def private(name):
        """A module of this project's own."""
        return f"_project.{name}"

    def place(self, file):
        """A file of the submission's, as its author knows it; None for any other file."""
        if not file.startswith(self.own + os.sep):
            return None
        path = os.path.relpath(file, self.own).replace(os.sep, "/")
        return path.removeprefix(f"{self.parent}/")

    def mentions(self, words):
        """Whether any of these byte strings stands in one of its files."""
        files = [f for f in self.modules.values() if f.startswith("own/")]
        texts = (Path(self.folder, file).read_bytes() for file in files)
        return any(word in text for text in texts for word in words)


class Alias:
    """Loads a module that is there, or being imported, under another name."""

    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        module = importlib.import_module(self.real)
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec  # the import system has put the alias's there


class Source(importlib.machinery.SourceFileLoader):
    """Loads a file; imports in it that fail bring placeholders, if it is the submission's.

    An __init__.py of the submission's that fails is as good as one that ends there: it is not
    graded, and what it was to gather can be imported without it.
    """

    def __init__(self, name, path, package):
        super().__init__(name, path)
        self.package = package

    def source_to_code(self, data, path, *, _optimize=-1):
        if self.package.place(path) is None:
            return super().source_to_code(data, path)
        name = self.name if self.is_package(self.name) else self.name.rpartition(".")[0]
        guarded = Guard(name).visit(parsed(data, path))
        return compile(guarded, path, "exec", dont_inherit=True)

    def exec_module(self, module):
        if self.package.place(self.path) is None:
            super().exec_module(module)
            return
        owns = self.package.owns
        vars(module)[ABSENT] = lambda error, source, name: absent(error, source, name, owns)
        try:
            super().exec_module(module)
        except Exception:  # whatever is wrong in it
            if not self.is_package(self.name):
                raise
        if self.name == UTILS:
            self.package.complete(module)


def parsed(data, path):
    """A file's syntax tree; an error names the file, whatever the encoding."""
    try:
        return ast.parse(data, path)
    except (ValueError, SyntaxError) as error:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text and b"coding" not in data[:200]:
            raise NotText("not UTF-8", (path, 1, 0, "")) from error
        if isinstance(error, SyntaxError) and error.filename:
            raise
        line = getattr(error, "lineno", 1) or 1
        raise SyntaxError(str(error), (path, line, 0, "")) from error
