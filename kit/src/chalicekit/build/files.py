"""Which files belong to the app, and copies of them.

Those are the files in app.py, chalicelib/ and vendor/ that git tracks, and those that they import;
all of them if git tracks none. Scratch files and secrets stay out, and the package is the same
wherever it is built.
"""

import os
import shutil
import subprocess
from collections.abc import Collection, Iterator
from fnmatch import fnmatch
from itertools import accumulate
from pathlib import Path

import click

from chalicekit.build.syntax import reached
from chalicekit.errors import Refusal

APP = ("app.py", "chalicelib", "vendor")  # Chalice packages these, `vendor` at the top
Files = dict[str, Path]  # by their paths in a folder or in the deployment package


def copy_app(folder: Path, target: Path, include: Collection[str] = ()) -> None:
    """Copy the app's files in the project's folder into `target`.

    `include` are patterns of paths that are packaged although git does not track them, such as
    `chalicelib/env/*`. The copies are writable, and programs stay executable. Raises Refusal.
    """
    if not (folder / "app.py").exists():
        raise Refusal(f"There is no app.py in {folder}: is this a Chalice project?")
    for name in app_paths(folder, include):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(folder / name, copy)
        except OSError as error:  # for example a link that leads nowhere
            raise Refusal(f"{name} cannot be packaged: {error.strerror or error}") from error
        if os.access(folder / name, os.X_OK) and copy.suffix != ".py":
            copy.chmod(0o755)


def app_paths(folder: Path, include: Collection[str] = ()) -> list[str]:
    """Return the paths of the app's files in the project's folder.

    What is packaged because a module imports it, and what is left out, is said on standard error.
    """
    tracked = tracked_paths(folder)
    packaged, untracked = list[str](), list[str]()
    for name in files_in(folder, *APP):
        parts = name.split("/")
        if "__pycache__" in parts:
            continue
        # git lists a link to a folder as one path, so a parent may be what is tracked.
        is_tracked = not tracked.isdisjoint(with_folders(name))
        if is_tracked or any(fnmatch(name, pattern) for pattern in include):
            packaged.append(name)
        elif any(part.startswith(".") for part in parts):
            continue  # it is hidden
        elif tracked:
            untracked.append(name)
        else:
            packaged.append(name)
    imported = untracked_imports(folder, packaged, untracked) if untracked else []
    left_out = [name for name in untracked if name not in imported]
    tell("Packaged, though git does not track it, because the app imports it", imported)
    tell("Left out, because git does not track it", left_out)
    return sorted([*packaged, *imported])


def tracked_paths(folder: Path) -> set[str]:
    """Return the app's paths that git tracks; none if there is no git or no repository.

    Raises Refusal if git refuses, for example because of the folder's owner or a damaged index.
    """
    in_repository = any((place / ".git").exists() for place in (folder, *folder.parents))
    if not (in_repository and shutil.which("git")):
        return set()
    # In a git hook, these variables can name another repository.
    names = os.environ.keys() - {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    git = subprocess.run(
        ["git", "ls-files", "-z", "--recurse-submodules", "--", *APP],
        cwd=folder,
        env={name: os.environ[name] for name in names},
        capture_output=True,
    )
    if git.returncode:
        reason = os.fsdecode(git.stderr).partition("\n")[0]
        raise Refusal(f"git cannot list the files of the app: {reason}")
    return set(os.fsdecode(git.stdout).split("\0")) - {""}


def untracked_imports(folder: Path, packaged: list[str], untracked: list[str]) -> list[str]:
    """Return those of the untracked files that the app imports, or that are beside them.

    A folder of which nothing is packaged otherwise is taken as a whole, because a package may need
    its data: if app.py imports chalicelib/env/dev.py, chalicelib/env/dev.json comes with it. Of
    chalicelib/, in which git tracks a file, nothing else comes.
    """
    names = {name.removeprefix("vendor/"): name for name in (*untracked, *packaged)}
    modules = reached({path: folder / name for path, name in names.items()})
    imported = [names[path] for path in modules if names[path] in untracked]
    with_imported = {place for name in imported for place in with_folders(name)}
    with_packaged = {place for name in packaged for place in with_folders(name)}
    whole = with_imported - with_packaged
    return [name for name in untracked if not whole.isdisjoint(with_folders(name))]


def with_folders(name: str) -> list[str]:
    """Return `a`, `a/b` and `a/b/c` for the path `a/b/c`."""
    return list(accumulate(name.split("/"), "{}/{}".format))


def tell(what: str, names: list[str]) -> None:
    """Name the files that something is done with, on standard error."""
    if names:
        more = f" and {len(names) - 5} more" if names[5:] else ""
        click.echo(f"{what}: {' '.join(names[:5])}{more}", err=True)


def files_in(folder: Path, *names: str) -> Files:
    """Return the files in a folder, or only those in some of it, by their paths in it."""
    places = [folder / name for name in names] or [folder]
    found = [file for place in places for file in files_below(place)]
    return {file.relative_to(folder).as_posix(): file for file in found}


def files_below(place: Path, *above: Path) -> Iterator[Path]:
    """Yield the files in a folder, or the file itself, in the order of their names; follow links.

    `above` are the real folders above it: following a link back to one of them would never end.
    """
    if place.is_dir() and place.resolve() not in above:
        for path in sorted(place.iterdir()):
            yield from files_below(path, place.resolve(), *above)
    elif not place.is_dir() and os.path.lexists(place):
        yield place


def lay_out(files: Files, folder: Path) -> None:
    """Put files into a folder by their paths, as Lambda unpacks a package."""
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(file)
        except OSError:  # on another file system
            shutil.copyfile(file, target)
