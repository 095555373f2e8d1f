"""Chalice's commands, run on the copy of the project that `tools/package.py` makes."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chalice.cli
from chalice.cli.factory import CLIFactory
from chalice.package import TemplateDeepMerger
from chalice.utils import OSUtils
from click import Abort

from tools.aws import explain
from tools.template import merge_for_each_function

# Errors of these, and those that Python raises for bad values and files, tell users what is wrong.
EXPECTED = ("botocore", "chalice", "click")


def sorted_walk(
    _: OSUtils, path: str, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, but in the order of the names and not of the file system."""
    for folder, folders, files in os.walk(path, followlinks=followlinks):
        folders.sort()
        yield folder, folders, sorted(files)


def readable_stat(_: OSUtils, path: str) -> os.stat_result:
    """Return what `os.stat` does, but a mode that lets Lambda read the file, whatever the umask."""
    found = Path(path).stat()
    mode = 0o100755 if found.st_mode & 0o100 else 0o100644
    return os.stat_result((mode, *found[1:]))


class Factory(CLIFactory):
    """Chalice's own, but an app that cannot be imported ends the program with the place."""

    def load_chalice_app(self, *arguments: Any, **options: Any) -> Any:
        """Import the app as it is on Lambda: its stage's variables, and vendor/ at the top."""
        folder = Path(self.project_dir)
        logging.disable()  # the app's log would show what Chalice and AWS's client do
        sys.path.append(str(folder / "native"))  # before vendor/, which may be for Lambda only
        try:
            return super().load_chalice_app(*arguments, **options)
        except (Exception, SystemExit) as error:
            places = [
                f"{Path(frame.filename).relative_to(folder)}, line {frame.lineno}: "
                for frame in traceback.extract_tb(error.__traceback__)
                if Path(frame.filename).is_relative_to(folder)
            ]
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            sys.exit(f"The app cannot be imported: {''.join(places)}{reason}")


def run_chalice(staged: Path, command: str, stage: str, *arguments: str) -> None:
    """Run `chalice COMMAND --stage STAGE ARGUMENT...` on the copy.

    If it fails, end the program with what is wrong, where `chalice` itself may show a traceback.
    """
    chalice.cli.CLIFactory = Factory  # type: ignore[misc]
    TemplateDeepMerger.merge = merge_for_each_function  # type: ignore[method-assign, assignment]
    OSUtils.walk = sorted_walk  # type: ignore[method-assign, assignment]
    OSUtils.stat = readable_stat  # type: ignore[method-assign, assignment]
    sys.dont_write_bytecode = True  # Chalice imports the app before it packages it
    command_line = ["--project-dir", str(staged), command, "--stage", stage, *arguments]
    try:
        chalice.cli.cli(command_line, obj={}, standalone_mode=False)
    except Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if not (package in EXPECTED or isinstance(error, OSError | RuntimeError | ValueError)):
            raise
        sys.exit(explain(error) or str(error))
