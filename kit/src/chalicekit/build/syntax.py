"""What the source of a module shows: the names in it, and what it imports."""

import ast
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

from chalicekit.errors import Refusal

OWN = {"app", "chalicelib"}  # the modules at the top that are the app's
CATCHES_IMPORT_ERROR = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
VARIES_BY_MACHINE = {"version_info", "platform"}


def reached(sources: Mapping[str, Path]) -> dict[str, ast.Module]:
    """Return the modules that app.py may import, directly or not, by their paths in the package.

    `import_module("...")` counts as an import. Raises Refusal for a module of the app that is not
    valid Python; another such module counts as empty.
    """
    trees = dict[str, ast.Module]()
    waiting = ["app.py"]
    while waiting:
        path = waiting.pop()
        if path in trees or path not in sources:
            continue
        tree = trees[path] = parse(path, sources[path].read_bytes())
        for _, module, name in imports_in(tree, path, with_optional=True):
            waiting += files_for(f"{module}.{name}" if name else module)
        for call in ast.walk(tree):
            match call:
                case ast.Call(
                    func=ast.Attribute(attr="import_module") | ast.Name(id="import_module"),
                    args=[ast.Constant(value=str(module)), *_],
                ):
                    waiting += files_for(module)
    return trees


def parse(path: str, source: bytes) -> ast.Module:
    """Return the syntax tree of the module at `path`, as it runs; raises Refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about code that others wrote
            tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte, before Python 3.12
        if not is_own(path):
            return ast.Module([], [])
        line, reason = getattr(error, "lineno", 1), getattr(error, "msg", error)
        raise Refusal(f"{path}, line {line or 1}: SyntaxError: {reason}") from None
    WithoutTypeChecking().visit(tree)
    return tree


class WithoutTypeChecking(ast.NodeTransformer):
    """Removes what follows `if TYPE_CHECKING:`, which is false when a program runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Replace such an `if` by what is below its `else`."""
        self.generic_visit(node)
        match node.test:
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                return node.orelse or ast.copy_location(ast.Pass(), node)
        return node


def is_own(path: str) -> bool:
    """Tell whether a file in the package is the app's own."""
    return path.removesuffix(".py").partition("/")[0] in OWN


def files_for(module: str) -> Iterator[str]:
    """Yield the paths that a module, and each of the packages that it is in, can have."""
    for name in with_parents(module):
        path = name.replace(".", "/")
        yield from (f"{path}.py", f"{path}/__init__.py")


def with_parents(module: str) -> list[str]:
    """Return `a`, `a.b` and `a.b.c` for the module `a.b.c`."""
    return list(accumulate(module.split("."), "{}.{}".format))


def imports_in(
    tree: ast.Module, path: str, with_optional: bool = False
) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the module and the name (or "") of each import in the module at `path`."""
    package = path.rpartition("/")[0].replace("/", ".")
    for node in statements(tree, with_optional):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")  # as it is written, such as ..orders
            # Python fails if there are more dots than packages above: then the dots stay.
            if package and node.level <= len(package.split(".")):
                module = resolve_name(module, package)
            yield from ((node.lineno, module, alias.name) for alias in node.names)


def statements(node: ast.AST, with_optional: bool) -> Iterator[ast.AST]:
    """Yield the statements below `node`; those that are optional only if you ask for them."""
    for child in ast.iter_child_nodes(node):
        is_statement = isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        if is_statement and (with_optional or not is_optional(child, node)):
            yield child
            yield from statements(child, with_optional)


def is_optional(node: ast.AST, parent: ast.AST) -> bool:
    """Tell whether what is below `node` may fail to import, or may not run on Lambda."""
    match node:
        case ast.Try():
            caught = [handler.type for handler in node.handlers]
            return any(kind is None or names_in(kind) & CATCHES_IMPORT_ERROR for kind in caught)
        case ast.With():
            return bool(names_in(*node.items) & CATCHES_IMPORT_ERROR)  # suppress(ImportError)
        case ast.If():
            # What an `if` at the top does shows when the app is imported, which is checked next.
            is_at_top = isinstance(parent, ast.Module)
            return is_at_top or bool(names_in(node.test) & VARIES_BY_MACHINE)
    return False


@cache  # each import from a module asks for all names in it
def names_in(*nodes: ast.AST) -> set[str]:
    """Return every name in the code of `nodes`."""
    fields = ("id", "attr", "name", "asname")
    below = [child for node in nodes for child in ast.walk(node)]
    return {str(getattr(node, field, "")) for node in below for field in fields}
