"""From a project to its package: files, requirements, imports, bytecode, boot, archive.

Each step is a module of its own. A package that cannot work on Lambda is refused before anything is
uploaded.
"""

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chalicekit.build import archive, boot, bytecode, files, imports, pip, requirements
from chalicekit.build.advice import Advisor
from chalicekit.build.files import Files
from chalicekit.settings import kit_settings

if TYPE_CHECKING:
    from chalicekit.project import Project


@dataclass(frozen=True)
class Build:
    """What is built for a stage.

    Attributes:
        app: A folder with a copy of the app's own files, those that are packaged.
        requirements: A folder with what the app requires, as this machine can import it.
        zip: The deployment package.
        layer_zip: The managed layer, if the settings ask for one and it is not empty.
        in_layers: The names of the modules that layers bring, as far as they are known.

    """

    app: Path
    requirements: Path
    zip: Path
    layer_zip: Path | None
    in_layers: tuple[str, ...] = ()


def build(project: "Project") -> Build:
    """Build a project's stage in its build folder; raises Refusal if the package cannot work."""
    folder, settings = project.build_folder, kit_settings(project.config)
    shutil.rmtree(folder, ignore_errors=True)
    app = files.copy_app(project.folder, folder / "app", settings.include)
    for_lambda, for_here = install_requirements(project)

    required, vendored = files.files_in(for_lambda), files.files_in(app / "vendor")
    own = own_files(app)
    sources = required | vendored | own  # the last one wins
    advisor = Advisor(project.folder, requirements.left_out(for_lambda))
    found = imports.check(sources, advisor, settings.layer_modules)
    in_layers = (*settings.layer_modules, *found)
    archive.check_size(sources)

    own = bytecode.with_bytecode(own, folder / "bytecode")
    libraries = bytecode.with_bytecode(required, for_lambda.with_name("bytecode"))
    libraries |= bytecode.with_bytecode(vendored, folder / "bytecode-vendor")
    task = libraries | own
    if for_here != for_lambda:
        task = with_compiled(task, files.files_in(for_here))
    files.lay_out(task, folder / "task")
    boot.check(project, folder / "task", advisor, in_layers)

    package, layer = folder / "deployment.zip", folder / "layer.zip"
    if project.config.automatic_layer:
        archive.write_zip(own, package)
        write_layer(libraries, layer)
    else:
        write_package(libraries | own, sources | own, package)
    return Build(app, for_here, package, layer if layer.exists() else None, in_layers)


def install_requirements(project: "Project") -> tuple[Path, Path]:
    """Return the folders of what the app requires: as Lambda and as this machine can import it.

    Lambda is of the architecture in the settings, or this machine if AWS is emulated.
    """
    architecture = None if project.emulator else project.config.lambda_architecture
    for_lambda = requirements.install(project.folder, architecture)
    requirements.tell_left_out(for_lambda)
    if architecture and not pip.can_run(architecture):
        return for_lambda, requirements.install(project.folder)
    return for_lambda, for_lambda


def own_files(app: Path) -> Files:
    """Return the app's own files and Chalice's two modules, which Chalice adds to each package."""
    chalice = Path(str(distribution("chalice").locate_file("chalice")))
    runtime = {f"chalice/{name}": chalice / name for name in ("__init__.py", "app.py")}
    return runtime | files.files_in(app, "app.py", "chalicelib")


def with_compiled(package: Files, for_here: Files) -> Files:
    """Return the files of a package for another machine, but with what is compiled for this one."""
    compiled = {top_of(name) for name in package if name.endswith(".so")}
    compiled &= {top_of(name) for name in for_here}
    kept = {name: file for name, file in package.items() if top_of(name) not in compiled}
    return kept | {name: file for name, file in for_here.items() if top_of(name) in compiled}


def top_of(name: str) -> str:
    """Return the name of the module, or of the package, at the top that a file is in."""
    return name.partition("/")[0].partition(".")[0]


def write_package(compiled: Files, sources: Files, package: Path) -> None:
    """Write the deployment package: `compiled`, or `sources` if Lambda takes only these."""
    archive.write_zip(compiled, package)
    if not archive.fits(compiled, package):
        line = "The package has no bytecode of its requirements: it would be too large."
        click.echo(line, err=True)
        archive.write_zip(sources, package)


def write_layer(libraries: Files, layer: Path) -> None:
    """Write the zip of a layer with these modules, unless it would be empty."""
    python = f"python/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    if libraries:
        archive.write_zip({f"{python}/{name}": file for name, file in libraries.items()}, layer)
