"""Wheels and sources for tests, made without a compiler, a build tool or a network (PEP 427)."""

import platform
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

COMPILED = """
import platform, sys

if (sys.platform, platform.machine()) != {machine!r}:
    raise ImportError("compiled for {machine}")
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
# Builds the wheel that lies in the source, or without a compiler the one in its folder pure/.
BACKEND = """
import os, pathlib, shutil

def build_wheel(folder, *_):
    is_pure = "a-compiler-for" in os.environ.get("CC", "") and pathlib.Path("pure").exists()
    wheel, = pathlib.Path("pure" if is_pure else ".").glob("*.whl")
    return pathlib.Path(shutil.copy(wheel, folder)).name

build_editable = build_wheel
"""


def make_wheel(
    folder: Path,
    name: str,
    files: dict[str, str],
    version: str = "1.0",
    tag: str = "py3-none-any",
    requires: tuple[str, ...] = (),
) -> Path:
    """Write a wheel of `files`, texts by their paths in it, into `folder`; return its path."""
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    information = f"{name}-{version}.dist-info"
    files = files | {
        f"{information}/METADATA": "".join(metadata),
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{information}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in (files | {f"{information}/RECORD": record}).items():
            wheel.writestr(file, text)
    return path


def make_compiled_wheels(folder: Path, name: str, files: dict[str, str] | None = None) -> None:
    """Write wheels of the module `name` for Lambda's processors, and for this machine.

    Each can be imported on its own kind of machine only, as if it were compiled. `files` are
    further files in it.
    """
    machines = {
        sysconfig.get_platform(): (sys.platform, platform.machine()),
        "manylinux2014_x86_64": ("linux", "x86_64"),
        "manylinux2014_aarch64": ("linux", "aarch64"),
    }
    for system, machine in machines.items():
        module = {f"{name}.py": COMPILED.format(machine=machine)}
        make_wheel(folder, name, module | (files or {}), tag=tag_of(system))


def tag_of(system: str) -> str:
    """Return the tag of a wheel that is compiled for this Python and a system."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{python}-{python}-{system.replace('-', '_').replace('.', '_')}"


def make_source(folder: Path, backend: str = BACKEND) -> Path:
    """Make `folder` a source, from which pip builds the wheel that lies in it; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backend.py").write_text(backend)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def make_source_distribution(wheels: Path, source: Path) -> None:
    """Pack a source of version 1.0, which has the name of its folder, so that pip finds it."""
    with tarfile.open(wheels / f"{source.name}-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, f"{source.name}-1.0")
