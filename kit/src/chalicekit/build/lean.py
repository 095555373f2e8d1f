"""Make Chalice's module start in 1.5 ms of processor time, not 7, which is a fifth of a cold start.

Most of that goes into annotations, which Chalice never reads, and into modules that few requests
use: `typing`, `urllib.parse`, `datetime`, `base64`. `lean` does what one would do by hand:

- It has no annotations, and nothing that follows `if TYPE_CHECKING:`.
- Imports whose names only functions use, or nothing any more, run later. So do aliases of types,
  such as `HeadersType = Dict[str, Any]`. They move into `__getattr__`, the function that Python
  calls for a name that a module lacks (PEP 562). Functions call it for these names:
  `base64.b64decode(data)` becomes `__getattr__("base64").b64decode(data)`.

To others the module has the names that it had (people do import `HeadersType` from it); only `dir`
and `import *` miss one until its first use. Tracebacks show the lines of the source. Chalice's own
unit tests of its module pass on Python 3.10 to 3.14.

What it costs: the first use of such a module is slower than INIT, because Lambda gives INIT a whole
core, and a request the function's share. At 128 MB, the 0.6 ms of `base64` are 8. A request and a
response of text use none of them. The first body in Base64 does, and the first event of S3, Kinesis
or DynamoDB: an app that is made for those can import the module in app.py.

Why only Chalice's module: no rule knows what requests need of another package, or what an import
there does beside giving a name. With Requests, the first request lost what INIT won; boto3 ended in
an infinite recursion.

This module is not needed once Chalice has lazy annotations (PEP 649) and imports (PEP 810).
"""

import ast
from itertools import chain
from typing import TypeVar

from chalicekit.build.syntax import WithoutTypeChecking

# The names that Chalice's module binds once, at its top, and that only functions and aliases read.
# A function must not have a variable of such a name: test_lean.py notices it in another Chalice.
LATER = {"base64", "copy", "datetime", "decimal", "defaultdict", "functools", "json", "logging"}
LATER |= {"os", "sys", "traceback", "unquote_plus", "TYPE_CHECKING"}
LATER |= {"Any", "Callable", "Dict", "Iterator", "List", "Optional", "Sequence", "Set", "Tuple"}
LATER |= {"Union", "HeadersType", "MiddlewareFuncType", "UserHandlerFuncType"}

# For a module with two such statements, for example, the function starts with `global base64,
# HeadersType`, and in the place of "..." it has
#
#     if _wanted in ("base64",):
#         import base64
#     if _wanted in ("HeadersType",):
#         HeadersType = Dict[str, Any]
#
# Functions also call it for a name that is bound already: the first `if` returns that. The second
# returns what a statement above it has just bound.
GETATTR = """\
def __getattr__(_wanted):
    if _wanted in globals():
        return globals()[_wanted]
    ...
    if _wanted in globals():
        return globals()[_wanted]
    raise AttributeError(f"module {__name__!r} has no attribute {_wanted!r}")
"""

Node = TypeVar("Node", bound=ast.AST)


def lean(module: ast.Module) -> ast.Module:
    """Return Chalice's module, changed: it behaves as before, and does less when it is imported."""
    WithoutTypeChecking().visit(module)
    WithoutAnnotations().visit(module)
    bound = {statement: names_bound(statement) for statement in module.body}
    later = {node: names for node, names in bound.items() if names and LATER.issuperset(names)}
    if later:
        first, *_ = later
        module.body.insert(module.body.index(first), getattr_function(later))
        module.body = [statement for statement in module.body if statement not in later]
        Asking().visit(module)  # `__getattr__` as well: an alias reads other names
    return ast.fix_missing_locations(module)


class WithoutAnnotations(ast.NodeTransformer):
    """Removes annotations."""

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Remove the annotation of an argument."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Remove the annotation of a function's result, and those inside the function."""
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Remove the annotation of a variable; keep the assignment, if there is one."""
        plain = ast.Assign([node.target], node.value) if node.value else ast.Pass()
        return self.generic_visit(ast.copy_location(plain, node))


def names_bound(statement: ast.stmt) -> list[str]:
    """Return the names that an import or an assignment binds; none for other statements."""
    match statement:
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [alias.asname or alias.name for alias in aliases]
        case ast.Assign([ast.Name(name)]):
            return [name]
    return []


def getattr_function(later: dict[ast.stmt, list[str]]) -> ast.FunctionDef:
    """Return the function that runs a statement when a name that it binds is wanted."""
    first, *_ = later
    [function] = placed(ast.parse(GETATTR), first).body
    assert isinstance(function, ast.FunctionDef)
    return_if_bound, _, *end = function.body
    all_names = placed(ast.Global([*chain(*later.values())]), first)
    branches = [placed(branch(statement, names), statement) for statement, names in later.items()]
    function.body = [all_names, return_if_bound, *branches, *end]
    return function


def branch(statement: ast.stmt, names: list[str]) -> ast.If:
    """Return the code that runs a statement if one of these names is wanted."""
    is_wanted = ast.parse(f"_wanted in {tuple(names)}", mode="eval").body
    return ast.If(is_wanted, [statement], [])


def placed(tree: Node, original: ast.AST) -> Node:
    """Return `tree` as if it stood where `original` stands, for tracebacks."""
    for node in ast.walk(tree):
        ast.copy_location(node, original)
    return tree


class Asking(ast.NodeTransformer):
    """Replaces names, where they are read, by calls of the module's `__getattr__`."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replace a name that is bound later."""
        if node.id not in LATER or not isinstance(node.ctx, ast.Load):
            return node
        return placed(ast.parse(f"__getattr__({node.id!r})", mode="eval").body, node)
