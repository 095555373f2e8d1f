"""Wheels for tests, made without a compiler, a build tool or a network (PEP 427)."""

import platform
import sys
import sysconfig
import zipfile
from pathlib import Path

COMPILED = """
import platform, sys

if (sys.platform, platform.machine()) != {machine!r}:
    raise ImportError("compiled for {machine}")
"""


def make_wheel(
    folder: Path,
    name: str,
    files: dict[str, str],
    version: str = "1.0",
    tag: str = "py3-none-any",
    requires: tuple[str, ...] = (),
    record: str = "",
) -> Path:
    """Write a wheel of `files`, texts by their paths in it, into `folder`; return its path.

    `record` are further lines of its RECORD.
    """
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    information = f"{name}-{version}.dist-info"
    files = files | {
        f"{information}/METADATA": "".join(metadata),
        f"{information}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record += "".join(f"{path},,\n" for path in [*files, f"{information}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in (files | {f"{information}/RECORD": record}).items():
            wheel.writestr(file, text)
    return path


def make_compiled_wheels(
    folder: Path, name: str, code: str = "", files: dict[str, str] | None = None
) -> None:
    """Write wheels of the module `name` for Lambda's processors, and for this machine.

    Each can be imported on its own kind of machine only, as if it were compiled. `files` are
    further files in it.
    """
    machines = {
        sysconfig.get_platform(): (sys.platform, platform.machine()),
        "manylinux2014_x86_64": ("linux", "x86_64"),
        "manylinux2014_aarch64": ("linux", "aarch64"),
    }
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for system, machine in machines.items():
        tag = f"{python}-{python}-{system.replace('-', '_').replace('.', '_')}"
        module = {f"{name}.py": COMPILED.format(machine=machine) + code}
        make_wheel(folder, name, module | (files or {}), tag=tag)
