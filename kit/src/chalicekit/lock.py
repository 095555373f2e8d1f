"""One command at a time for each stage."""

import fcntl
from typing import IO

from chalicekit.errors import Refusal
from chalicekit.project import Project


def lock(project: Project) -> IO[str]:
    """Return a file that is locked until it is closed.

    Two commands would write the same folder, and two deploys could create two APIs. Raises Refusal
    if another command has locked the stage.
    """
    path = project.build_folder.with_name(f"{project.stage}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise Refusal(
            f"Another command is running for {project.stage}: try again when it has finished."
        ) from None
    return file
