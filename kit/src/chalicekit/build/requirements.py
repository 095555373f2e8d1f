"""Add the packages that `requirements.txt` names to the deployment package, with pip."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

REQUIREMENTS = "requirements.txt"


def has_packages(requirements: Path) -> bool:
    """Tell whether a requirements file has more than comments."""
    return bool(re.search(rb"^\s*[^\s#]", requirements.read_bytes(), re.MULTILINE))


def platform_options(architecture: str) -> list[str]:
    """Return pip's options for wheels that Lambda can load (PEP 600).

    They name Lambda's glibc and older ones. Python 3.12 and later run on Amazon Linux 2023, earlier
    versions on Amazon Linux 2.
    """
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    newest = 34 if sys.version_info >= (3, 12) else 26
    systems = [f"manylinux_2_{glibc}" for glibc in range(newest, 4, -1)]
    return [f"--platform={system}_{machine}" for system in (*systems, "manylinux2014", "linux")]


def pip(project: Path, purpose: str, *arguments: str) -> None:
    """Run pip on the requirements of `project`; exits with pip's reason if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        [*command, "--requirement", REQUIREMENTS],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        if "[end of output]" in lines:  # a build failed: its last line is the reason
            packages = re.findall("^(?:Collecting|Processing) (.*)", done.stdout, re.MULTILINE)
            reasons = (reasons or packages[-1:]) + [lines[lines.index("[end of output]") - 1]]
        reason = ": ".join(reasons or lines[-1:])
        sys.exit(f"{REQUIREMENTS} cannot be packaged for {purpose}. pip says: {reason}")


def wheels_in(folder: Path) -> dict[str, Path]:
    """Return the wheels in a folder by the names of their distributions."""
    return {wheel.name.partition("-")[0].lower(): wheel for wheel in folder.glob("*.whl")}


def unpack(wheels: Iterable[Path], folder: Path) -> None:
    """Unpack the modules and data of wheels into `folder`; existing files stay.

    Scripts and the files that pip would write are left out: they vary from machine to machine.
    """
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                path = re.sub(r"^[^/]+\.data/(pure|plat)lib/", "", entry.filename)
                target = folder / path
                if entry.is_dir() or re.match(r"[^/]+\.data/", path) or target.exists():
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))
                if entry.external_attr >> 16 & 0o100 and target.suffix != ".py":
                    target.chmod(0o755)


def add_requirements(project: Path, staged: Path, architecture: str | None) -> None:
    """Unpack the requirements of `project` into `staged`/vendor, whose own files stay.

    They are for `architecture`, one of Lambda's, or for this machine if that is None. pip first
    resolves and builds them for this machine, which is the only one that can build sources. If some
    of them are compiled, pip then downloads the wheels for Lambda, and those for this machine are
    unpacked into `staged`/native, so that Chalice can import the app.
    """
    path = project / REQUIREMENTS
    if not (path.exists() and has_packages(path)):
        return
    built, fetched = staged / "wheels", staged / "wheels-for-lambda"
    pip(project, "this machine", "wheel", f"--wheel-dir={built}")
    wheels = wheels_in(built)
    compiled = {name for name, wheel in wheels.items() if not wheel.name.endswith("-any.whl")}
    if architecture and compiled:
        unpack(wheels.values(), staged / "native")
        for name in compiled:
            wheels.pop(name).unlink()
        options = ["--only-binary=:all:", f"--find-links={built}", *platform_options(architecture)]
        pip(project, architecture, "download", f"--dest={fetched}", *options)
        wheels |= wheels_in(fetched)
        if compiled - wheels.keys():
            names = ", ".join(sorted(compiled - wheels.keys()))
            sys.exit(f"{REQUIREMENTS} cannot be packaged for {architecture}: no wheel of {names}")
    wheels.pop("chalice", None)  # Chalice adds what Lambda needs of it
    unpack((wheels[name] for name in sorted(wheels)), staged / "vendor")
