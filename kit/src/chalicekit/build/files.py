"""`make package`: run `chalice` on a copy of the project that holds only what Lambda needs.

The copy has no caches and no untracked files. It also has the packages that `requirements.txt`
names, and bytecode (see `tools/compile.py`). A package that cannot work on Lambda is refused.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

from chalice.config import Config

from chalicekit.build.imports import advice, missing_imports, module_names
from chalicekit.lifetime import end_with_parent
from chalicekit.lock import lock
from chalicekit.build.requirements import add_requirements
from chalicekit.settings import APP, PROJECT, check_policies, settings


def architecture(config: Config) -> str | None:
    """Return Lambda's architecture as configured, or None for the emulated AWS.

    The emulated AWS runs functions on this machine.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        return None
    return config.lambda_architecture


def files_below(folder: Path, *above: Path) -> Iterator[Path]:
    """Yield the files in a folder, or the file itself, in the order of their names; follow links.

    `above` are the real folders above it: following a link back to one of them would never end.
    """
    if folder.is_dir() and folder.resolve() not in above:
        for path in sorted(folder.iterdir()):
            yield from files_below(path, folder.resolve(), *above)
    elif not folder.is_dir() and os.path.lexists(folder):
        yield folder


def tracked_paths() -> set[str]:
    """Return the app's paths that git tracks; none if there is no git or no repository.

    A link to a folder is one path. Exits with one line if git refuses, for example because of the
    folder's owner or a damaged index.
    """
    in_repository = any((folder / ".git").exists() for folder in (PROJECT, *PROJECT.parents))
    if not (in_repository and shutil.which("git")):
        return set()
    # In a git hook, these variables can name another repository.
    names = os.environ.keys() - {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    git = subprocess.run(
        ["git", "ls-files", "-z", "--recurse-submodules", "--", *APP],
        cwd=PROJECT,
        env={name: os.environ[name] for name in names},
        capture_output=True,
    )
    if git.returncode:
        reason = os.fsdecode(git.stderr).partition("\n")[0]
        sys.exit(f"git cannot list the files of the app: {reason}")
    return set(os.fsdecode(git.stdout).split("\0")) - {""}


def app_files() -> list[str]:
    """Return the paths of the app's files: those in app.py, chalicelib/ and vendor/ in git.

    If git tracks none of them, return all except caches and hidden files.
    """
    tracked = tracked_paths()
    files, untracked = list[str](), list[str]()
    for file in (file for name in APP for file in files_below(PROJECT / name)):
        path = file.relative_to(PROJECT)
        name = path.as_posix()
        hidden = any(part.startswith(".") for part in path.parts)
        if "__pycache__" in path.parts or (hidden and name not in tracked):
            continue
        is_tracked = any(above.as_posix() in tracked for above in (path, *path.parents))
        (files if is_tracked or not tracked else untracked).append(name)
    if untracked:
        names = " ".join(untracked[:5]) + (
            f" and {len(untracked) - 5} more" if untracked[5:] else ""
        )
        print("Left out because git does not track it:", names, file=sys.stderr)
    return files


def stage_project(staged: Path, records: Path) -> None:
    """Create the copy `staged`, where Chalice reads and writes its records in `records`."""
    if staged.exists():
        shutil.rmtree(staged)
    setting_files = [
        file.relative_to(PROJECT).as_posix()
        for path in (PROJECT / ".chalice").iterdir()
        if path.name not in ("deployed", "deployments")
        for file in files_below(path)
    ]
    for name in [*app_files(), *setting_files]:
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(PROJECT / name, target)
        except OSError as error:  # for example a link that leads nowhere
            sys.exit(f"{name} cannot be packaged: {error.strerror or error}")
        if os.access(PROJECT / name, os.X_OK) and target.suffix != ".py":
            target.chmod(0o755)
    records.mkdir(parents=True, exist_ok=True)
    (staged / ".chalice" / "deployed").symlink_to(records)


def packaged_files(staged: Path) -> dict[str, Path]:
    """Return the files of the deployment package by their paths in it."""
    chalice = Path(str(distribution("chalice").locate_file("chalice")))
    files = {f"chalice/{name}": chalice / name for name in ("__init__.py", "app.py")}
    for file in (file for name in APP for file in files_below(staged / name)):
        files[file.relative_to(staged).as_posix().removeprefix("vendor/")] = file
    return files


def check_imports(files: dict[str, Path]) -> None:
    """Exit with one line for each import of the app that fails on Lambda."""
    own = {
        path: file
        for path, file in files.items()
        if path.endswith(".py") and path.partition("/")[0] in ("app.py", "chalicelib", "chalice")
    }
    try:
        missing = dict.fromkeys(missing_imports(own, module_names(files)))
    except SyntaxError as error:
        sys.exit(f"{error.filename}, line {error.lineno}: SyntaxError: {error.msg}")
    if missing:
        sys.exit(
            "\n".join(
                f"{path}, line {line}: {module} is not in the deployment package: "
                f"{advice(module, PROJECT)}."
                for path, line, module in missing
            )
        )


def add_bytecode(sources: dict[str, Path], root: Path) -> None:
    """Write the bytecode of modules into `root`; `sources` has them by their paths in the zip."""
    modules = []
    for name, source in sources.items():
        module = Path(name)
        cached = f"{module.stem}.{sys.implementation.cache_tag}.pyc"
        modules.append((str(source), str(root / module.parent / "__pycache__" / cached), name))
    # An interpreter with fixed hashes gives the same bytes for the same source. PYTHONOPTIMIZE
    # would remove docstrings: Python 3.14 leaves them out of the syntax tree.
    subprocess.run(
        [sys.executable, "-m", "chalicekit.build.bytecode"],
        cwd=PROJECT,
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": ""},
        input=json.dumps(modules),
        encoding="utf-8",
        check=True,
    )


def load_chalice_commands() -> ModuleType:
    """Import and return `chalicekit.factory`, which takes half a second: a refusal comes before."""
    # When it is imported, inquirer asks the terminal for its colors and waits ten seconds if the
    # terminal does not respond. Only `chalice new-project` uses it.
    sys.modules["inquirer"] = ModuleType("inquirer")
    from tools import commands

    return commands


def run_on_copy(config: Config, records: Path, command: str, output: Path | None = None) -> None:
    """Run a command of `chalice` on a fresh copy of the project, for the stage of `config`.

    `records` is the folder of Chalice's records. `chalice package` writes to the folder `output`.
    """
    stage = config.chalice_stage
    if command in ("deploy", "package"):
        check_policies(config)
    staged = PROJECT / "build" / stage
    stage_project(staged, records)
    if command in ("deploy", "package"):
        add_requirements(PROJECT, staged, architecture(config))
        files = packaged_files(staged)
        check_imports(files)
        modules = {path: file for path, file in files.items() if file.suffix == ".py"}
        add_bytecode(modules, staged / "vendor")  # Chalice copies it to the root of the zip
    run_chalice = load_chalice_commands().run_chalice
    if not output:
        run_chalice(staged, command, stage)
        return
    template = staged / ".chalice" / "template.json"
    options = ["--merge-template", str(template)] if template.exists() else []
    if options:
        text = template.read_text(encoding="utf-8")
        name = f"{config.app_name}-{stage}"
        template.write_text(text.replace("APP-STAGE", name), encoding="utf-8")
    run_chalice(staged, command, stage, *options, str(staged / "out"))
    output.mkdir(parents=True, exist_ok=True)
    for file in files_below(staged / "out"):  # only now: a failure changes nothing in `output`
        shutil.move(file, output / file.name)


def main(stage: str, output: str = "build") -> None:
    """Package a stage into the folder `output`; exits with one line if that fails."""
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # packaging needs no credentials
    os.environ["AWS_DEFAULT_REGION"] = os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = settings(stage)
    with lock(stage):
        run_on_copy(config, PROJECT / ".chalice" / "deployed", "package", PROJECT / output)


if __name__ == "__main__":
    end_with_parent()
    logging.disable()  # the app's log would also show Chalice and the AWS SDK
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(str(error))
