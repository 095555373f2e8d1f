"""The deployment package: `chalice` run on a copy of the project that holds what Lambda needs.

What was run, touched or left lying in the project is not in the copy. What `requirements.txt` names
is, and so is bytecode (see `tools/compile.py`). A package that cannot work is not made.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

from chalice.config import Config

from tools.imports import advice, missing_imports, module_names
from tools.lifetime import end_with_parent
from tools.requirements import add_requirements
from tools.settings import PROJECT, check_policies, settings

APP = ("app.py", "chalicelib", "vendor")  # what Chalice packages, `vendor` at the top


def architecture(config: Config) -> str | None:
    """Return the architecture that Lambda has, as configured, or None for the emulated AWS.

    That runs functions on this machine.
    """
    if os.environ.get("AWS_ENDPOINT_URL"):
        return None
    return config.lambda_architecture


def files_below(folder: Path, *above: Path) -> Iterator[Path]:
    """Yield the files in a folder, or the file that it is, in the order of names; follow links.

    `above` are the real folders that lead there: a link back to one of them would have no end.
    """
    if folder.is_dir() and folder.resolve() not in above:
        for path in sorted(folder.iterdir()):
            yield from files_below(path, folder.resolve(), *above)
    elif not folder.is_dir() and os.path.lexists(folder):
        yield folder


def tracked_paths() -> set[str]:
    """Return what git tracks of the app; nothing where there is no git or no repository.

    A link to a folder is one path. A git that refuses, for the owner of the folder or a damaged
    index, ends the program.
    """
    in_repository = any((folder / ".git").exists() for folder in (PROJECT, *PROJECT.parents))
    if not (in_repository and shutil.which("git")):
        return set()
    # In a git hook, these can name another repository.
    names = os.environ.keys() - {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    git = subprocess.run(
        ["git", "ls-files", "-z", "--recurse-submodules", "--", *APP],
        cwd=PROJECT,
        env={name: os.environ[name] for name in names},
        capture_output=True,
    )
    if git.returncode:
        reason = os.fsdecode(git.stderr).partition("\n")[0]
        sys.exit(f"git does not say which files belong to the app: {reason}")
    return set(os.fsdecode(git.stdout).split("\0")) - {""}


def app_files() -> list[str]:
    """Return the paths of what is deployed: of app.py, chalicelib/ and vendor/, what git tracks.

    Where git tracks none of it, that is all but caches and hidden files.
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
        print("Left out, since git does not track it:", names, file=sys.stderr)
    return files


def stage_project(staged: Path, records: Path) -> None:
    """Make the copy `staged` anew; Chalice keeps its records of what is deployed in `records`."""
    if staged.exists():
        shutil.rmtree(staged)
    settings = [
        file.relative_to(PROJECT).as_posix()
        for path in (PROJECT / ".chalice").iterdir()
        if path.name not in ("deployed", "deployments")
        for file in files_below(path)
    ]
    for name in [*app_files(), *settings]:
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
    """End the program if an import of the app fails on Lambda, with a line for each."""
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
    """Compile modules, given by their paths in the zip, into `root`, whatever Python is told."""
    modules = []
    for name, source in sources.items():
        module = Path(name)
        cached = f"{module.stem}.{sys.implementation.cache_tag}.pyc"
        modules.append((str(source), str(root / module.parent / "__pycache__" / cached), name))
    # In an interpreter of its own, with fixed hashes, the same source gives the same bytes. With
    # PYTHONOPTIMIZE, Python 3.14 leaves docstrings out of a syntax tree already.
    subprocess.run(
        [sys.executable, "-m", "tools.compile"],
        cwd=PROJECT,
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": ""},
        input=json.dumps(modules),
        encoding="utf-8",
        check=True,
    )


def commands() -> ModuleType:
    """Import what runs Chalice's commands: half a second that a refusal need not take."""
    # To import this asks the terminal for its colors, and waits ten seconds for one that does not
    # answer. Only `chalice new-project` uses it.
    sys.modules["inquirer"] = ModuleType("inquirer")
    from tools import commands

    return commands


def main(records: str, command: str, stage: str, *arguments: str) -> None:
    """Run a command of `chalice` on the copy, and end the program as it does."""
    config = settings(stage)
    if command in ("deploy", "package"):
        check_policies(config)
    staged = PROJECT / "build" / stage
    stage_project(staged, PROJECT / records)
    if command in ("deploy", "package"):
        add_requirements(PROJECT, staged, architecture(config))
        files = packaged_files(staged)
        check_imports(files)
        modules = {path: file for path, file in files.items() if file.suffix == ".py"}
        add_bytecode(modules, staged / "vendor")  # which Chalice copies to the zip's root
    run_chalice = commands().run_chalice
    if command != "package":
        run_chalice(staged, command, stage, *arguments)
        return
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # no credentials are needed, none are sought
    folder = PROJECT / "".join(arguments)
    template = staged / ".chalice" / "template.json"
    options = ["--merge-template", str(template)] if template.exists() else []
    if options:
        text = template.read_text(encoding="utf-8")
        name = f"{config.app_name}-{stage}"
        template.write_text(text.replace("APP-STAGE", name), encoding="utf-8")
    run_chalice(staged, command, stage, *options, str(staged / "out"))
    folder.mkdir(parents=True, exist_ok=True)
    for file in files_below(staged / "out"):  # all of it or nothing, whatever fails before
        shutil.move(file, folder / file.name)


if __name__ == "__main__":
    end_with_parent()
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(str(error))
