"""The check that everything that the app imports is in the deployment package.

It reads the modules that can be reached from app.py, and also finds imports inside functions, which
importing the app does not.
"""

import ast
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path

from chalicekit.build.requirements import likely_names, normalized
from chalicekit.errors import Refusal
from chalicekit.runtime.environment import LAMBDA_HAS

# What to do about modules that the standard library had before Python 3.12 or 3.13 (PEP 594)
REMOVED = dict.fromkeys(["lib2to3", "msilib", "nis", "ossaudiodev", "spwd"], "nothing replaces it")
REMOVED |= {"imp": "use importlib", "audioop": "add audioop-lts to requirements.txt"}
RESURRECTED = "aifc asynchat asyncore cgi cgitb chunk crypt distutils imghdr mailcap nntplib pipes"
RESURRECTED += " smtpd sndhdr sunau telnetlib uu xdrlib"
REMOVED |= {name: f"add standard-{name} to requirements.txt" for name in RESURRECTED.split()}

OWN = {"app", "chalicelib"}  # each module of these that the app reaches is checked
KNOWN = {*OWN, "chalice"}  # and each name in these
CATCHES_IMPORT_ERROR = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
MAKES_NAMES = {"*", "__getattr__", "exec", "globals", "setattr", "vars"}  # that no code shows
VARIES_BY_MACHINE = {"version_info", "platform", "__name__"}


def check(
    files: Mapping[str, Path],
    project: Path,
    layers: Collection[str] = (),
    left_out: Mapping[str, str] = {},
) -> tuple[str, ...]:
    """Raise Refusal with what fails on Lambda among the imports of the app.

    `files` are those of the deployment package by their paths in it. `layers` has the names of the
    modules that layers bring, or `*` if they may bring any. `left_out` are requirements that are
    not packaged, with the reason. Returns the names of the layers' modules that the app imports.
    """
    in_layers, lines = dict[str, None](), dict[str, None]()
    listed = dict[str, tuple[str, str]]()  # by the names of modules at the top
    for path, line, module in missing_imports(files):
        place, top = f"{path}, line {line}", module.partition(".")[0]
        if may_be_in_layer(module, project, layers):
            in_layers[top] = None
        elif is_to_be_listed(module, project, left_out):
            listed.setdefault(top, (place, module))
        else:
            help_ = advice(module, project, left_out)
            lines[f"{place}: {module} is not in the deployment package: {help_}."] = None
    if listed:
        (place, module), *others = listed.values()
        nor = "".join(f", nor {other} ({there})" for there, other in others)
        lines[f"{place}: {module} is not in the deployment package{nor}: {add(listed)}."] = None
    if lines:
        raise Refusal("\n".join(lines))
    return tuple(in_layers)


def may_be_in_layer(module: str, project: Path, layers: Collection[str]) -> bool:
    """Tell whether a layer brings a module that is not in the package."""
    top = module.partition(".")[0]
    is_own = top in ("", *KNOWN) or is_beside_app(top, project)
    return top in layers or ("*" in layers and not is_own)


def is_beside_app(top: str, project: Path) -> bool:
    """Tell whether a module, or a folder, is next to app.py, from where nothing is packaged."""
    return (project / f"{top}.py").exists() or (project / top).is_dir()


def module_names(paths: Iterable[str]) -> dict[str, bool]:
    """Return the dotted names of the modules and packages at these paths.

    The value is False for a namespace package (PEP 420): a folder without code of its own.
    """
    names = dict[str, bool]()
    for path in paths:
        *parts, file = path.split("/")
        for length in range(1, len(parts) + 1):
            names.setdefault(".".join(parts[:length]), False)
        if file.endswith((".py", ".pyc", ".so")):
            names[".".join([*parts, file.partition(".")[0]]).removesuffix(".__init__")] = True
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


def is_optional_in(tree: ast.Module) -> Callable[[ast.AST], bool]:
    """Return `is_optional` for a module, in which an `if` at the top also tells.

    Importing the app, which comes next, shows what happens below it.
    """
    decided = {node for node in tree.body if isinstance(node, ast.If)}
    return lambda node: node in decided or is_optional(node)


def imports(
    node: ast.AST, package: str, ignored: Callable[[ast.AST], bool]
) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the module and the name (or "") of each import.

    `package` is the name of the package that relative imports start from. Code below a node that is
    `ignored` is left out.
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
    elif ignored(node):
        return
    for child in below:
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from imports(child, package, ignored)


def package_of(path: str) -> str:
    """Return the dotted name of the package that a module at `path` is in."""
    return path.rpartition("/")[0].replace("/", ".")


def reached(sources: Mapping[str, Path]) -> dict[str, ast.Module | SyntaxError]:
    """Return the modules that app.py may import, directly or not, by their paths in the package.

    `import_module("...")` counts as an import.
    """
    trees = dict[str, ast.Module | SyntaxError]()
    waiting = ["app.py"]
    while waiting:
        path = waiting.pop()
        if path in trees or path not in sources:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about code that others wrote
                trees[path] = tree = ast.parse(sources[path].read_bytes(), path)
        except SyntaxError as error:
            trees[path] = error
            continue
        except ValueError as error:  # a null byte, before Python 3.12
            trees[path] = SyntaxError(str(error), (path, 1, None, None))
            continue
        package = package_of(path)
        for _, module, name in imports(tree, package, lambda _: False):
            waiting += files_for(f"{module}.{name}")
        for call in ast.walk(tree):
            match call:
                case ast.Call(
                    func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
                    args=[ast.Constant(value=str(module)), *_],
                ):
                    waiting += files_for(module)
    return trees


def files_for(module: str) -> Iterator[str]:
    """Yield the paths that a module, and the packages that it is in, can have."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        path = "/".join(parts[:length])
        yield from (f"{path}.py", f"{path}/__init__.py")


def is_own(path: str) -> bool:
    """Tell whether a file in the package is the app's own."""
    return path.removesuffix(".py").partition("/")[0] in OWN


def uses_path(tree: ast.Module) -> bool:
    """Tell whether a module uses `sys.path`, which it may change."""
    return any(
        isinstance(n, ast.Attribute) and ast.unparse(n) == "sys.path" for n in ast.walk(tree)
    )


def tails(files: Iterable[str]) -> Iterator[str]:
    """Yield the paths of the app's own files relative to each of the folders they are in."""
    for path in filter(is_own, files):
        parts = path.split("/")
        yield from ("/".join(parts[start:]) for start in range(1, len(parts)))


def missing_imports(files: Mapping[str, Path]) -> Iterator[tuple[str, int, str]]:
    """Yield the path, the line and the module of each import of the app that fails on Lambda.

    Raises Refusal for a module of the app that is not valid Python.
    """
    trees = reached(files)
    own = {path: tree for path, tree in trees.items() if is_own(path)}
    names = module_names(files)
    if any(isinstance(tree, ast.Module) and uses_path(tree) for tree in own.values()):
        names = module_names(tails(files)) | names  # the app's folders may be on Python's path

    def lacks(module: str) -> bool:
        top, *_ = parts = module.split(".")
        if top in LAMBDA_HAS | sys.stdlib_module_names and not names.get(top):
            return False
        for length in range(1, len(parts) + 1):
            if ".".join(parts[:length]) not in names:
                # The code of a package can make modules when it runs.
                return top in KNOWN or not names.get(".".join(parts[: length - 1]))
        return False

    def lacks_name(module: str, name: str) -> bool:
        if name in ("", "*") or f"{module}.{name}" in names:
            return False
        path = module.replace(".", "/")
        tree = trees.get(f"{path}.py") or trees.get(f"{path}/__init__.py")
        if module.partition(".")[0] in KNOWN and isinstance(tree, ast.Module):
            return not names_in(tree) & {name, *MAKES_NAMES}
        return names.get(module) is False  # no code can have the name

    for path, tree in own.items():
        if isinstance(tree, SyntaxError):
            raise Refusal(f"{path}, line {tree.lineno or 1}: SyntaxError: {tree.msg}")
        for line, module, name in imports(tree, package_of(path), is_optional_in(tree)):
            if lacks(module):
                yield path, line, module
            elif lacks_name(module, name):
                yield path, line, f"{module}.{name}"


def is_to_be_listed(module: str, project: Path, left_out: Mapping[str, str]) -> bool:
    """Tell whether a module is missing because no line of requirements.txt brings it."""
    top = module.partition(".")[0]
    is_known = top in ("", *KNOWN, *REMOVED) or is_beside_app(top, project)
    return not is_known and not left_out_for(top, left_out)


def left_out_for(top: str, left_out: Collection[str]) -> list[str]:
    """Return those of the requirements that may have a module."""
    likely = {*likely_names(top)}
    return [name for name in left_out if name in likely or normalized(top) in name]


def add(modules: Collection[str]) -> str:
    """Return how to bring modules into the deployment package."""
    known = packages_distributions()
    names = [known.get(module, [f"the package of {module}"])[0] for module in modules]
    return (
        f"add {', '.join(names)} to requirements.txt (or, if a layer has such a module, name it in "
        '"chalicekit": {"layer_modules": [...]} in .chalice/config.json)'
    )


def advice(module: str, project: Path, left_out: Mapping[str, str] = {}) -> str:
    """Return how to solve that the deployment package lacks a module."""
    top = module.partition(".")[0]
    if not top:
        return "a relative import works only inside chalicelib/"
    if top == "chalice":
        return "on Lambda, Chalice has only `chalice` and `chalice.app`"
    if top in KNOWN:
        return "there is no such module"
    if is_beside_app(top, project):
        return f"move {top} into chalicelib/, because modules next to app.py are not packaged"
    for name in left_out_for(top, left_out):
        return f"change {name} in requirements.txt, which cannot be built ({left_out[name]})"
    if top in REMOVED:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"Python {version} no longer has it, {REMOVED[top]}"
    return add([top])
