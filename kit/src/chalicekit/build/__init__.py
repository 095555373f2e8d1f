"""From a project to its package: files, requirements, imports, bytecode, boot, archive.

Each step is a module of its own. A package that cannot work on Lambda is refused before anything is
uploaded.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from chalicekit.build import archive, boot, files, imports, requirements
from chalicekit.settings import kit_settings

if TYPE_CHECKING:
    from chalicekit.project import Project

Files = dict[str, Path]  # by their paths in the deployment package


@dataclass(frozen=True)
class Build:
    """What is built for a stage.

    Attributes:
        app: A copy of the app's own files, without caches and files that are not packaged.
        requirements: What the app requires, as this machine can import it.
        package: The deployment package, a zip.
        layer: The zip of the managed layer, if the settings ask for one and it is not empty.
        in_layers: The names of the modules that the app expects in the layers of its settings.

    """

    app: Path
    requirements: Path
    package: Path
    layer: Path | None
    in_layers: tuple[str, ...] = ()


def build(project: "Project") -> Build:
    """Build a project's stage in its build folder; raises Refusal if the package cannot work.

    The package is for the architecture in the settings, or for this machine if the project is to be
    deployed to an emulated AWS.
    """
    config, folder = project.config, project.build_folder
    shutil.rmtree(folder, ignore_errors=True)
    settings = kit_settings(config)
    app = files.copy_app(project.folder, folder / "app", settings.include)
    architecture = None if project.emulator else config.lambda_architecture
    there = requirements.install(project.folder, architecture)
    is_foreign = architecture and not requirements.can_run(architecture)
    here = requirements.install(project.folder) if is_foreign else there
    vendored = files.files_in(app / "vendor")  # which wins, and is at the top
    own = {name: vendored.get(name, path) for name, path in app_files(app).items()}
    required = files.files_in(there)
    shared = required | vendored
    requirements.tell_left_out(there)
    left_out = requirements.left_out(there)
    in_layers = imports.check(shared | own, project.folder, settings.layer_modules, left_out)
    archive.check_size(shared | own)
    own = with_bytecode(own, folder / "bytecode")
    compiled = with_bytecode(required, there.with_name("bytecode"))
    compiled |= with_bytecode(vendored, folder / "bytecode-vendor")
    task = files.lay_out(compiled | own, folder / "task")
    host, variables = here if is_foreign else None, config.environment_variables
    layers = {*settings.layer_modules, *in_layers}
    boot.check(task, project.folder, project.name, variables, host, layers, left_out)
    layer = None
    if config.automatic_layer:
        python = f"python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        in_layer = {f"{python}/{name}": path for name, path in compiled.items()}
        layer = archive.write_zip(in_layer, folder / "layer.zip") if in_layer else None
        package = archive.write_zip(own, folder / "deployment.zip")
    else:
        package = archive.write_zip(compiled | own, folder / "deployment.zip")
        if not archive.fits(compiled | own, package):
            click.echo(
                "The package has no bytecode of its requirements: it would be too large.", err=True
            )
            package = archive.write_zip(shared | own, package)
    return Build(app, here, package, layer, in_layers)


def app_files(app: Path) -> Files:
    """Return the app's own files and Chalice's two modules, which Chalice adds to each package."""
    chalice = Path(str(distribution("chalice").locate_file("chalice")))
    runtime = {f"chalice/{name}": chalice / name for name in ("__init__.py", "app.py")}
    return runtime | files.files_in(app, "app.py", "chalicelib")


def with_bytecode(sources: Files, folder: Path) -> Files:
    """Return the files with the bytecode of each module beside it.

    It is written to `folder`, or taken from there if the folder exists.
    """
    modules = {name: bytecode_of(name) for name in sources if name.endswith(".py")}
    if modules and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as unfinished:
            made = Path(unfinished) / "made"
            made.mkdir()
            compile_modules([(sources[name], made / path, name) for name, path in modules.items()])
            with suppress(OSError):  # another command was faster
                made.replace(folder)
    compiled = {path: folder / path for path in modules.values() if (folder / path).exists()}
    return dict(sorted((sources | compiled).items()))


def bytecode_of(module: str) -> str:
    """Return the path where Python looks for the bytecode of a module."""
    path = Path(module)
    return f"{path.parent / '__pycache__' / path.stem}.{sys.implementation.cache_tag}.pyc"


def compile_modules(modules: list[tuple[Path, Path, str]]) -> None:
    """Compile each source to a target; its name in the package is the third of each tuple.

    An interpreter with fixed hashes gives the same bytes for the same source. PYTHONOPTIMIZE would
    remove docstrings: Python 3.14 leaves them out of the syntax tree.
    """
    subprocess.run(
        [sys.executable, "-m", "chalicekit.build.bytecode"],
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": ""},
        input=json.dumps([(str(source), str(target), name) for source, target, name in modules]),
        encoding="utf-8",
        check=True,
    )
