"""Install what `requirements.txt` names, for Lambda or for this machine, and keep it.

`wheels` collects wheels of it. pip unpacks them, and refuses one that would write elsewhere.
"""

import codecs
import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from chalicekit.build.pip import PipError, run_pip
from chalicekit.build.wheels import find_wheels
from chalicekit.errors import Refusal

# In each folder of the cache: the modules, and why what is missing among them is left out
SITE, LEFT_OUT = "site", "left-out.json"
LISTS = (".txt", ".in")  # what files with requirements are called
UNUSED_SECONDS = 30 * 24 * 3600  # after these, what was installed is removed
# What pip records about an installation varies by machine, and nothing reads it on Lambda.
RECORDS = {"RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json"}
# Chalice adds what Lambda needs of it. Backports such as typing would replace Python's own modules.
NOT_PACKAGED = {"chalice"} | sys.stdlib_module_names


def install(project_folder: Path, architecture: str | None = None) -> Path:
    """Return a folder with the modules that the project's `requirements.txt` names.

    They are for `architecture`, one of Lambda's, or for this machine if that is None. The folder is
    in build/requirements/ of the project, and is made anew when the requirements change; commands
    that run at the same time wait for each other. Raises Refusal with pip's reason.
    """
    cache = project_folder / "build" / "requirements"
    target = cache / key_of(project_folder, architecture)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for interrupted in cache.glob("tmp*"):
            shutil.rmtree(interrupted)
        if not target.exists():
            with TemporaryDirectory(prefix="tmp", dir=cache) as folder:
                make(project_folder, architecture, Path(folder)).replace(target)
        os.utime(target)
        for other in [site.parent for site in cache.glob(f"*/{SITE}")]:
            if time.time() - other.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(other)
    return target / SITE


def install_here(project_folder: Path) -> None:
    """Install the requirements for this machine, and let build/requirements/here lead to them."""
    site = install(project_folder)
    tell_left_out(site)
    link = project_folder / "build" / "requirements" / "here"
    link.unlink(missing_ok=True)
    link.symlink_to(site.relative_to(link.parent))


def left_out(site: Path) -> dict[str, str]:
    """Return what is not in a folder of `install` because it cannot be built, and why.

    The keys are the names of distributions.
    """
    found: dict[str, str] = json.loads(site.with_name(LEFT_OUT).read_text(encoding="utf-8"))
    return found


def tell_left_out(site: Path) -> None:
    """Say on standard error what is not in a folder of `install` because it cannot be built."""
    for name, reason in left_out(site).items():
        click.echo(f"{name} is left out, because it cannot be built: {reason}", err=True)


def key_of(folder: Path, architecture: str | None) -> str:
    """Return a name that changes when the requirements, or what they are installed for, change."""
    variables = sorted(os.environ.items())
    parts = [f"{name}={value}" for name, value in variables if name.startswith("PIP_")]
    for file in inputs_of(folder, folder / "requirements.txt"):
        if file.suffix in LISTS:
            state = file.read_bytes().hex()
        else:  # it may be large
            state = f"{file.stat().st_size} {file.stat().st_mtime_ns}"
        parts.append(f"{file} {state}")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{version}-{architecture or 'here'}-{digest[:16]}"


def inputs_of(folder: Path, requirements: Path, *above: Path) -> Iterator[Path]:
    """Yield a list of requirements and the files that it names, in any way.

    Those are further lists, local sources, and folders of wheels. pip looks for them beside the
    list or in the project's folder. `above` are the lists that name this one.
    """
    yield from inputs_below(requirements)
    # Each word may be a path. A word ends where `--requirement=`, `file:`, `name@` and `[extra]`
    # do, and is not longer than a file's name can be.
    for word in re.findall(r"[^\s=:@\[\]]{1,255}", text_of(requirements)):
        for place in sorted({folder, requirements.parent}):
            path = place / word
            if path.suffix not in LISTS:
                yield from inputs_below(path)
            elif path.resolve() not in above:
                yield from inputs_of(folder, path, path.resolve(), *above)


def inputs_below(path: Path) -> Iterator[Path]:
    """Yield the files in a folder, except hidden ones and what builds leave, or the file itself."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if not re.match(r"\.|build$|__pycache__$|.*\.egg-info$", child.name):
                yield from inputs_below(child)


def text_of(requirements: Path) -> str:
    """Return a list of requirements without its comments, or "" if there is no such file."""
    content = requirements.read_bytes() if requirements.is_file() else b""
    is_of_powershell = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_of_powershell else "utf-8-sig", errors="replace")
    return re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE).strip()


def make(project_folder: Path, architecture: str | None, folder: Path) -> Path:
    """Install a project's requirements below a folder; return what is to be kept of it."""
    made = folder / "made"
    site, wheels = made / SITE, folder / "wheels"
    site.mkdir(parents=True)
    reasons = dict[str, str]()
    if text_of(project_folder / "requirements.txt"):
        purpose = architecture or "this machine"
        click.echo(f"Installing requirements.txt for {purpose} ...", err=True)
        try:
            reasons = find_wheels(project_folder, wheels, architecture)
            unpack(project_folder, wheels, site, architecture)
            remove_unpackaged(site)
        except PipError as error:
            start = f"requirements.txt cannot be installed for {purpose}"
            raise Refusal(f"{start}. pip says: {error}") from None
    (made / LEFT_OUT).write_text(json.dumps(reasons), encoding="utf-8")
    return made


def unpack(folder: Path, wheels: Path, site: Path, architecture: str | None) -> None:
    """Let pip unpack wheels into `site`; raises PipError."""
    if found := sorted(map(str, wheels.glob("*.whl"))):
        # None of the user's settings for pip apply here.
        options = ["--isolated", "--no-index", "--no-deps", "--no-compile", "--target", str(site)]
        run_pip(folder, architecture, "install", *options, *found, PIP_CONFIG_FILE=os.devnull)


def remove_unpackaged(site: Path) -> None:
    """Remove what is not to be packaged: all but modules with their data, and Chalice."""
    kept = set[Path]()
    for record in site.glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as file:
            # Programs and other data are recorded as ../../bin/program, although they are here.
            kept.update(site / row[0] for row in csv.reader(file))
        kept.difference_update(record.with_name(name) for name in RECORDS)
    for path in sorted(site.rglob("*"), reverse=True):  # what is in a folder, then the folder
        top = path.relative_to(site).parts[0].partition(".")[0]
        is_bytecode = path.parent.name == "__pycache__"
        if path.is_dir():
            with suppress(OSError):  # it is not empty
                path.rmdir()
        elif path not in kept or top in NOT_PACKAGED or is_bytecode:
            path.unlink()
