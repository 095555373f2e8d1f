"""From a project to its package: files, requirements, imports, bytecode, boot, archive.

Each step is a module of its own. A package that cannot work on Lambda is refused before anything is
uploaded.
"""

import shutil
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import click

from chalicekit.build import archive, boot, bytecode, files, imports, pip, requirements
from chalicekit.build.advice import Advisor
from chalicekit.build.files import Files
from chalicekit.project import Project
from chalicekit.runtime.environment import VERSION
from chalicekit.settings import kit_settings


@dataclass(frozen=True)
class Build:
    """What is built for a stage.

    Attributes:
        app: A folder with a copy of the app's own files, those that are packaged.
        requirements: A folder with what the app requires, as this machine can import it.
        zip: The deployment package.
        layer_zip: The managed layer, if the settings ask for one and it is not empty.
        layer_modules: The names of the modules that layers bring, as far as they are known.

    """

    app: Path
    requirements: Path
    zip: Path
    layer_zip: Path | None
    layer_modules: tuple[str, ...] = ()


def build(project: Project) -> Build:
    """Build a project's stage in its build folder; raises Refusal if the package cannot work."""
    folder, settings = project.build_folder, kit_settings(project.config)
    shutil.rmtree(folder, ignore_errors=True)
    app, task = folder / "app", folder / "task"
    files.copy_app(project.folder, app, settings.include)
    for_lambda, for_here = install_requirements(project)

    required, vendored = files.files_in(for_lambda), files.files_in(app / "vendor")
    app_files = app_and_chalice(app)
    sources = required | vendored | app_files  # the last one wins
    advisor = Advisor(project.folder, requirements.left_out(for_lambda))
    layer_modules = imports.check(sources, advisor, settings.layer_modules)
    archive.check_size(sources)

    # The bytecode of what is required is kept beside it. It may stay in the package when another
    # file replaces the module: Python ignores it then, because it has the hash of its source.
    libraries = bytecode.with_bytecode(required, for_lambda.with_name("bytecode"))
    libraries |= bytecode.with_bytecode(vendored, folder / "bytecode-vendor")
    app_compiled = bytecode.with_bytecode(app_files, folder / "bytecode")
    package = libraries | app_compiled

    if for_here == for_lambda:
        files.lay_out(package, task)
    else:
        files.lay_out(with_extensions_of(files.files_in(for_here), package), task)
    boot.check(project, task, advisor, layer_modules, has_layers=bool(settings.layer_modules))

    package_zip = folder / "deployment.zip"
    layer_zip = None
    if project.config.automatic_layer:
        archive.write_zip(app_compiled, package_zip)
        if libraries:
            layer_zip = write_layer(libraries, folder / "layer.zip")
    else:
        without_library_bytecode = sources | app_compiled
        write_package(package, without_library_bytecode, package_zip)
    return Build(app, for_here, package_zip, layer_zip, layer_modules)


def install_requirements(project: Project) -> tuple[Path, Path]:
    """Return the folders of what the app requires: as Lambda and as this machine can import it.

    Lambda is of the architecture in the settings, or this machine if AWS is emulated.
    """
    architecture = None if project.emulator else project.config.lambda_architecture
    for_lambda = requirements.install(project.folder, architecture)
    requirements.tell_left_out(for_lambda)
    if architecture and not pip.can_run(architecture):
        return for_lambda, requirements.install(project.folder)
    return for_lambda, for_lambda


def app_and_chalice(app: Path) -> Files:
    """Return the app's own files and Chalice's two modules, which Chalice adds to each package."""
    chalice = Path(str(distribution("chalice").locate_file("chalice")))
    runtime = {f"chalice/{name}": chalice / name for name in ("__init__.py", "app.py")}
    return runtime | files.files_in(app, "app.py", "chalicelib")


def with_extensions_of(here: Files, package: Files) -> Files:
    """Return a package for Lambda, but what is compiled to machine code in it is that of `here`.

    Of a distribution that has such a file (.so), all files are taken from `here`, if it is there.
    """
    compiled = {top_of(name) for name in package if name.endswith(".so")}
    compiled &= {top_of(name) for name in here}
    kept = {name: file for name, file in package.items() if top_of(name) not in compiled}
    return kept | {name: file for name, file in here.items() if top_of(name) in compiled}


def top_of(name: str) -> str:
    """Return the name of the module, or of the package, at the top that a file is in."""
    return name.partition("/")[0].partition(".")[0]


def write_package(package: Files, without_library_bytecode: Files, target: Path) -> None:
    """Write the deployment package, without bytecode of its libraries if it would be too large."""
    archive.write_zip(package, target)
    if not archive.fits(package, target):
        line = "The package has no bytecode of its requirements: it would be too large."
        click.echo(line, err=True)
        archive.write_zip(without_library_bytecode, target)


def write_layer(libraries: Files, target: Path) -> Path:
    """Write the zip of a layer with these modules; return it."""
    folder = f"python/lib/{VERSION}/site-packages"
    return archive.write_zip({f"{folder}/{name}": file for name, file in libraries.items()}, target)
