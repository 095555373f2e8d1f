"""Bytecode for Lambda: its code folder is read-only, so without it every cold start compiles.

The bytecode is of the checked-hash kind (PEP 552): it holds the hash of its source, and Python
ignores it when the source or the version of Python is different.

The bytecode of `chalice/app.py` does less than its source when it is imported: see `lean`.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from chalicekit.build.files import Files, files_in


class Module(NamedTuple):
    """A module to compile."""

    source: Path
    target: Path
    name: str  # its path in the deployment package


def with_bytecode(sources: Files, folder: Path) -> Files:
    """Return the files with the bytecode of each module beside it.

    It is written to `folder`, or taken from there if the folder exists.
    """
    names = [name for name in sources if name.endswith(".py")]
    if names and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as unfinished:
            made = Path(unfinished, "made")
            made.mkdir()
            compile_modules(
                [Module(sources[name], made / bytecode_of(name), name) for name in names]
            )
            with suppress(OSError):  # another command was faster
                made.replace(folder)
    return sources | files_in(folder)


def bytecode_of(module: str) -> str:
    """Return the path where Python looks for the bytecode of a module."""
    path = Path(module)
    return f"{path.parent / '__pycache__' / path.stem}.{sys.implementation.cache_tag}.pyc"


def compile_modules(modules: list[Module]) -> None:
    """Compile modules, in a process of its own.

    An interpreter with fixed hashes gives the same bytes for the same source. PYTHONOPTIMIZE would
    remove docstrings: Python 3.14 leaves them out of the syntax tree.
    """
    subprocess.run(
        [sys.executable, "-m", "chalicekit.build.compiler"],
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": ""},
        input=json.dumps(modules, default=str),
        encoding="utf-8",
        check=True,
    )
