"""`make run`: serve the app on this machine, and restart the server when the code changes.

The server is `chalice local`. Chalice's own reloader reads every file under the project each second
and restarts for any of them, test caches included, so this module watches only the code.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from chalice.constants import DEFAULT_STAGE_NAME
from watchfiles import Change, DefaultFilter, watch

from chalicekit.lifetime import end_with_parent
from chalicekit.ports import usable_port
from chalicekit.settings import settings

FOLDERS = ("chalicelib", "vendor")


def is_code(change: Change, path: str) -> bool:
    """Tell whether a change can affect the app: it is in one of the app's folders, not a cache."""
    inside = Path(path).relative_to(Path.cwd())
    if inside.parts[0] not in (*FOLDERS, ".chalice") and inside.suffix != ".py":
        return False
    return DefaultFilter()(change, str(inside))


def folders() -> list[Path]:
    """Return the folders that hold code now; call it again to find new ones."""
    inner = [folder for name in FOLDERS for folder in Path(name).glob("**/") if folder.is_dir()]
    return [Path(), Path(".chalice"), *inner]


def main(port: str, stage: str = DEFAULT_STAGE_NAME) -> None:
    """Serve a stage on 127.0.0.1 at `port` until Ctrl-C."""
    settings(stage)
    command = [sys.executable, "-m", "tools.serve", str(usable_port(port, "PORT")), stage]
    # Python cannot tell two versions of a file apart that have the same length and second, and
    # would serve the bytecode of the first.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    while True:
        # In a session of its own, the server does not get Ctrl-C: this process ends it.
        server = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            next(watch(*folders(), watch_filter=is_code, recursive=False))
        finally:
            server.terminate()
            try:
                server.wait(timeout=2)
            except subprocess.TimeoutExpired:
                server.kill()


if __name__ == "__main__":
    end_with_parent()
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
