"""Serve the app once: the process that `make run` starts again after each change."""

import sys

from tools.lifetime import end_with_parent
from tools.package import load_chalice_commands
from tools.settings import PROJECT, settings


def main(port: str, stage: str) -> None:
    """Serve a stage on 127.0.0.1 with `chalice local`; exits with one line if it cannot start."""
    settings(stage)
    options = ["--no-autoreload", "--host", "127.0.0.1", "--port", port]
    load_chalice_commands().run_chalice(PROJECT, "local", stage, *options)


if __name__ == "__main__":
    end_with_parent()
    main(*sys.argv[1:])
