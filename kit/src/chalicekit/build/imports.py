"""The check that everything that the app imports is in the deployment package.

It reads the modules that can be reached from app.py, and also finds imports inside functions, which
importing the app does not.
"""

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from chalicekit.build.advice import Advisor, to_list
from chalicekit.build.syntax import OWN, imports, is_own, names_in, reached, with_parents
from chalicekit.errors import Refusal
from chalicekit.runtime.environment import LAMBDA_HAS

KNOWN = {*OWN, "chalice"}  # each name in these is checked
MAKES_NAMES = {"*", "__getattr__", "exec", "globals", "setattr", "vars"}  # that no code shows


class Missing(NamedTuple):
    """An import that fails on Lambda."""

    path: str
    line: int
    module: str  # or a name in a module, such as chalicelib.orders.total

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.module} is not in the deployment package"


def check(
    files: Mapping[str, Path], advisor: Advisor, layers: Collection[str] = ()
) -> tuple[str, ...]:
    """Raise Refusal with what fails on Lambda among the imports of the app.

    `files` are those of the deployment package by their paths in it. `layers` has the names of the
    modules that layers bring, or `*` if they may bring any. Returns the names of the layers'
    modules that the app imports.
    """
    in_layers = dict[str, None]()
    to_be_listed = dict[str, Missing]()
    lines = list[str]()
    for missing in missing_imports(files):
        top = missing.module.partition(".")[0]
        if top in layers or ("*" in layers and not advisor.is_own(top)):
            in_layers[top] = None
            continue
        advice = advisor.about_module(missing.module)
        if advice == to_list([top]):
            to_be_listed.setdefault(top, missing)
        else:
            lines.append(f"{missing}: {advice}.")
    if to_be_listed:
        first, *others = to_be_listed.values()
        nor = "".join(f", nor {one.module} ({one.path}, line {one.line})" for one in others)
        lines.append(f"{first}{nor}: {to_list(to_be_listed)}.")
    if lines:
        raise Refusal("\n".join(lines))
    return tuple(in_layers)


def missing_imports(files: Mapping[str, Path]) -> list[Missing]:
    """Return the imports of the app that fail on Lambda; raises Refusal."""
    package = Package(files, reached(files))
    found = dict[Missing, None]()
    for path, tree in package.own.items():
        for line, module, name in imports(tree, path):
            if not package.has_module(module):
                found[Missing(path, line, module)] = None
            elif not package.has_name(module, name):
                found[Missing(path, line, f"{module}.{name}")] = None
    return list(found)


class Package:
    """The modules of a deployment package; `trees` are those that app.py reaches."""

    def __init__(self, files: Collection[str], trees: Mapping[str, ast.Module]) -> None:
        self.trees = trees
        self.own = {path: tree for path, tree in trees.items() if is_own(path)}
        self.names = module_names(files)
        if any(map(uses_path, self.own.values())):  # the app's folders may be on Python's path
            self.names = module_names(tails(files)) | self.names

    def has_module(self, module: str) -> bool:
        """Tell whether Lambda has a module, as far as the files tell."""
        top, parent = module.partition(".")[0], ""
        if top in LAMBDA_HAS | sys.stdlib_module_names:
            return True
        for name in with_parents(module):
            if name not in self.names:
                # The code of a package can make modules when it runs.
                return top not in KNOWN and self.names.get(parent, False)
            parent = name
        return True

    def has_name(self, module: str, name: str) -> bool:
        """Tell whether `from module import name` finds the name, as far as the files tell."""
        if name in ("", "*") or f"{module}.{name}" in self.names:
            return True
        path = module.replace(".", "/")
        tree = self.trees.get(f"{path}.py") or self.trees.get(f"{path}/__init__.py")
        if tree and module.partition(".")[0] in KNOWN:
            return not names_in(tree).isdisjoint({name, *MAKES_NAMES})
        return self.names.get(module, True)


def module_names(paths: Iterable[str]) -> dict[str, bool]:
    """Return the dotted names of the modules and packages at these paths.

    The value is False for a folder without code of its own (a namespace package, PEP 420).
    """
    names = dict[str, bool]()
    for path in paths:
        folder, _, file = path.rpartition("/")
        package = folder.replace("/", ".")
        for name in with_parents(package):
            names.setdefault(name, False)
        if file.endswith((".py", ".pyc", ".so")):
            module = f"{package}.{file.partition('.')[0]}".removeprefix(".")
            names[module.removesuffix(".__init__")] = True
    return names


def uses_path(tree: ast.Module) -> bool:
    """Tell whether a module uses `sys.path`, which it may change."""
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path"
        for node in ast.walk(tree)
    )


def tails(files: Iterable[str]) -> Iterator[str]:
    """Yield the paths of the app's own files relative to each of the folders they are in."""
    for path in filter(is_own, files):
        while "/" in path:
            path = path.partition("/")[2]
            yield path
