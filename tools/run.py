"""`make run`: serve the app on this machine, and again whenever its code changes.

This is `chalice local`. Chalice's own reloader reads every file under the project each second and
restarts for any of them, test caches included; so we leave it out and watch the code alone.
"""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from chalice.constants import DEFAULT_STAGE_NAME
from watchfiles import Change, DefaultFilter, watch

from tools.lifetime import end_with_parent
from tools.ports import usable_port
from tools.settings import settings

CODE = ("chalicelib", "vendor")


def is_code(change: Change, path: str) -> bool:
    """Tell whether the app may see a change: it is in the app's folders, and no cache."""
    inside = Path(path).relative_to(Path.cwd())
    if inside.parts[0] not in (*CODE, ".chalice") and inside.suffix != ".py":
        return False
    return DefaultFilter()(change, str(inside))


def folders() -> list[Path]:
    """Return the folders that hold code; one that is made later has to be found by another call."""
    inner = [folder for name in CODE for folder in Path(name).glob("**/") if folder.is_dir()]
    return [Path(), Path(".chalice"), *inner]


def main(port: str, stage: str = DEFAULT_STAGE_NAME) -> None:
    """Serve a stage on 127.0.0.1 at `port` until Ctrl-C."""
    settings(stage)
    number = usable_port(port, "PORT")
    command = [sys.executable, "-m", "tools.serve", "local", "--no-autoreload"]
    command += ["--host", "127.0.0.1", "--port", str(number), "--stage", stage]
    # Python takes two changes of one length within a second for one, and would serve the first.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    while True:
        # In a session of its own, Ctrl-C does not reach it: we end it.
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
