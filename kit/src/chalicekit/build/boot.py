"""The check that the app can be imported with what Lambda has: the package and Lambda's Python."""

import json
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from chalicekit.build import boot_child
from chalicekit.build.advice import Advisor, about_file
from chalicekit.errors import Refusal
from chalicekit.runtime.environment import function_variables, lambda_python
from chalicekit.variables import NO_AWS

if TYPE_CHECKING:
    from chalicekit.project import Project

SECONDS = 60  # Lambda gives 10 s, on a machine that does nothing else
OS_ENVIRON = ("<frozen os>", "/os.py")  # the file that a missing variable's KeyError comes from
# Errors of AWS's SDK, other clients and databases when there is no network
UNREACHABLE = {"ConnectionError", "ConnectionFailure", "HTTPClientError", "OperationalError"}
UNREACHABLE |= {"ProxyError", "TimeoutError", "URLError", "gaierror"}


def check(project: "Project", task: Path, advisor: Advisor, layers: Collection[str] = ()) -> None:
    """Import the app in the unpacked package `task` once; raise Refusal if that fails.

    It sees the function's name and variables, and no network: an app that uses it while it is
    imported is checked up to there. `layers` names the modules that layers bring. They, and what
    they import, are those that are installed beside the kit, or something stands in for them.
    """
    task = task.resolve()  # as the process in it sees it
    path = sys.path if layers else []
    code = Path(boot_child.__file__).read_text(encoding="utf-8")
    variables = function_variables(project.name, task) | NO_AWS | {"_HANDLER": "app.app"}
    with TemporaryDirectory(dir=task.parent) as folder:
        command = [str(lambda_python(Path(folder))), "-c", code, json.dumps([*layers]), *path]
        try:
            done = subprocess.run(
                command,
                cwd=task,
                env=variables | project.config.environment_variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise Refusal(
                f"The app is still being imported after {SECONDS} s, and Lambda gives it 10 s: "
                "do less at the top of your modules."
            ) from None
    if not done.stdout:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Refusal(
            f"The app ends Python while it is imported (exit status {done.returncode})"
            f"{last and f': {last}'}."
        )
    if error := json.loads(done.stdout):
        report(error, task, advisor)


def report(error: dict[str, Any], task: Path, advisor: Advisor) -> None:
    """Raise Refusal for an error that `boot_child` describes; only say it if the network is why."""
    where = place_of(error, task, advisor.folder)
    if UNREACHABLE & set(error["kinds"]):
        click.echo(
            f"{where}it uses the network when imported, so the rest is not checked.", err=True
        )
        return
    reason = " ".join(error["reason"].split())
    advice = advice_for(error, task, advisor)
    help_ = f": {advice}." if advice else ""
    raise Refusal(f"The app cannot be imported on Lambda: {where}{reason}{help_}")


def place_of(error: dict[str, Any], task: Path, folder: Path) -> str:
    """Return the lines of the app that an error went through, and the last one of the package.

    For example `app.py, line 1: vendor/conf.py, line 2: `.
    """
    places = list[str]()
    for file, line in error["frames"]:
        if Path(file).is_relative_to(task):
            name = Path(file).relative_to(task).as_posix()
            name = f"vendor/{name}" if (folder / "vendor" / name).exists() else name
            places.append(f"{name}, line {line}: ")
    own = ("app.py", "chalicelib/", "vendor/")
    return "".join(place for place in places if place.startswith(own) or place == places[-1])


def advice_for(error: dict[str, Any], task: Path, advisor: Advisor) -> str:
    """Return what to do about an error, or "" if it does not say."""
    if error["module"]:
        return advisor.about_module(error["module"])
    if error["reason"].startswith("KeyError") and error["frames"][-1][0].endswith(OS_ENVIRON):
        return 'add it to "environment_variables" in .chalice/config.json'
    if error["file"] and (task / error["file"]).is_relative_to(task):
        name = (task / error["file"]).relative_to(task)
        if (advisor.folder / name).exists():
            return about_file(name.as_posix())
    return ""
