"""The import of an app, for all that look at it: the local server, the package, the deployment."""

import os
import sys
import traceback
from collections.abc import Collection
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from chalice import Chalice
from chalice.deploy.validate import validate_feature_flags

from chalicekit.build.boot_child import StandIns
from chalicekit.errors import Refusal
from chalicekit.runtime.environment import LAMBDA_HAS

# What this process shares with the app: one of them cannot have another version than the others.
SHARED = LAMBDA_HAS | {"chalice", "requests"} | sys.stdlib_module_names


class Shared:
    """Finds the modules that this process shares with the app in this environment only."""

    def __init__(self, path: list[str]) -> None:
        self.path = path

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module at the top."""
        is_shared = path is None and name in SHARED
        return PathFinder.find_spec(name, self.path) if is_shared else None


def load_app(folder: Path, packages: Path, in_layers: Collection[str] = ()) -> Chalice:
    """Import the app in `folder`, and return it.

    `packages` has the app's requirements. They and `vendor/` come before what else is installed in
    this environment, as Lambda has them, but never in place of Chalice and the SDK. Something
    stands in for the modules `in_layers` that are not installed here. Raises Refusal if the app
    cannot be imported.
    """
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"  # as `chalice` does, for apps that ask
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "chalicelib")]:
        del sys.modules[name]  # of another project
    sys.meta_path.insert(0, Shared(list(sys.path)))
    sys.path[:] = [str(folder), str(folder / "vendor"), str(packages), *sys.path]
    stand_ins = StandIns([*in_layers])
    sys.meta_path.append(stand_ins)
    try:
        app = __import__("app").app
        if isinstance(app, Chalice):
            validate_feature_flags(app)
    except (Exception, SystemExit) as error:
        place = "".join(f"{place}: " for place in places(error, folder))
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refusal(f"The app cannot be imported: {place}{reason}") from error
    finally:
        sys.meta_path.remove(stand_ins)
    if not isinstance(app, Chalice):
        raise Refusal("The app cannot be imported: `app` in app.py is not a Chalice app.")
    return app


def places(error: BaseException, folder: Path) -> list[str]:
    """Return the lines of the app's own files that an exception went through, the last one last.

    For example `app.py, line 3`.
    """
    found = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(os.path.relpath(frame.filename, folder))
        if path.parts[0] in ("chalicelib", "vendor") or (
            path.suffix == ".py" and not path.parts[1:]
        ):
            found.append(f"{path}, line {frame.lineno}")
    return found
