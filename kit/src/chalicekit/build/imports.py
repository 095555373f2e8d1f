"""The check that everything that the app imports is in the deployment package."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path

from chalicekit.runtime.environment import LAMBDA_HAS

CHECKED = {"app", "chalicelib", "chalice"}  # each module of these, and each name in it
CATCHES_IMPORT_ERROR = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
VARIES_BY_MACHINE = {"version_info", "platform", "__name__"}


def module_names(paths: Iterable[str]) -> set[str]:
    """Return the dotted names of the modules and packages at these paths."""
    names = set[str]()
    for path in paths:
        *parts, file = path.split("/")
        if file.endswith((".py", ".pyc", ".so")):
            parts.append(file.partition(".")[0])
        names.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return names


@cache  # each import from a module asks for all names in it
def names_in(*nodes: ast.AST) -> set[str]:
    """Return every name in the code of `nodes`."""
    fields = ("id", "attr", "name", "asname")
    below = [child for node in nodes for child in ast.walk(node)]
    return {str(getattr(node, field, "")) for node in below for field in fields}


def is_optional(node: ast.AST) -> bool:
    """Tell whether code below `node` may fail to import, or does not run on Lambda."""
    if isinstance(node, ast.Try):
        caught = [handler.type for handler in node.handlers]
        return any(kind is None or names_in(kind) & CATCHES_IMPORT_ERROR for kind in caught)
    if isinstance(node, ast.With):
        contexts = names_in(*node.items)
        return "suppress" in contexts and bool(contexts & CATCHES_IMPORT_ERROR)
    return isinstance(node, ast.If) and bool(names_in(node.test) & VARIES_BY_MACHINE)


def imports(node: ast.AST, package: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the module and the name (or "") of each import that must not fail.

    `package` is the name of the package that relative imports start from.
    """
    below: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        if node.level < 2 + package.count(".") and package:
            module = resolve_name(module, package)
        yield from ((node.lineno, module, alias.name) for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in names_in(node.test):
        below = node.orelse
    elif is_optional(node):
        return
    for child in below:
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from imports(child, package)


def missing_imports(sources: dict[str, Path], names: set[str]) -> Iterator[tuple[str, int, str]]:
    """Yield the path, the line and the module of each import that fails on Lambda.

    `sources` are the app's own files by their paths in the deployment package, `names` the dotted
    names of all modules in it. Raises SyntaxError for a source that is not valid Python.
    """
    trees = {path: ast.parse(source.read_bytes(), path) for path, source in sources.items()}

    def is_available(module: str) -> bool:
        top = module.partition(".")[0]
        if top in CHECKED:
            return module in names
        return top in names or top in LAMBDA_HAS or top in sys.stdlib_module_names

    def has_name(module: str, name: str) -> bool:
        path = module.replace(".", "/")
        tree = trees.get(f"{path}.py") or trees.get(f"{path}/__init__.py") or ast.Module([], [])
        return (
            module.partition(".")[0] not in CHECKED
            or name in ("", "*")
            or f"{module}.{name}" in names
            or bool(names_in(tree) & {name, "*", "__getattr__", "globals"})
        )

    for path, tree in trees.items():
        for line, module, name in imports(tree, path.rpartition("/")[0].replace("/", ".")):
            if not is_available(module):
                yield path, line, module
            elif not has_name(module, name):
                yield path, line, f"{module}.{name}"


def advice(module: str, project: Path) -> str:
    """Return how to solve that the deployment package lacks a module."""
    top, path = module.partition(".")[0], module.replace(".", "/")

    def exists_in_project(*places: str) -> bool:
        return any((project / f"{place}{end}").exists() for place in places for end in ("", ".py"))

    if not top:
        return "a relative import starts in chalicelib/ and stays there"
    if exists_in_project(f"vendor/{top}") or (top in CHECKED and exists_in_project(path)):
        return "it exists, but git does not track it: run `git add` on it"
    if top == "chalice":
        return "on Lambda, Chalice has only `chalice` and `chalice.app`"
    if top in CHECKED:
        return "there is no such module"
    if exists_in_project(top):
        return f"move {top} into chalicelib/, because modules next to app.py are not packaged"
    distribution = packages_distributions().get(top, ["its package"])[0]
    return f"add {distribution} to requirements.txt"
