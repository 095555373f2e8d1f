"""Import the app of an unpacked package. `boot.py` runs this code in a Python that has no kit.

The argument is JSON: `task` is the folder of the package; `compiled` are the packages that are
taken from the folders `host`, because those in the package are for another machine; `layers` are
the modules that layers bring, which are taken from the folders `beside`. What goes wrong is written
as JSON.
"""

import errno
import json
import os
import socket
import sys
import traceback
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HERE = (None, "", "localhost", "127.0.0.1", "::1")


class StandIn(ModuleType):
    """Stands in for a module that is not here, and for whatever is in it.

    It can be called, used as a decorator, which changes nothing, and be a base class.
    """

    __path__: Any = ()

    def __getattr__(self, name: str) -> "StandIn":
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Return a function that is decorated as it is, and otherwise a stand-in."""
        is_decorator = len(arguments) == 1 and not options and callable(arguments[0])
        return arguments[0] if is_decorator else self

    def __mro_entries__(self, bases: Any) -> "tuple[type, ...]":
        return ()

    def __getitem__(self, key: Any) -> "StandIn":
        return self

    def __or__(self, other: Any) -> "StandIn":
        return self

    __ror__ = __or__

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *error: Any) -> None:
        pass


class Compiled:
    """Finds packages with compiled modules where they are compiled for this machine."""

    def __init__(self, names: "list[str]", host: "list[str]") -> None:
        self.names, self.host = names, host

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> "ModuleSpec | None":
        """Find a package at the top; its modules are then found beside it."""
        return PathFinder.find_spec(name, self.host) if name in self.names else None


class Layers(Loader):
    """Finds modules that layers bring, after everything else: `beside`, or a stand-in.

    `names` are those modules at the top; `*` is any that is found beside. What they import is found
    beside, too: all that is imported from elsewhere than the folder `task`.
    """

    def __init__(self, names: "list[str]", beside: "list[str]", task: str) -> None:
        self.names, self.beside, self.task = names, beside, task

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> "ModuleSpec | None":
        """Find a module that nothing else has."""
        if path is not None:
            is_inside = isinstance(sys.modules.get(name.rpartition(".")[0]), StandIn)
            return spec_from_loader(name, self) if is_inside else None
        frame = sys._getframe(1)
        while frame.f_back and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        is_from_layer = not frame.f_code.co_filename.startswith(self.task)
        is_named = name in self.names
        found = None
        if is_named or is_from_layer or "*" in self.names:
            found = PathFinder.find_spec(name, self.beside)
        return found or (spec_from_loader(name, self) if is_named else None)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a stand-in."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the stand-in as it is."""


def restrict(task: str) -> None:
    """Let attempts to write below `task` fail, as on Lambda, and attempts to use the network."""

    def refuse(event: str, arguments: "tuple[Any, ...]") -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "this check has no network")
        if event == "socket.getaddrinfo" and arguments[0] not in HERE:
            raise socket.gaierror(socket.EAI_AGAIN, "this check has no network")
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
        "kinds": [kind.__name__ for kind in kinds],
        "module": error.name if isinstance(error, ModuleNotFoundError) else None,
        "file": str(error.filename) if isinstance(error, FileNotFoundError) else None,
    }


def main(
    task: str, host: "list[str]", compiled: "list[str]", layers: "list[str]", beside: "list[str]"
) -> None:
    """Import the app, and end this process, whatever the app has started."""
    output = os.dup(1)
    os.dup2(2, 1)  # what the app prints is no answer
    sys.path[:] = [task, *filter(None, sys.path)]
    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Compiled(compiled, host))
    if layers:
        sys.meta_path.append(Layers(layers, beside, task))
    restrict(task)
    try:
        __import__("app")
        answer = {}
    except BaseException as error:
        answer = describe(error)
    os.write(output, json.dumps(answer).encode())
    os._exit(0)


if __name__ == "__main__":
    main(**json.loads(sys.argv.pop()))
