"""The import of an app, for all that look at it: the local server, the package, the deployment."""

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from chalice import Chalice
from chalice.deploy.validate import validate_feature_flags

from chalicekit.build import Build
from chalicekit.build.boot import frames_in
from chalicekit.build.boot_child import StandIns, frames_of
from chalicekit.errors import Refusal
from chalicekit.project import Project
from chalicekit.runtime.environment import LAMBDA_HAS
from chalicekit.variables import client_variables

# What this process shares with the app: one of them cannot have another version than the others.
SHARED = LAMBDA_HAS | {"chalice", "requests"} | sys.stdlib_module_names


@contextmanager
def app_of(built: Build, project: Project) -> Iterator[Chalice]:
    """Import the app that was built, and yield it; then this process imports as before."""
    path, finders = list(sys.path), list(sys.meta_path)  # which `load_app` changes
    try:
        with variables_and_folder(built, project):
            app = load_app(built.app, built.requirements, built.layer_modules)
        yield app
    finally:
        sys.path[:], sys.meta_path[:] = path, finders


@contextmanager
def variables_and_folder(built: Build, project: Project) -> Iterator[None]:
    """Give this process, in the block, the variables and the current folder of the function.

    They are the stage's variables, and the region, which Lambda always has. For an emulated AWS,
    calls of AWS go there.
    """
    variables, folder = dict(os.environ), Path.cwd()
    region = project.session.get_config_variable("region") or "us-east-1"
    try:
        os.chdir(built.app)
        os.environ.update(client_variables(project.emulator) if project.emulator else {})
        os.environ.update({"AWS_DEFAULT_REGION": region, "AWS_REGION": region})
        os.environ.update(project.config.environment_variables)
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)


def load_app(folder: Path, packages: Path, layer_modules: Collection[str] = ()) -> Chalice:
    """Import the app in `folder`, and return it; raises Refusal if it cannot be imported.

    `packages` has the app's requirements. They and `vendor/` come before what is installed beside
    the kit, as on Lambda, but never in place of Chalice and the SDK. Something stands in for the
    `layer_modules` that are not installed.

    It changes this process: `app_of` restores the variables, `sys.path` and `sys.meta_path`. The
    server of `local` does not, because the app may import more while it runs.
    """
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"  # as `chalice` does, for apps that ask
    sys.dont_write_bytecode = True  # all that is in `packages` is packaged
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "chalicelib")]:
        del sys.modules[name]  # of another project
    sys.meta_path[:] = [Shared(list(sys.path)), *sys.meta_path, StandIns([*layer_modules])]
    sys.path[:] = [str(folder), str(folder / "vendor"), str(packages), *sys.path]
    try:
        app = __import__("app").app
        if not isinstance(app, Chalice):
            raise Refusal("The app cannot be imported: `app` in app.py is not a Chalice app.")
        validate_feature_flags(app)
        return app
    except Refusal:
        raise
    except (Exception, SystemExit) as error:
        place = "".join(f"{place}: " for place in places(error, folder))
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refusal(f"The app cannot be imported: {place}{reason}") from error


class Shared:
    """Finds the modules that this process shares with the app only beside the kit."""

    def __init__(self, path: list[str]) -> None:
        self.path = path

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module at the top."""
        is_shared = path is None and name in SHARED
        return PathFinder.find_spec(name, self.path) if is_shared else None


def places(error: BaseException, folder: Path) -> list[str]:
    """Return the lines of the app's own files that an exception went through, the last one last.

    For example `app.py, line 3`.
    """
    return [
        f"{name}, line {line}"
        for name, line in frames_in(folder, frames_of(error))
        if "/" not in name or name.startswith(("chalicelib/", "vendor/"))
    ]
