"""Compile modules for Lambda, in a process of its own: `bytecode.py` starts it."""

import ast
import importlib.util
import json
import marshal
import sys
import warnings
from pathlib import Path
from types import CodeType

from chalicekit.build.lean import lean

CHECKED_HASH = 0b11
# marshal marks the strings that are interned, and Python interns a character when it is first used:
# this interns them all, so that the marks are always the same.
CHARACTERS = [sys.intern(chr(number)) for number in range(256)]


def compile_module(source: Path, target: Path, name: str) -> None:
    """Write the bytecode of the file `source` to `target`.

    `name` is its path in the deployment package. A file that is not valid Python gets no bytecode:
    some packages have such templates or tests.
    """
    content = source.read_bytes()
    try:
        tree = ast.parse(content)
        if name == "chalice/app.py":
            tree = lean(tree)
        code = compile(tree, f"/var/task/{name}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        importlib.util.MAGIC_NUMBER
        + CHECKED_HASH.to_bytes(4, "little")
        + importlib.util.source_hash(content)
        + reproducible(code)
    )


def reproducible(code: CodeType) -> bytes:
    """Return compiled code as bytes, which do not depend on what else this process has loaded.

    marshal also writes which strings are interned and which objects have other references
    (github.com/python/cpython/issues/78274). The strings that the code may share with the rest of
    the process are the characters, all interned above, and identifiers.
    """
    # While a copy is written, `code` is still alive, so each identifier in the copy has a second
    # reference, and marshal always marks it the same.
    return marshal.dumps(marshal.loads(marshal.dumps(code)))


if __name__ == "__main__":  # standard input: JSON, a list of [source, target, name]
    warnings.simplefilter("ignore")  # about code that others wrote
    for source, target, name in json.load(sys.stdin):
        compile_module(Path(source), Path(target), name)
