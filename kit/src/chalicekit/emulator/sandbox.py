"""The start of a function's process: a read-only disk, and no AWS but the emulated one.

This is a script for a process that has Lambda's modules only. It ends in AWS's runtime client.
Python itself reports what a function is about to do: docs.python.org/3/library/audit_events.html.
What other programs and compiled modules do is not seen; the modes of the code's files stop them.
"""

import errno
import os
import re
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# The events of calls that change files. Each pair: which argument is the path of what changes, and
# which is the descriptor of the folder that it is relative to
CHANGES: dict[str, list[tuple[int, int | None]]] = {
    "os.chmod": [(0, 2)],
    "os.chown": [(0, 3)],
    "os.link": [(1, 3)],
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.rmdir": [(0, 1)],
    "os.symlink": [(1, 2)],
    "os.truncate": [(0, None)],
    "os.utime": [(0, 3)],
}
CURRENT = -1  # the current folder: -1 is what an audit event has for dir_fd=None
AWS_HOST = re.compile(r"\.(amazonaws\.com(\.cn)?|api\.aws|on\.aws)$")
API_HOST = re.compile(r"([0-9a-z]+)\.execute-api\.")  # ID.execute-api.REGION.amazonaws.com
BUCKET_HOST = re.compile(r"(.+?)\.s3[.-]")  # BUCKET.s3.REGION.amazonaws.com


class Watch:
    """Refuses what a function on Lambda cannot do: an audit hook.

    Only /tmp can be written to, and devices. `temporary` is the function's own folder for temporary
    files; its code and all other files of the emulated AWS are in the folder that is two above.
    """

    def __init__(self, temporary: str) -> None:
        self.temporary = Path(temporary).resolve()
        self.folder_of_emulator = self.temporary.parent.parent
        self.writable = [Path(name).resolve() for name in ("/tmp", "/dev")]

    def __call__(self, event: str, arguments: Any) -> None:
        """Raise the error that the function would see."""
        if event == "open":
            path, _, flags = arguments
            if flags & TO_WRITE:
                self.refuse_change(path, CURRENT)
        for path, folder in CHANGES.get(event, []):
            self.refuse_change(arguments[path], CURRENT if folder is None else arguments[folder])
        if event == "socket.getaddrinfo" and AWS_HOST.search(str(arguments[0])):
            raise OSError(f"The emulated AWS does not let a function reach AWS: {arguments[0]}")

    def refuse_change(self, path: Any, folder: int) -> None:
        """Raise OSError, as a read-only file system does."""
        if isinstance(path, int):  # the descriptor of an open file
            return
        name = os.fsdecode(path)
        if not self.is_writable(Path(path_of(folder), name)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), name)

    def is_writable(self, path: Path) -> bool:
        """Tell whether a path can be written to.

        If its folder is missing, let open() raise FileNotFoundError.
        """
        real = path.resolve()
        if not real.parent.is_dir():
            return True
        if real.is_relative_to(self.folder_of_emulator):
            return real.is_relative_to(self.temporary)
        return any(map(real.is_relative_to, self.writable))


def path_of(folder: int) -> str:
    """Return the path of an open folder."""
    if folder == CURRENT:
        return ""
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(folder, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return str(Path(f"/proc/self/fd/{folder}").readlink())


class RedirectBotocore:
    """Prepares botocore, when it is imported, to send each request to the emulated AWS at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the specification of the module that lists botocore's handlers of its events."""
        spec = PathFinder.find_spec(name, path, target) if name == "botocore.handlers" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module  # the list is there when the module has run

            def execute_and_add(module: ModuleType) -> None:
                execute(module)
                module.BUILTIN_HANDLERS.append(("before-sign", self.redirect))

            spec.loader.exec_module = execute_and_add  # type: ignore[method-assign]
        return spec

    def redirect(self, request: Any, **_: Any) -> None:
        """Replace the address of AWS, which some code names, in a request."""
        url = urlsplit(request.url)
        host, path = url.hostname or "", url.path
        # The hosts of APIs and buckets first: they are AWS's, too, and name what the path must name
        if api := API_HOST.match(host):
            path = f"/_aws/execute-api/{api[1]}{path}"
        elif bucket := BUCKET_HOST.match(host):
            path = f"/{bucket[1]}{path}"
        elif not AWS_HOST.search(host):
            return
        request.url = f"{self.url}{path}" + (f"?{url.query}" if url.query else "")


def obey_modes() -> None:
    """Let the modes of files hold for root as well, here and in what is started from here.

    On Linux, root ignores them with the capability CAP_DAC_OVERRIDE: see prctl(2), capget(2) and
    capabilities(7). The numbers are those of linux/prctl.h and linux/capability.h.
    """
    if sys.platform == "linux" and os.geteuid() == 0:
        import ctypes

        libc, override = ctypes.CDLL(None), 1
        libc.prctl(24, override, 0, 0, 0)  # PR_CAPBSET_DROP: no program gets it any more
        this_process = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
        sets = (ctypes.c_uint32 * 6)()
        libc.capget(this_process, sets)
        sets[0] &= ~(1 << override)  # the effective set
        sets[1] &= ~(1 << override)  # the permitted set
        libc.capset(this_process, sets)


def main(handler: str, url: str, temporary: str) -> None:
    """Run a function with AWS's runtime client."""
    sys.argv[1:] = [handler]
    del sys.path[0]  # this script's folder
    sys.meta_path.insert(0, RedirectBotocore(url))
    obey_modes()
    sys.addaudithook(Watch(temporary))
    from awslambdaric.__main__ import main

    main(sys.argv)


if __name__ == "__main__":
    main(*sys.argv[1:])
