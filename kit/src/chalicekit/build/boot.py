"""The check that the app can be imported with what Lambda has: the package and Lambda's Python."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from chalicekit.build import boot_child
from chalicekit.build.advice import Advisor, about_file, advice_to_add
from chalicekit.build.boot_child import Failure, Frame
from chalicekit.errors import Refusal
from chalicekit.project import Project
from chalicekit.runtime.environment import function_variables, lambda_python
from chalicekit.variables import NO_AWS

SECONDS = 60  # Lambda gives 10 s, on a machine that does nothing else
# A missing variable is a KeyError that comes from Python's module `os`. Its file is called so, or
# before Python 3.11 by its path.
OS_FILE = ("<frozen os>", "/os.py")
# Errors of AWS's SDK, other clients and databases when there is no network
UNREACHABLE = {"ConnectionError", "ConnectionFailure", "HTTPClientError", "OperationalError"}
UNREACHABLE |= {"ProxyError", "TimeoutError", "URLError", "gaierror"}


def check(
    project: Project,
    task: Path,
    advisor: Advisor,
    layer_modules: Collection[str] = (),
    has_layers: bool = False,
) -> None:
    """Import the app in the unpacked package `task` once; raise Refusal if that fails.

    It sees the function's name and variables, and no network: an app that uses it while it is
    imported is checked up to there. `layer_modules` are those that layers bring, as far as they are
    known. What layers bring is what is installed beside the kit, or something stands in for it.
    """
    task = task.resolve()  # as the process in it sees it
    path = sys.path if has_layers else []
    # As text: with a file of the kit, Python would also import from the kit's folder.
    code = Path(boot_child.__file__).read_text(encoding="utf-8")
    variables = function_variables(project.name, task) | NO_AWS | {"_HANDLER": "app.app"}
    with TemporaryDirectory(dir=task.parent) as folder:
        python = str(lambda_python(Path(folder)))
        command = [python, "-c", code, json.dumps([*layer_modules]), *path]
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
    if not done.stdout:  # Python ended before it could write even `null`
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Refusal(
            f"The app ends Python while it is imported (exit status {done.returncode})"
            f"{last and f': {last}'}."
        )
    if failure := json.loads(done.stdout):
        report(failure, task, advisor)


def report(failure: Failure, task: Path, advisor: Advisor) -> None:
    """Raise Refusal for a failure; only say it if the network is why."""
    where = place_of(failure, task, advisor.folder)
    if UNREACHABLE & set(failure["kinds"]):
        click.echo(
            f"{where}it uses the network when imported, so the rest is not checked.", err=True
        )
        return
    reason = " ".join(failure["reason"].split())
    advice = advice_for(failure, task, advisor)
    help_ = f": {advice}." if advice else ""
    raise Refusal(f"The app cannot be imported on Lambda: {where}{reason}{help_}")


def place_of(failure: Failure, task: Path, folder: Path) -> str:
    """Return the lines of the app that a failure went through, and the last one of the package.

    For example `app.py, line 1: vendor/conf.py, line 2: `.
    """
    places = list[str]()
    for name, line in frames_in(task, failure["frames"]):
        is_vendored = (folder / "vendor" / name).exists()
        places.append(f"{'vendor/' if is_vendored else ''}{name}, line {line}: ")
    of_app = ("app.py", "chalicelib/", "vendor/")
    return "".join(place for place in places if place.startswith(of_app) or place == places[-1])


def frames_in(folder: Path, frames: Iterable[Frame]) -> list[Frame]:
    """Return those frames whose file is in a folder, with its path there."""
    return [
        (Path(file).relative_to(folder).as_posix(), line)
        for file, line in frames
        if Path(file).is_relative_to(folder)
    ]


def advice_for(failure: Failure, task: Path, advisor: Advisor) -> str:
    """Return what to do about a failure, or "" if it does not say."""
    if module := failure["module"]:
        return advisor.about_module(module) or advice_to_add([module.partition(".")[0]])
    if failure["reason"].startswith("KeyError") and failure["frames"][-1][0].endswith(OS_FILE):
        return 'add it to "environment_variables" in .chalice/config.json'
    if failure["file"] and (task / failure["file"]).is_relative_to(task):
        name = (task / failure["file"]).relative_to(task)
        if (advisor.folder / name).exists():
            return about_file(name.as_posix())
    return ""
