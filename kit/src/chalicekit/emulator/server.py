"""`make emulator`: run an emulated AWS, MiniStack."""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config

from chalicekit.runtime.environment import VARIABLES
from chalicekit.lifetime import end_with_parent
from chalicekit.ports import usable_port

NEXT_STEPS = """\
An emulated AWS listens on http://127.0.0.1:{port}. In another terminal:

  make deploy AWS=emulated{choice}    (url, logs and delete work the same way)

Ctrl-C stops it and deletes everything that was deployed.
"""


def main(where: str) -> None:
    """Serve the emulated AWS on 127.0.0.1 until Ctrl-C.

    `where` is a port, or `fd:N` for a listening socket that this process inherits.
    """
    end_with_parent()
    if where.startswith("fd:"):
        listener = socket.socket(fileno=int(where.removeprefix("fd:")))
    else:
        listener = socket.create_server(("127.0.0.1", usable_port(where, "AWS_PORT")))
    port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="hello-chalice-aws-") as folder:
        # MiniStack reads hundreds of settings and passes all variables on to the functions.
        os.environ.clear()
        os.environ.update(VARIABLES, GATEWAY_PORT=str(port), TMPDIR=folder)
        tempfile.tempdir = folder
        logging.basicConfig(level=logging.ERROR)
        from ministack import app
        from ministack.core import lambda_runtime

        from chalicekit.emulator import apigateway, functions

        apigateway.patch_apigateway()
        functions.patch_lambda(Path(folder) / "python")
        choice = "" if port == 4566 else f" AWS_PORT={port}"
        print(NEXT_STEPS.format(port=port, choice=choice), flush=True)
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.loglevel = "ERROR"
        try:
            asyncio.run(serve(app.app, config))
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # nothing interrupts the cleanup
            lambda_runtime.reset()  # ends the functions


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
