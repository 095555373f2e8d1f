"""The import of an app, for all that look at it: the local server, the package, the deployment."""

import os
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from chalice import Chalice
from chalice.deploy.validate import validate_feature_flags

from chalicekit.build.boot_child import Layers
from chalicekit.errors import Refusal


def load_app(folder: Path, packages: Path, in_layers: Collection[str] = ()) -> Chalice:
    """Import the app in `folder`, and return it.

    `packages` has the app's requirements. They and `vendor/` come after the kit's own packages, so
    that the app's versions never replace them. Something stands in for the modules `in_layers` that
    are not installed here. Raises Refusal if the app cannot be imported.
    """
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"  # as `chalice` does, for apps that ask
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "chalicelib")]:
        del sys.modules[name]  # of another project
    sys.path[:] = [str(folder), *sys.path, str(packages), str(folder / "vendor")]
    layers = Layers(list(in_layers), [], str(folder))
    sys.meta_path.append(layers)
    try:
        app = __import__("app").app
        validate_feature_flags(app)
    except (Exception, SystemExit) as error:
        place = "".join(f"{place}: " for place in places(error, folder))
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refusal(f"The app cannot be imported: {place}{reason}") from error
    finally:
        sys.meta_path.remove(layers)
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
