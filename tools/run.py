"""`make run`: serve the app on this machine, and again whenever its code changes.

This is `chalice local`. Chalice's own reloader reads every file under the project each second and
restarts for any of them, test caches included; so we leave it out and watch the code alone.
"""

import logging
import os
import shlex
import sys
from pathlib import Path

from watchfiles import PythonFilter, run_process

from tools.ports import usable_port


def main(port: str) -> None:
    """Serve on 127.0.0.1 at `port` until Ctrl-C."""
    command = [str(Path(sys.executable).with_name("chalice")), "local", "--no-autoreload"]
    command += ["--host", "127.0.0.1", "--port", str(usable_port(port, "PORT"))]
    folders = [Path(), Path(".chalice"), Path("chalicelib"), *Path("chalicelib").glob("**/")]
    logging.getLogger("watchfiles").setLevel(logging.ERROR)  # Ctrl-C is nothing to warn of
    # Python takes two changes of one length within a second for one, and would serve the first.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    run_process(
        *folders,
        target=shlex.join(command),
        target_type="command",
        watch_filter=PythonFilter(extra_extensions=[".json"]),
        recursive=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
