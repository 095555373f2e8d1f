"""One command at a time for each stage."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from chalicekit.errors import Refusal
from chalicekit.project import Project


@contextmanager
def lock(project: Project) -> Iterator[None]:
    """Keep other commands out of the stage in the block; raise Refusal if one is in it.

    Two commands would write the same folder, and two deploys could create two APIs.
    """
    path = project.build_root / f"{project.stage}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                f"Another command is running for {project.stage}: try again when it has finished."
            ) from None
        yield
