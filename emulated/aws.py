"""`make emulator`: an emulated AWS, MiniStack."""

import os
import sys
import tempfile
from importlib import import_module

from emulated.apigateway import behave_as_aws
from tools.ports import usable_port

TO_TYPE_NEXT = """\
An emulated AWS listens on http://127.0.0.1:{port}. In another terminal:

  make deploy AWS=emulated{choice}    then url, logs, delete alike

Ctrl-C ends it and forgets everything that was deployed.
"""


def main(port: str) -> None:
    """Serve the emulated AWS on 127.0.0.1 at `port` until Ctrl-C."""
    number = usable_port(port, "AWS_PORT")
    with tempfile.TemporaryDirectory(prefix="hello-chalice-aws-") as folder:
        # MiniStack reads these when it is imported.
        os.environ |= {"GATEWAY_PORT": port, "BIND_HOST": "127.0.0.1", "TMPDIR": folder}
        os.environ.setdefault("LOG_LEVEL", "ERROR")
        tempfile.tempdir = folder
        emulator = import_module("ministack.app")
        runtime = import_module("ministack.core.lambda_runtime")
        behave_as_aws()
        choice = "" if number == 4566 else f" AWS_PORT={number}"
        print(TO_TYPE_NEXT.format(port=number, choice=choice), flush=True)
        sys.argv[1:] = []  # MiniStack parses them
        try:
            emulator.main()
        finally:
            runtime.reset()  # ends the Lambda workers


if __name__ == "__main__":
    main(*sys.argv[1:])
