"""One command at a time for each stage."""

import fcntl
import sys
from typing import IO

from chalicekit.settings import PROJECT


def lock(stage: str) -> IO[str]:
    """Return a file that is locked until it is closed; exits with one line if it is locked already.

    Two commands would write the same `build/STAGE`, and two deploys could create two APIs.
    """
    path = PROJECT / "build" / f"{stage}.lock"
    path.parent.mkdir(exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another command is running for {stage}: try again when it has finished.")
    return file
