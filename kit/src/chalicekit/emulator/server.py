"""The server of the emulated AWS: MiniStack behind a guard, in one process."""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

from chalicekit.lifetime import end_with_parent
from chalicekit.runtime.environment import LAMBDA_VARIABLES, lambda_python

BANNER = """\
An emulated AWS listens on http://127.0.0.1:{port}. In another terminal:

  {deploy}    (url, logs, delete and {local} work the same way)

Ctrl-C stops it and deletes everything that was deployed. None of it reaches an AWS account.
What it does not do, and who can reach it: "What the emulated AWS does not do" in the kit's README.
"""


def run(port: int, deploy: str, local: str) -> None:
    """Serve the emulated AWS on a free port of 127.0.0.1.

    The banner shows the command `deploy`, and `local` as the name of that which serves.
    """
    listener = socket.create_server(("127.0.0.1", port))
    serve(listener, lambda: print(BANNER.format(port=port, deploy=deploy, local=local), flush=True))


def serve(listener: socket.socket, ready: Callable[[], object] = lambda: None) -> None:
    """Serve the emulated AWS until Ctrl-C, SIGTERM or SIGHUP. No function and no file remains.

    `listener` is a listening socket on 127.0.0.1. `ready` is called once before requests are
    answered. Call this in the main thread of a process that does nothing else, after
    `end_with_parent`: the process's variables are replaced.
    """
    port = listener.getsockname()[1]
    with (
        suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="chalicekit-aws-") as folder,
    ):
        set_up_ministack(port, folder)
        from ministack import app
        from ministack.core import lambda_runtime

        # The import of these replaces functions of MiniStack
        from chalicekit.emulator import apigateway, functions, guard, permissions  # noqa: F401

        functions.Instance.python = lambda_python(Path(folder) / "python")
        functions.Instance.url = f"http://127.0.0.1:{port}"
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.loglevel = "ERROR"
        ready()
        try:
            asyncio.run(serve_asgi(guard.guarded(app.app, port), config))
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # nothing interrupts the cleanup
            lambda_runtime.reset()  # ends functions that still run


def set_up_ministack(port: int, folder: str) -> None:
    """Replace this process's variables by the settings of MiniStack, which it reads on import.

    It knows hundreds, so none of the user's may stay. `folder` is for temporary files.
    """
    os.environ.clear()
    os.environ.update(
        LAMBDA_VARIABLES,
        GATEWAY_PORT=str(port),
        TMPDIR=folder,
        AUTH="true",  # see permissions.py
        DOCKER_HOST="unix:///nonexistent",  # containers of this machine are not ours
        IOT_MTLS_ENABLED="0",  # no further port
        SFTP_ENABLED="0",
    )
    tempfile.tempdir = folder
    logging.basicConfig(level=logging.ERROR)


if __name__ == "__main__":
    end_with_parent()
    serve(socket.socket(fileno=int(sys.argv[1])))  # a listening socket that on_demand.py passes on
