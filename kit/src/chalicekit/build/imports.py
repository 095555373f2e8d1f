"""The check that everything that the app imports is in the deployment package.

It reads the modules that can be reached from app.py, and also finds imports inside functions, which
importing the app does not.
"""

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from chalicekit.build.advice import Advisor, advice_to_add
from chalicekit.build.syntax import OWN, imports_in, is_own, names_in, reached, with_parents
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
    files: Mapping[str, Path], advisor: Advisor, layer_modules: Collection[str] = ()
) -> tuple[str, ...]:
    """Raise Refusal with what fails on Lambda among the imports of the app.

    `files` are those of the deployment package by their paths in it. `layer_modules` has the names
    of the modules that layers bring, or `*` if they may bring any. Returns these names, and for `*`
    those that the app imports.
    """
    found = dict.fromkeys(name for name in layer_modules if name != "*")
    to_add = dict[str, Missing]()
    lines = list[str]()
    for missing in missing_imports(files):
        top = missing.module.partition(".")[0]
        if top in found:
            continue
        if "*" in layer_modules and not advisor.cannot_be_in_a_layer(top):
            found[top] = None
        elif advice := advisor.about_module(missing.module):
            lines.append(f"{missing}: {advice}.")
        else:
            to_add.setdefault(top, missing)
    if to_add:
        first, *others = to_add.values()
        nor = "".join(f", nor {one.module} ({one.path}, line {one.line})" for one in others)
        lines.append(f"{first}{nor}: {advice_to_add(to_add)}.")
    if lines:
        raise Refusal("\n".join(lines))
    return tuple(found)


def missing_imports(files: Mapping[str, Path]) -> list[Missing]:
    """Return the imports of the app that fail on Lambda; raises Refusal."""
    modules = Modules(files, reached(files))
    found = dict[Missing, None]()
    for path, tree in modules.own.items():
        for line, module, name in imports_in(tree, path):
            if not modules.has_module(module):
                found[Missing(path, line, module)] = None
            elif not modules.has_name(module, name):
                found[Missing(path, line, f"{module}.{name}")] = None
    return list(found)


class Modules:
    """The modules of a deployment package; `trees` are those that app.py reaches."""

    def __init__(self, files: Collection[str], trees: Mapping[str, ast.Module]) -> None:
        self.trees = trees
        self.own = {path: tree for path, tree in trees.items() if is_own(path)}
        # True for each module and package by its dotted name, False for a folder without code of
        # its own (a namespace package, PEP 420)
        self.has_code = module_names(files)
        if any(map(uses_path, self.own.values())):  # the app's folders may be on Python's path
            self.has_code = module_names(tails(files)) | self.has_code

    def has_module(self, module: str) -> bool:
        """Tell whether Lambda has a module, as far as the files tell."""
        top = module.partition(".")[0]
        if module in self.has_code or top in LAMBDA_HAS | sys.stdlib_module_names:
            return True
        above = [name for name in with_parents(module) if name in self.has_code]
        # The code of a package can make modules when it runs.
        return bool(above) and self.has_code[above[-1]] and top not in KNOWN

    def has_name(self, module: str, name: str) -> bool:
        """Tell whether `from module import name` finds the name, as far as the files tell."""
        if name in ("", "*") or f"{module}.{name}" in self.has_code:
            return True
        path = module.replace(".", "/")
        tree = self.trees.get(f"{path}.py") or self.trees.get(f"{path}/__init__.py")
        if tree and module.partition(".")[0] in KNOWN:
            return not names_in(tree).isdisjoint({name, *MAKES_NAMES})
        # A folder without code has only the modules in it. Of others, the files do not tell.
        is_folder = self.has_code.get(module) is False
        return not is_folder


def module_names(paths: Iterable[str]) -> dict[str, bool]:
    """Return the dotted names of modules, packages and folders, and whether each has code."""
    has_code = dict[str, bool]()
    for path in paths:
        *folders, file = path.split("/")
        for package in with_parents(".".join(folders)):
            has_code.setdefault(package, False)
        if file.endswith((".py", ".pyc", ".so")):
            module = ".".join([*folders, file.partition(".")[0]])
            has_code[module.removesuffix(".__init__")] = True
    return has_code


def uses_path(tree: ast.Module) -> bool:
    """Tell whether a module uses `sys.path`, which it may change."""
    return any(
        isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path"
        for node in ast.walk(tree)
    )


def tails(files: Iterable[str]) -> Iterator[str]:
    """Yield the paths of the app's own files relative to each of the folders they are in.

    For chalicelib/orders/tax.py, they are orders/tax.py and tax.py.
    """
    for path in filter(is_own, files):
        while "/" in path:
            path = path.partition("/")[2]
            yield path
