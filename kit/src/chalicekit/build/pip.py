"""Run pip, on this machine or as if on Lambda's, and say in one line why it fails."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# Before Python 3.12, Lambda runs on Amazon Linux 2, which has glibc 2.26; then on 2023, with 2.34.
# This is the number after "2.".
# docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC = 34 if sys.version_info >= (3, 12) else 26

# Runs pip. If its first argument names a machine, pip takes this one for it: these values are what
# it evaluates markers (PEP 508) and the tags of wheels (PEP 600) with.
PROGRAM = """
import sys
sys.path[:] = [path for path in sys.path if path]  # without the project's own modules
import os, platform, runpy, sysconfig
import pip._vendor.platformdirs  # finds pip's settings where this machine has them
machine, glibc = sys.argv.pop(1), sys.argv.pop(1)
if machine:
    sys.platform, platform.system, platform.machine = "linux", lambda: "Linux", lambda: machine
    sysconfig.get_platform = lambda: f"linux-{machine}"
    os.confstr = lambda _: f"glibc 2.{glibc}"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
VARIABLES = {"PIP_QUIET": "0", "PYTHONIOENCODING": "utf-8"}  # so that its output can be read

# In what pip writes:
# the name and the version of a source, such as "Downloading fast-1.0.tar.gz"
SOURCE = re.compile(r"[\s/]([\w.-]+?)-(\d[\w.!+]*?)(?:\.tar\.|\.zip\b)")
# the name of what it cannot build
NOT_BUILT = re.compile(r"(?:Failed to build|Failed building wheel for|╰─>) '?([\w.-]+)")
# the name of what it cannot find and, for ==, >= and ~=, a version that would fit
NOT_FOUND = re.compile(r"distribution found for ([\w.-]+)(?:[^;]*[=~>]=\s*([\w.!+]*\w))?")
# lines that only list versions, or say that there is an error
USELESS = re.compile(r".*\(from versions:|Ignored the following|Exception:$")
END_OF_BUILD = "[end of output]"  # after this, pip says nothing new
COMPILER_ERROR = re.compile(r"[^\s:]+:\d.*error: ")  # file.c:1:2: fatal error: no such file


class PipError(Exception):
    """pip fails, for a reason in one line.

    Attributes:
        missing: The distribution that no index has, with a version that was asked for, or "0".
        unbuilt: The distributions that cannot be built from their sources, with their versions.

    """

    def __init__(
        self, reason: str, missing: Mapping[str, str] = {}, unbuilt: Mapping[str, str] = {}
    ) -> None:
        super().__init__(reason)
        self.missing = dict(missing)
        self.unbuilt = dict(unbuilt)


def run_pip(folder: Path, architecture: str | None, *arguments: str, **variables: str) -> None:
    """Run pip in a folder, as on this machine or on Lambda's; raises PipError."""
    machine = machine_of(architecture or "")
    command = [sys.executable, "-c", PROGRAM, machine, str(GLIBC)]
    done = subprocess.run(
        [*command, "--no-input", "--disable-pip-version-check", *arguments],
        cwd=folder,
        env=os.environ | VARIABLES | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        reason = reason_of(done.stdout, done.stderr)
        missing = {normalized(name): version or "0" for name, version in NOT_FOUND.findall(reason)}
        raise PipError(reason, missing, unbuilt_in(done.stdout + done.stderr))


def reason_of(output: str, errors: str) -> str:
    """Return one line that says why pip failed, without the versions that do not fit."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    reasons = [reason for reason in reasons if not USELESS.match(reason)]
    if END_OF_BUILD not in lines:
        last = lines[-1] if lines else "nothing"
        return reasons[0] if reasons else last
    build = lines[: lines.index(END_OF_BUILD)]
    causes = [line for line in build if COMPILER_ERROR.match(line)] or build
    packages = re.findall("^(?:Collecting|Processing) (.*)", output, re.MULTILINE)
    what = reasons[:1] or packages[-1:]  # that is built, if pip says it
    return ": ".join([*what, causes[-1]])


def unbuilt_in(output: str) -> dict[str, str]:
    """Return the source distributions that pip could not build, with their versions."""
    sources = {normalized(name): version for name, version in SOURCE.findall(output)}
    failed = map(normalized, NOT_BUILT.findall(output))
    return {name: sources[name] for name in failed if name in sources}


def normalized(name: str) -> str:
    """Return a distribution's name as pip compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def machine_of(architecture: str) -> str:
    """Return the name that Linux has for one of Lambda's architectures."""
    return {"arm64": "aarch64"}.get(architecture, architecture)


def can_run(architecture: str) -> bool:
    """Tell whether this machine can load what is compiled for one of Lambda's architectures."""
    libc, version = platform.libc_ver()
    is_newer = libc == "glibc" and int(version.split(".")[1]) >= GLIBC
    return is_newer and (sys.platform, platform.machine()) == ("linux", machine_of(architecture))
