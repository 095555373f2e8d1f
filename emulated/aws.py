"""`make emulator`: an emulated AWS, MiniStack."""

import asyncio
import os
import socket
import sys
import tempfile
from importlib import import_module

from hypercorn.asyncio import serve
from hypercorn.config import Config

from emulated.apigateway import behave_as_aws
from tools.ports import usable_port

NEXT_STEPS = """\
An emulated AWS listens on http://127.0.0.1:{port}. In another terminal:

  make deploy AWS=emulated{choice}    (url, logs and delete work the same way)

Ctrl-C stops it. Everything that was deployed is then gone.
"""


def main(where: str) -> None:
    """Serve the emulated AWS on 127.0.0.1 until Ctrl-C.

    `where` is a port, or `fd:N` for a socket that listens already and that this process inherits.
    """
    if where.startswith("fd:"):
        listener = socket.socket(fileno=int(where.removeprefix("fd:")))
    else:
        listener = socket.create_server(("127.0.0.1", usable_port(where, "AWS_PORT")))
    port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="hello-chalice-aws-") as folder:
        # MiniStack reads these when it is imported.
        os.environ |= {"GATEWAY_PORT": str(port), "TMPDIR": folder}
        os.environ.setdefault("LOG_LEVEL", "ERROR")
        tempfile.tempdir = folder
        ministack = import_module("ministack.app")
        workers = import_module("ministack.core.lambda_runtime")
        behave_as_aws()
        choice = "" if port == 4566 else f" AWS_PORT={port}"
        print(NEXT_STEPS.format(port=port, choice=choice), flush=True)
        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        config.loglevel = "ERROR"
        try:
            asyncio.run(serve(ministack.app, config))
        finally:
            workers.reset()  # ends them


if __name__ == "__main__":
    main(*sys.argv[1:])
