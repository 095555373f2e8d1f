"""The check that the app can be imported with what Lambda has: the package and Lambda's Python."""

import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from chalicekit.build import boot_child, files, imports
from chalicekit.errors import Refusal
from chalicekit.runtime.environment import function_variables, lambda_python
from chalicekit.variables import NO_AWS

SECONDS = 60  # Lambda gives 10 s, on a machine that does nothing else
OS = ("<frozen os>", "/os.py")  # where os.environ is
# Errors of AWS's SDK, other clients and databases when there is no network
UNREACHABLE = {"ConnectionError", "ConnectionFailure", "HTTPClientError", "OperationalError"}
UNREACHABLE |= {"ProxyError", "TimeoutError", "URLError", "gaierror"}


def check(
    task: Path,
    project: Path,
    name: str,
    variables: Mapping[str, str],
    host: Path | None = None,
    layers: Collection[str] = (),
    left_out: Mapping[str, str] = {},
) -> None:
    """Import the app in the unpacked package `task` once; raise Refusal if that fails.

    It sees the function's `name` and environment `variables`, and no network: an app that uses it
    while it is imported is checked up to there. `host` has the requirements for this machine, if
    those in the package are for another; what is compiled is taken from there, or from this
    environment. `layers` names the modules that layers bring; they are taken from this environment,
    or something stands in for them. With `*`, any other module in this environment can be a
    layer's, too. `left_out` are requirements that are not packaged, with the reason.
    """
    arguments = {
        "task": str(task),
        "host": [str(host), *sys.path],
        "compiled": compiled_packages(task) if host else [],
        "layers": list(layers),
        "beside": sys.path if layers else [],
    }
    environment = function_variables(name, task) | NO_AWS | {"_HANDLER": "app.app"}
    code = Path(boot_child.__file__).read_text(encoding="utf-8")
    with TemporaryDirectory(dir=task.parent) as folder:
        try:
            done = subprocess.run(
                [lambda_python(Path(folder)), "-c", code, json.dumps(arguments)],
                cwd=task,
                env=environment | dict(variables),
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
        report(error, task, project, left_out)


def compiled_packages(task: Path) -> list[str]:
    """Return the names at the top of the package that have compiled modules."""
    return sorted({path.relative_to(task).parts[0].split(".")[0] for path in task.rglob("*.so")})


def report(
    error: Mapping[str, Any], task: Path, project: Path, left_out: Mapping[str, str]
) -> None:
    """Raise Refusal for an error that Lambda would have too; say so if it is about the network."""
    places = list[str]()
    for file, line in error["frames"]:
        if Path(file).is_relative_to(task):
            name = Path(file).relative_to(task).as_posix()
            name = f"vendor/{name}" if (project / "vendor" / name).exists() else name
            places.append(f"{name}, line {line}: ")
    own = ("app.py", "chalicelib/", "vendor/")
    where = "".join(place for place in places if place.startswith(own) or place == places[-1])
    if UNREACHABLE & set(error["kinds"]):
        click.echo(
            f"{where}it uses the network when imported, so the rest is not checked.", err=True
        )
        return
    reason = " ".join(error["reason"].split())
    help_ = advice(error, task, project, left_out)
    raise Refusal(f"The app cannot be imported on Lambda: {where}{reason}{help_ and f': {help_}.'}")


def advice(error: Mapping[str, Any], task: Path, project: Path, left_out: Mapping[str, str]) -> str:
    """Return what to do about an error, or "" if it does not say."""
    file = task / (error["file"] or "")
    if error["module"]:
        return imports.advice(error["module"], project, left_out)
    if error["reason"].startswith("KeyError") and error["frames"][-1][0].endswith(OS):
        return 'add it to "environment_variables" in .chalice/config.json'
    if error["file"] and file.is_relative_to(task) and (project / file.relative_to(task)).exists():
        return files.advice(file.relative_to(task).as_posix())
    return ""
