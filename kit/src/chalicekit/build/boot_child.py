"""Import the app of an unpacked package. `boot.py` runs this code in a Python that has no kit.

The current folder is the package. The first argument is a JSON list of the modules that layers
bring; the others are folders to look for them in. A Failure is written as JSON, or `null`.

`load.py` uses StandIns and `frames_of` in the kit's own process.
"""

import errno
import json
import os
import socket
import sys
import traceback
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any, TypedDict

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
HERE = (None, "", "localhost", "127.0.0.1", "::1")

Frame = tuple[str, int | None]  # of a traceback: a file and a line


class Failure(TypedDict):
    """What `boot.py` needs to know about an error."""

    reason: str
    frames: list[Frame]
    kinds: list[str]  # the names of its classes, and of those of the errors that it comes from
    module: str | None  # that is not found
    file: str | None  # that is not found


def main(layer_modules: str, *folders: str) -> None:
    """Import the app, and end this process, whatever the app has started."""
    output = os.dup(1)
    os.dup2(2, 1)  # what the app prints is not ours
    task = os.getcwd()  # noqa: PTH109 - pathlib would be imported
    sys.path[:] = [task, *filter(None, sys.path), *folders]  # "" is the current folder
    sys.dont_write_bytecode = True
    sys.meta_path.append(StandIns(json.loads(layer_modules)))
    restrict(task)
    failure = None
    try:
        __import__("app")
    except BaseException as error:
        failure = describe(error)
    os.write(output, json.dumps(failure).encode())
    os._exit(0)


def restrict(task: str) -> None:
    """Let attempts to write below `task` fail, as on Lambda, and attempts to use the network.

    Python reports them before: docs.python.org/3/library/audit_events.html
    """

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        # socket, address: a tuple is one of the network, a string that of a file
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "this check has no network")
        # host, ...
        if event == "socket.getaddrinfo" and arguments[0] not in HERE:
            raise socket.gaierror(socket.EAI_AGAIN, "this check has no network")
        # path, mode, flags; a path that is a number is an open file
        writes = event == "os.mkdir" or (event == "open" and (arguments[2] or 0) & WRITING)
        if writes and isinstance(arguments[0], (str, bytes)):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 - as above
            if path.startswith(task + os.sep):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), arguments[0])

    sys.addaudithook(refuse)


def describe(error: BaseException) -> Failure:
    """Return what `boot.py` needs to know about an error."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    kinds = [kind for link in chain for kind in type(link).__mro__]
    frames = frames_of(error)
    if isinstance(error, SyntaxError):
        frames.append((error.filename or "", error.lineno))
    return Failure(
        reason=f"{type(error).__name__}: {getattr(error, 'msg', None) or error}",
        frames=frames,
        kinds=[kind.__name__ for kind in kinds],
        module=error.name if isinstance(error, ModuleNotFoundError) else None,
        file=str(error.filename) if isinstance(error, FileNotFoundError) else None,
    )


def frames_of(error: BaseException) -> list[Frame]:
    """Return the frames that an error went through, the last one last."""
    return [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]


class StandIns(Loader):
    """Makes stand-ins for modules of layers, and for whatever is in them, if they are not here."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module that nothing else has: this finder is the last."""
        package = name.rpartition(".")[0]
        is_inside = isinstance(sys.modules.get(package), StandIn)
        return spec_from_loader(name, self) if name in self.names or is_inside else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a stand-in."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the stand-in as it is."""


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

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        """Let a class that has it as a base have none instead (PEP 560)."""
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


if __name__ == "__main__":
    main(*sys.argv[1:])
