"""Import the app of an unpacked package. `boot.py` runs this code in a Python that has no kit.

The argument is JSON: `task` is the folder of the package; `compiled` are the packages that `host`
has for this machine, because those in the package are for Lambda's; `layers` are the modules that
layers bring, which are taken from the folders `beside`. What goes wrong is written as JSON.
"""

import errno
import json
import os
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Compiled:
    """Finds packages with compiled modules where they are compiled for this machine."""

    def __init__(self, names: list[str], host: str) -> None:
        self.names, self.host = names, host

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> "ModuleSpec | None":
        """Find a package at the top; its modules are then found beside it."""
        return PathFinder.find_spec(name, [self.host]) if name in self.names else None


class Layers:
    """Finds modules that layers bring, and what those import."""

    def __init__(self, names: list[str], beside: list[str], task: str) -> None:
        self.names, self.beside, self.task = names, beside, task

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> "ModuleSpec | None":
        """Find a module at the top that nothing else has."""
        frame = sys._getframe(1)
        while frame.f_back and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        is_from_layer = not frame.f_code.co_filename.startswith(self.task)
        if path is None and (name in self.names or "*" in self.names or is_from_layer):
            return PathFinder.find_spec(name, self.beside)
        return None


def make_read_only(task: str) -> None:
    """Let attempts to write below `task` fail, as on Lambda, also for root."""

    def refuse(event: str, arguments: "tuple[Any, ...]") -> None:
        writes = event == "os.mkdir" or (event == "open" and (arguments[2] or 0) & WRITING)
        if writes and isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - nothing to import
            if path.startswith(task + os.sep):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), arguments[0])

    sys.addaudithook(refuse)


def describe(error: BaseException) -> "dict[str, Any]":
    """Return what `boot.py` needs to know about an error."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    kinds = [kind for link in chain for kind in type(link).__mro__]
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    return {
        "reason": f"{type(error).__name__}: {getattr(error, 'msg', None) or error}",
        "frames": frames,
        "kinds": [f"{kind.__module__}.{kind.__name__}" for kind in kinds],
        "module": error.name if isinstance(error, ModuleNotFoundError) else None,
        "file": str(error.filename) if isinstance(error, FileNotFoundError) else None,
    }


def main(
    task: str, host: str, compiled: "list[str]", layers: "list[str]", beside: "list[str]"
) -> None:
    """Import the app, and end this process, whatever the app has started."""
    output = os.dup(1)
    os.dup2(2, 1)  # what the app prints is no answer
    sys.path[:] = [task, *filter(None, sys.path)]
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Compiled(compiled, host))
    if layers:
        sys.meta_path.append(Layers(layers, beside, task))
    make_read_only(task)
    try:
        __import__("app")
        answer = {}
    except BaseException as error:
        answer = describe(error)
    os.write(output, json.dumps(answer).encode())
    os._exit(0)


if __name__ == "__main__":
    main(**json.loads(sys.argv.pop()))
