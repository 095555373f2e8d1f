"""Chalice's commands, with errors in one line and a package that is the same on every machine."""

import json
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

from chalicekit.aws import explain
from chalicekit.settings import APP, PROJECT

# Errors that tell users what is wrong come from these packages, or Python raises them for bad
# values and files.
USER_ERROR_PACKAGES = ("botocore", "chalice", "click")

Template = dict[str, Any]
merge = TemplateDeepMerger.merge


def merge_for_each_function(
    merger: TemplateDeepMerger, added: Template, template: Template
) -> Template:
    """Return Chalice's CloudFormation template with `added` merged in, once for each function.

    `added` is `.chalice/template.json`. In it, APIHandler stands for the name of the function,
    which can also be a schedule's or an authorizer's.
    """
    text = json.dumps(added)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            template = merge(merger, json.loads(text.replace("APIHandler", name)), template)
    return template


def sorted_walk(
    _: OSUtils, path: str, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, but in the order of the names, not of the file system."""
    for folder, folders, files in os.walk(path, followlinks=followlinks):
        folders.sort()
        yield folder, folders, sorted(files)


def readable_stat(_: OSUtils, path: str) -> os.stat_result:
    """Return the `os.stat` of a file, with a mode that lets Lambda read it, whatever the umask."""
    found = Path(path).stat()
    mode = 0o100755 if found.st_mode & 0o100 else 0o100644
    return os.stat_result((mode, *found[1:]))


class Factory(CLIFactory):
    """Chalice's factory, which exits with one line if the app cannot be imported."""

    def load_chalice_app(self, *arguments: Any, **options: Any) -> Any:
        """Import the app as Lambda does: with its stage's variables, and vendor/ at the top."""
        folder = Path(self.project_dir)
        # Without the project's own folder, and with packages for this machine before vendor/, which
        # may be for Lambda only.
        project = [path for path in sys.path if path in ("", str(PROJECT))]
        sys.path[:] = [path for path in sys.path if path not in project]
        sys.path.append(str(folder / "native"))
        try:
            return super().load_chalice_app(*arguments, **options)
        except (Exception, SystemExit) as error:
            # Chalice wraps a SyntaxError in several lines.
            cause = error.__context__ if isinstance(error.__context__, SyntaxError) else error
            frames = traceback.extract_tb(cause.__traceback__)
            places = [
                f"{Path(frame.filename).relative_to(folder)}, line {frame.lineno}: "
                for frame in frames
                if any(Path(frame.filename).is_relative_to(folder / name) for name in APP)
            ]
            reason = " ".join(f"{type(cause).__name__}: {cause}".split())
            sys.exit(f"The app cannot be imported: {''.join(places)}{reason}")
        finally:
            sys.path += project


def run_chalice(project: Path, command: str, stage: str, *arguments: str) -> None:
    """Run `chalice COMMAND --stage STAGE ARGUMENT...` on a project.

    Exits with one line if the command fails; `chalice` itself may show a traceback.
    """
    chalice.cli.CLIFactory = Factory  # type: ignore[misc]
    TemplateDeepMerger.merge = merge_for_each_function  # type: ignore[method-assign, assignment]
    OSUtils.walk = sorted_walk  # type: ignore[method-assign, assignment]
    OSUtils.stat = readable_stat  # type: ignore[method-assign, assignment]
    sys.dont_write_bytecode = True  # Chalice imports the app before it packages it
    command_line = ["--project-dir", str(project), command, "--stage", stage, *arguments]
    try:
        chalice.cli.cli(command_line, obj={}, standalone_mode=False)
    except Abort:  # click raises it for Ctrl-C
        raise KeyboardInterrupt from None
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        is_for_users = isinstance(error, OSError | RuntimeError | ValueError)
        if not (package in USER_ERROR_PACKAGES or is_for_users):
            raise
        sys.exit(explain(error) or str(error))
