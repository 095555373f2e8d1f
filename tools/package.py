"""The deployment package: `chalice` run on a copy of the project that holds what Lambda needs.

What was run, touched or left lying in the project is not in the copy. Bytecode is: Lambda's code
folder is read-only, so that each cold start would compile Chalice anew. It is of the checked-hash
kind (PEP 552): Python takes it when it fits its source, and ignores it otherwise.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chalice
from botocore.exceptions import BotoCoreError, ClientError
from chalice.cli import cli
from chalice.deploy.deployer import ChaliceDeploymentError
from chalice.package import TemplateDeepMerger
from chalice.utils import OSUtils

from tools.template import merge_for_each_function

PROJECT = Path(__file__).parent.parent

COMPILE = """
import sys
from py_compile import PycInvalidationMode, compile
kind = PycInvalidationMode.CHECKED_HASH
for source, cfile, dfile in zip(*[iter(sys.argv[1:])] * 3):
    compile(source, cfile, dfile, optimize=0, invalidation_mode=kind)
"""


def settings(stage: str) -> dict[str, Any]:
    """Return the settings of `.chalice/config.json`; end the program unless `stage` is in it."""
    config: dict[str, Any] = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    if stage not in config["stages"]:
        sys.exit(
            f"STAGE={stage} is not in .chalice/config.json: choose {' or '.join(config['stages'])}."
        )
    return config


def app_files() -> list[str]:
    """Return the paths of what is deployed: of what Chalice takes, what git tracks.

    Where there is no git, it is all of it but caches and hidden files.
    """
    found = [
        path.relative_to(PROJECT)
        for pattern in ("app.py", "chalicelib/**/*", "vendor/**/*")
        for path in PROJECT.glob(pattern)
        if path.is_file()
    ]
    files = {
        path.as_posix()
        for path in found
        if not any(part.startswith((".", "__pycache__")) for part in path.parts)
    }
    tracked = set[str]()
    if shutil.which("git"):
        command = ["git", "ls-files", "-z", "--", *files]
        git = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        tracked = files.intersection(git.stdout.split("\0"))
    if tracked and tracked != files:
        print("Left out, for git does not track it:", *sorted(files - tracked), file=sys.stderr)
    return sorted(tracked or files)


def copy_project(staged: Path, records: Path) -> None:
    """Make the copy `staged` anew; Chalice keeps its records of what is deployed in `records`."""
    shutil.rmtree(staged, ignore_errors=True)
    settings = [path.relative_to(PROJECT).as_posix() for path in PROJECT.glob(".chalice/*.json")]
    for name in [*app_files(), *settings, "requirements.txt"]:
        target = staged / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, target)
    records.mkdir(parents=True, exist_ok=True)
    (staged / ".chalice" / "deployed").symlink_to(records)
    chalice_files = Path(chalice.__file__).parent
    modules = {f"chalice/{name}": chalice_files / name for name in ("__init__.py", "app.py")}
    for path in staged.glob("**/*.py"):
        modules[path.relative_to(staged).as_posix().removeprefix("vendor/")] = path
    add_bytecode(modules, staged / "vendor")  # which Chalice copies to the zip's root


def add_bytecode(sources: dict[str, Path], root: Path) -> None:
    """Compile modules, given by their names in the zip, into `root`, whatever Python is told."""
    arguments: list[str] = []
    for name, source in sources.items():
        module = Path(name)
        cached = f"{module.stem}.{sys.implementation.cache_tag}.pyc"
        target = root / module.parent / "__pycache__" / cached
        arguments += [str(source), str(target), f"/var/task/{name}"]
    # In an interpreter of its own, with fixed hashes, the same source gives the same bytes.
    command = [sys.executable, "-c", COMPILE, *arguments]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": "0"})


def sorted_walk(
    _: OSUtils, path: str, followlinks: bool = False
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk as `os.walk` does, but in the order of the names and not of the file system."""
    for folder, folders, files in os.walk(path, followlinks=followlinks):
        folders.sort()
        yield folder, folders, sorted(files)


def readable_stat(_: OSUtils, path: str) -> os.stat_result:
    """Return what `os.stat` does, but a mode that lets Lambda read the file, whatever the umask."""
    found = Path(path).stat()
    mode = 0o100755 if found.st_mode & 0o100 else 0o100644
    return os.stat_result((mode, *found[1:]))


def main(records: str, command: str, stage: str, *arguments: str) -> None:
    """Run a command of `chalice` on the copy, and end the program as it does."""
    name = f"{settings(stage)['app_name']}-{stage}"
    staged = PROJECT / "build" / stage
    copy_project(staged, PROJECT / records)
    template = staged / ".chalice" / "template.json"
    if command == "package" and template.exists():
        text = template.read_text(encoding="utf-8")
        template.write_text(text.replace("APP-STAGE", name), encoding="utf-8")
        arguments = ("--merge-template", str(template), *arguments)
    TemplateDeepMerger.merge = merge_for_each_function  # type: ignore[method-assign, assignment]
    OSUtils.walk = sorted_walk  # type: ignore[method-assign, assignment]
    OSUtils.stat = readable_stat  # type: ignore[method-assign, assignment]
    sys.dont_write_bytecode = True  # Chalice imports the app before it packages it
    sys.argv = ["chalice", "--project-dir", str(staged), command, "--stage", stage, *arguments]
    try:
        cli(obj={})
    except (BotoCoreError, ClientError, ChaliceDeploymentError) as error:
        sys.exit(str(error))  # where `chalice` itself would show a traceback


if __name__ == "__main__":
    main(*sys.argv[1:])
