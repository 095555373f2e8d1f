"""The restart of `local`'s server when the code changes.

Chalice's own reloader reads every file under the project each second and restarts for any of them,
test caches included, so this module watches only the code.
"""

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from watchfiles import Change, DefaultFilter, watch

FOLDERS = ("chalicelib", "vendor")


def restart_after_changes(folder: Path, port: int) -> None:
    """Run the server in a process of its own, and start it again after each change of the code."""
    # This process's command line again: of options that are there twice, the last one counts.
    command = [sys.executable, *sys.orig_argv[1:], "--port", str(port), "--no-autoreload"]
    while True:
        with started(command) as process:
            wait_for_change(folder, process)


@contextmanager
def started(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program until the block ends; on Ctrl-C, only this process ends it."""
    # The program is in this process's group, so a debugger in it can read from the terminal.
    is_foreground = os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    settings = termios.tcgetattr(0) if is_foreground else None
    # The program inherits that SIGINT is blocked. A Ctrl-C meanwhile arrives in the `try`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process = subprocess.Popen(command)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if settings:  # a debugger that is ended leaves its own
            termios.tcsetattr(0, termios.TCSANOW, settings)


def wait_for_change(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Return when the code has changed; say so if the server has ended before."""
    has_ended = False
    for changes in watch(
        *folders(folder),
        watch_filter=partial(is_code, folder),
        recursive=False,
        rust_timeout=200,
        yield_on_timeout=True,
    ):
        if changes:
            return
        if not has_ended and process.poll() is not None:
            has_ended = True
            print("Waiting for a change.")


def is_code(folder: Path, change: Change, path: str) -> bool:
    """Tell whether a change can affect the app: its code, its settings or its requirements."""
    inside = Path(path).relative_to(folder)
    return (
        inside.parts[0] in FOLDERS
        or inside == Path(".chalice", "config.json")
        or inside.suffix == ".py"
        or inside.name.startswith("requirements")
    ) and DefaultFilter()(change, str(inside))


def folders(folder: Path) -> list[Path]:
    """Return the folders in a project's that hold code now; call it again to find new ones."""
    inner = [path for name in FOLDERS for path in (folder / name).glob("**/") if path.is_dir()]
    return [folder, folder / ".chalice", *inner]
