"""Compile modules for Lambda: its code folder is read-only, so each cold start would do it again.

The bytecode is of the checked-hash kind (PEP 552): it holds the hash of its source, and Python
ignores it when the source or the version of Python is different.

The bytecode of `chalice/app.py` has no annotations. Evaluating them takes 2 ms of each cold start,
and they take 4 to 13 KB of the package; Chalice never reads them.
"""

import ast
import importlib.util
import json
import marshal
import sys
import warnings
from pathlib import Path

CHECKED_HASH = 0b11


class WithoutAnnotations(ast.NodeTransformer):
    """Removes the annotations of arguments, results and variables."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
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
        return ast.copy_location(plain, node)


def compile_module(source: Path, target: Path, name: str) -> None:
    """Write the bytecode of the file `source` to `target`.

    `name` is its path in the deployment package. A file that is not valid Python gets no bytecode:
    some packages have such templates or tests.
    """
    content = source.read_bytes()
    try:
        tree = ast.parse(content)
        if name == "chalice/app.py":
            tree = ast.fix_missing_locations(WithoutAnnotations().visit(tree))
        code = compile(tree, f"/var/task/{name}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        importlib.util.MAGIC_NUMBER
        + CHECKED_HASH.to_bytes(4, "little")
        + importlib.util.source_hash(content)
        + marshal.dumps(code)
    )


if __name__ == "__main__":  # standard input: JSON, a list of [source, target, name]
    warnings.simplefilter("ignore")  # about code that others wrote
    for source, target, name in json.load(sys.stdin):
        compile_module(Path(source), Path(target), name)
