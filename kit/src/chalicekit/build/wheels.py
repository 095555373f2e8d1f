"""Collect a wheel of each requirement, and do without those that pip cannot get.

| case | what is done |
|---|---|
| there is no wheel for Lambda | pip builds its source, with a compiler if Lambda can load that |
| that fails | pip builds the source without a compiler, as many packages can do |
| a wheel is named after this machine, but nothing in it is compiled | it gets another name |
| a distribution is not found or not built, but is in vendor/ | it is taken from there |
| a distribution is not built | it is left out. Whether the app needs it, its imports tell |
| `pip freeze` lists pkg-resources on Debian and Ubuntu, and no index has it | it is left out |

What pip is to do without has a stub: a wheel without modules, which satisfies what requires it.
"""

import re
import shutil
import zipfile
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import NamedTuple

import click

from chalicekit.build.pip import GLIBC, PipError, can_run, machine_of, normalized, run_pip


class Way(NamedTuple):
    """A way to run pip."""

    options: list[str]
    variables: dict[str, str]


WHEELS_ONLY = Way(["--only-binary=:all:"], {})
WITH_COMPILER = Way([], {})
NO_COMPILER = dict.fromkeys(["CC", "CXX", "FC"], "a-compiler-for-lambda")
WITHOUT_COMPILER = Way(["--no-cache-dir"], NO_COMPILER)  # the cache has what a compiler made


def find_wheels(folder: Path, wheels: Path, architecture: str | None) -> dict[str, str]:
    """Collect in `wheels` a wheel of each requirement of the project in a folder.

    pip runs until it gets all but what it is to do without, which grows with each failure. Returns
    the names of the distributions that are left out because they cannot be built, each with the
    reason. Raises PipError if another one cannot be had.
    """
    stubs = {"pkg-resources": "0.0.0"}  # what to do without: names of distributions, and versions
    left_out = dict[str, str]()
    failed_build: PipError | None = None
    while True:
        try:
            collect(folder, wheels, architecture, stubs)
            return left_out
        except PipError as error:
            vendored = in_vendor(folder / "vendor", error.missing | error.unbuilt)
            to_do_without = vendored or error.unbuilt
            if to_do_without.keys() <= stubs.keys():  # no further stub would help
                if error.missing:
                    raise
                # What is required by its path cannot have a stub: pip says that the two conflict.
                # The reason is then that it could not be built.
                raise failed_build or error from None
            if vendored:
                names = ", ".join(sorted(vendored))
                click.echo(f"{names} is taken from vendor/. pip says: {error}", err=True)
            else:
                failed_build = error
                left_out |= dict.fromkeys(error.unbuilt, str(error))
            stubs |= to_do_without


def in_vendor(vendor: Path, distributions: Mapping[str, str]) -> dict[str, str]:
    """Return those of the distributions whose modules may be in vendor/."""
    modules = {re.split(r"-\d|\.", path.name)[0] for path in vendor.glob("*")}
    names = {name for module in modules for name in likely_names(module)}
    return {name: version for name, version in distributions.items() if name in names}


def likely_names(module: str) -> list[str]:
    """Return the names that the distribution of a module may have."""
    likely = [f"py{module}", f"python-{module}", f"{module}-python", f"{module}-binary"]
    known = packages_distributions().get(module, [])
    return [normalized(name) for name in (module, *likely, *known)]


def collect(folder: Path, wheels: Path, architecture: str | None, stubs: Mapping[str, str]) -> None:
    """Let pip get or build a wheel of each requirement, in the first way that works.

    Raises PipError with the first reason.
    """
    constraints = write_stubs(wheels.with_name("stubs"), stubs)
    command = ["wheel", "--prefer-binary", "--wheel-dir", str(wheels)]
    command += ["--requirement", "requirements.txt", "--constraint", str(constraints)]
    failures = list[PipError]()
    for way in ways(architecture):
        shutil.rmtree(wheels, ignore_errors=True)
        try:
            run_pip(folder, architecture, *command, *way.options, **way.variables)
            for stub in constraints.parent.glob("*.whl"):
                (wheels / stub.name).unlink(missing_ok=True)
            if architecture:
                check_wheels(wheels, architecture)
            return
        except PipError as error:
            if way is not WHEELS_ONLY:  # that something has no wheel is no reason
                failures.append(error)
    # Only what cannot be built in any way is to be left out. If each way fails for something else,
    # it is what the first cannot build.
    first, last = failures[0], failures[-1]
    in_no_way = {name: first.unbuilt[name] for name in first.unbuilt if name in last.unbuilt}
    raise PipError(str(first), first.missing, in_no_way or first.unbuilt)


def ways(architecture: str | None) -> list[Way]:
    """Return the ways to get the wheels for a machine, the best first."""
    if architecture is None:
        return [WITH_COMPILER]
    if can_run(architecture):
        return [WHEELS_ONLY, WITH_COMPILER, WITHOUT_COMPILER]
    return [WHEELS_ONLY, WITHOUT_COMPILER]


def check_wheels(wheels: Path, architecture: str) -> None:
    """Raise PipError if a wheel was compiled here and Lambda cannot load it.

    A wheel whose name says that it was compiled, though nothing in it is, gets another name.
    """
    for wheel in wheels.glob("*.whl"):
        name, version, *_, system = wheel.stem.split("-")
        if system == "any" or system.startswith("manylinux"):
            continue
        with zipfile.ZipFile(wheel) as archive:
            compiled = [archive.read(path) for path in archive.namelist() if path.endswith(".so")]
        needed = [int(glibc) for code in compiled for glibc in re.findall(rb"GLIBC_2\.(\d+)", code)]
        if not compiled:
            wheel.rename(wheel.with_name(f"{name}-{version}-py3-none-any.whl"))
        elif system != f"linux_{machine_of(architecture)}" or max(needed, default=0) > GLIBC:
            raise PipError(
                f"{name} {version} has no wheel for Lambda, and compiles here for {system}",
                unbuilt={normalized(name): version},
            )


def write_stubs(folder: Path, versions: Mapping[str, str]) -> Path:
    """Write stubs of distributions into a folder; return a file with which pip takes them."""
    folder.mkdir(exist_ok=True)
    constraints = folder / "constraints.txt"
    lines = list[str]()
    for name, version in versions.items():
        stub = f"{name.replace('-', '_')}-{version}"
        wheel = folder / f"{stub}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            archive.writestr(f"{stub}.dist-info/METADATA", metadata)
            archive.writestr(f"{stub}.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        lines.append(f"{name} @ {wheel.as_uri()}\n")
    constraints.write_text("".join(lines), encoding="utf-8")
    return constraints
