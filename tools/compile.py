"""Compile modules for Lambda, whose code folder is read-only: each cold start would do it again.

The bytecode is of the checked-hash kind (PEP 552): it holds the hash of its source, and Python
ignores it where source or Python are others.

That of `chalice/app.py` differs from its source in one thing. Its annotations stay strings, as if
the file began with `from __future__ import annotations` (PEP 563), since to evaluate them takes
2 ms of each cold start. Chalice never reads them; since Python 3.14 none are evaluated unread.
"""

import __future__

import importlib.util
import json
import marshal
import sys
import warnings
from pathlib import Path

CHECKED_HASH = 0b11


def compile_module(source: Path, target: Path, name: str) -> None:
    """Write the bytecode of the file `source` to `target`.

    `name` is its path in the deployment package. Python that has an error, as templates and tests
    of some packages do, gets none.
    """
    content = source.read_bytes()
    flags = __future__.annotations.compiler_flag if name == "chalice/app.py" else 0
    try:
        code = compile(content, f"/var/task/{name}", "exec", flags, True, optimize=0)
    except (SyntaxError, ValueError):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(
        importlib.util.MAGIC_NUMBER
        + CHECKED_HASH.to_bytes(4, "little")
        + importlib.util.source_hash(content)
        + marshal.dumps(code)
    )


if __name__ == "__main__":  # standard input has lists of a module's source, target and name
    warnings.simplefilter("ignore")  # of what others wrote
    for source, target, name in json.load(sys.stdin):
        compile_module(Path(source), Path(target), name)
