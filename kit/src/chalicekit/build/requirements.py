"""Install what `requirements.txt` names, as Lambda or this machine sees it. pip does it all.

`pip wheel` finds every requirement and builds those that are sources; `pip install --target`
unpacks the wheels, and refuses one that would write elsewhere. For Lambda, both run in a process
that says it is Lambda's machine, so markers and wheels are those that Lambda would get.
"""

import csv
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from chalicekit.errors import Refusal

REQUIREMENTS = "requirements.txt"
SITE, LEFT_OUT = "site", "left-out.json"  # in a folder of the cache
TEXT_FILES = (".txt", ".in")
# Before Python 3.12, Lambda runs on Amazon Linux 2, which has glibc 2.26; then on 2023, with 2.34.
# docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC = 34 if sys.version_info >= (3, 12) else 26

# Run pip without the project's modules on its path. With arguments, also tell it what machine this
# is: those are what it evaluates markers (PEP 508) and the tags of wheels (PEP 600) with.
PIP = """
import sys
sys.path[:] = [path for path in sys.path if path]
import os, platform, runpy, sysconfig
machine, glibc = sys.argv.pop(1), sys.argv.pop(1)
if machine:
    sys.platform, platform.system, platform.machine = "linux", lambda: "Linux", lambda: machine
    sysconfig.get_platform = lambda: f"linux-{machine}"
    os.confstr = lambda _: f"glibc 2.{glibc}"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
UNUSED_SECONDS = 30 * 24 * 3600  # after these, what was installed is removed

# A user's settings for pip that would lead it elsewhere, or hide why it fails
REDIRECTING = {"PIP_PYTHON", "PIP_REPORT", "PIP_REQUIREMENT", "PIP_WHEEL_DIR"}
REDIRECTING |= {"PIP_ABI", "PIP_IMPLEMENTATION", "PIP_PLATFORM", "PIP_PYTHON_VERSION"}
OVERRIDDEN = {"PIP_DRY_RUN": "0", "PIP_QUIET": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT": "/"}
# What pip records about an installation varies by machine, and nothing reads it on Lambda.
RECORDS = ("RECORD", "INSTALLER", "REQUESTED", "WHEEL", "direct_url.json")
OPTION = re.compile(
    r"(?P<nested>-r|--requirement|-c|--constraint)?(?P<place>-e|--editable|-f|--find-links)?"
    r"(?:[\w.\[\], -]+@)?[\s=]*(?:file:(?://)?)?(?P<path>[^\s;\[]+)"
)


class PipError(Exception):
    """pip's reason in one line, all that it said, and what cannot be built, with its version."""

    def __init__(self, reason: str, output: str = "", unbuilt: Mapping[str, str] = {}) -> None:
        super().__init__(reason)
        self.output = output or reason
        self.unbuilt = dict(unbuilt)


def lines_of(requirements: Path) -> list[str]:
    """Return the lines of a requirements file that say something, or none if there is no file."""
    content = requirements.read_bytes() if requirements.is_file() else b""
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # as PowerShell's `>` writes it
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")
    lines = (re.sub(r"(^|\s)#.*", "", line) for line in text.replace("\\\n", "").splitlines())
    return [line.strip() for line in lines if line.strip()]


def files_of(folder: Path, requirements: Path, *above: Path) -> Iterator[Path]:
    """Yield the files in reach of the project that a requirements file depends on.

    They are the file itself, those that it includes, and the sources and wheels that it names.
    """
    yield requirements
    for line in lines_of(requirements):
        option = OPTION.match(line)
        if not option:
            continue
        path = (requirements.parent if option["nested"] else folder) / option["path"]
        if option["nested"] and path not in above:
            yield from files_of(folder, path, requirements, *above)
        elif option["place"] or "/" in option["path"] or option["path"] == ".":
            yield from files_below(path)


def files_below(path: Path) -> Iterator[Path]:
    """Yield the files in a folder, except hidden ones and what builds leave, or the file itself."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if not re.match(r"\.|build$|__pycache__$|.*\.egg-info$", child.name):
                yield from files_below(child)


def key_of(folder: Path, architecture: str | None) -> str:
    """Return a name that changes when the requirements, or what they are installed for, change."""
    parts = [SITE, LEFT_OUT]
    parts += [f"{name}={value}" for name, value in sorted(os.environ.items()) if name[:4] == "PIP_"]
    for file in files_of(folder, folder / REQUIREMENTS):
        if file.suffix in TEXT_FILES and file.is_file():
            parts += [str(file), file.read_bytes().hex()]
        elif file.exists():
            found = file.stat()
            parts += [str(file), str(found.st_size), str(found.st_mtime_ns)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{version}-{architecture or 'here'}-{digest[:16]}"


def install(project_folder: Path, architecture: str | None = None) -> Path:
    """Return a folder with the modules that the project's `requirements.txt` names.

    They are for `architecture`, one of Lambda's, or for this machine if that is None. The folder is
    in build/requirements/ of the project, and is made anew when the requirements change; commands
    that run at the same time wait for each other. Says on standard error what is left out. Raises
    Refusal with pip's reason.
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
                made = Path(folder) / "made"
                (made / SITE).mkdir(parents=True)
                left_out = dict[str, str]()
                if lines_of(project_folder / REQUIREMENTS):
                    purpose = architecture or "this machine"
                    click.echo(f"Installing {REQUIREMENTS} for {purpose} ...", err=True)
                    wheels = Path(folder) / "wheels"
                    try:
                        left_out = find_wheels(project_folder, wheels, architecture)
                        unpack(project_folder, wheels, made / SITE, architecture)
                    except PipError as error:
                        start = f"{REQUIREMENTS} cannot be installed for {purpose}"
                        raise Refusal(f"{start}. pip says: {error}") from None
                (made / LEFT_OUT).write_text(json.dumps(left_out), encoding="utf-8")
                made.replace(target)
        os.utime(target)
        for other in cache.glob(f"{sys.version_info.major}.*"):
            if time.time() - other.stat().st_mtime > UNUSED_SECONDS:
                shutil.rmtree(other)
    return target / SITE


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


def pip(folder: Path, architecture: str | None, *arguments: str, **environment: str) -> None:
    """Run pip in a folder, as on this machine or on Lambda's; raises PipError."""
    variables = {name: value for name, value in os.environ.items() if name not in REDIRECTING}
    machine = machine_of(architecture or "")
    mac_settings = Path.home() / "Library/Application Support/pip/pip.conf"
    if machine and sys.platform == "darwin" and mac_settings.exists():
        variables.setdefault("PIP_CONFIG_FILE", str(mac_settings))  # pip on Linux looks elsewhere
    command = [sys.executable, "-c", PIP, machine, str(GLIBC)]
    done = subprocess.run(
        [*command, "--no-input", "--disable-pip-version-check", *arguments],
        cwd=folder,
        env=variables | OVERRIDDEN | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        output = done.stdout + done.stderr
        raise PipError(reason_of(done.stdout, done.stderr), output, unbuilt_in(output))


def unbuilt_in(output: str) -> dict[str, str]:
    """Return the source distributions that pip could not build, with their versions.

    When it only wants to know what a source requires, pip may not say which one fails: it is the
    last that it got.
    """
    sources = {
        normalized(name): version
        for name, version in re.findall(r"[\s/]([\w.-]+?)-(\d[\w.!+]*?)(?:\.tar\.|\.zip\b)", output)
    }
    named = re.findall(r"Failed (?:to build|building wheel for) '?([\w.-]+)", output)
    failed = [normalized(name) for name in named] or list(sources)[-1:]
    is_build = "[end of output]" in output
    return {name: sources[name] for name in failed if name in sources} if is_build else {}


def reason_of(output: str, errors: str) -> str:
    """Return one line that says why pip failed, without the versions that do not fit."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    useless = re.compile(r".*\(from versions:|Ignored the following|Exception:$")
    reasons = [line for line in reasons if not useless.match(line)]
    if "[end of output]" in lines:  # a build failed: the compiler's or its last line says why
        packages = re.findall("^(?:Collecting|Processing) (.*)", output, re.MULTILINE)
        said = lines[: lines.index("[end of output]")]
        compiler = [line for line in said if re.match(r"[^\s:]+:\d.*error: ", line)]
        reasons = (reasons[:1] or packages[-1:]) + (compiler or said)[-1:]
    return ": ".join(reasons or lines[-1:])


def find_wheels(folder: Path, wheels: Path, architecture: str | None) -> dict[str, str]:
    """Collect in `wheels` a wheel of each requirement; raises PipError.

    What pip cannot get although it is in the project's vendor/ is left out, and so is what an old
    Chalice requires: Chalice adds to the package what Lambda needs of it. So is what cannot be
    built; that is returned, each with pip's reason. Whether the app needs it, its imports tell.
    """
    names = vendored_names(folder / "vendor")
    left_out = dict[str, str]()
    stubs = wheels.with_name("stubs")
    stubs.mkdir()
    constraints = stubs / "constraints.txt"
    # `pip freeze` lists this on Debian and Ubuntu, and no index has it.
    of_debian = make_stub(stubs, "pkg-resources", "0.0.0")
    constraints.write_text(f"pkg-resources @ {of_debian.as_uri()}\n", encoding="utf-8")
    failed_build: PipError | None = None
    while True:
        try:
            attempt_wheels(folder, wheels, architecture, constraints)
            break
        except PipError as error:
            words = re.findall(r"[\w.-]+", re.sub(r"\(from.*", "", str(error)))
            versions = {name: names[name] for name in map(normalized, words) if name in names}
            unbuilt = {name: v for name, v in error.unbuilt.items() if name not in left_out}
            is_with_chalice = re.search(r"^(Coll|Proc).*\bchalice\b", error.output, re.M)
            if versions:
                taken = f"{', '.join(sorted(versions))} is taken from vendor/"
                click.echo(f"{taken}. pip says: {error}", err=True)
            elif unbuilt:
                failed_build, versions = error, unbuilt
                left_out |= dict.fromkeys(unbuilt, str(error))
            elif is_with_chalice and not any(stubs.glob("chalice-*")):
                versions = {"chalice": ""}
                click.echo(f"chalice comes without what it requires. pip says: {error}", err=True)
            else:
                raise failed_build or error from None
            for name, known in versions.items():
                names.pop(name, "")
                stub = make_stub(stubs, name, known or version_asked(folder, name, error.output))
                with constraints.open("a", encoding="utf-8") as file:
                    print(f"{name} @ {stub.as_uri()}", file=file)
    for stub in stubs.glob("*.whl"):
        (wheels / stub.name).unlink(missing_ok=True)
    return left_out


def attempt_wheels(folder: Path, wheels: Path, architecture: str | None, constraints: Path) -> None:
    """Collect a wheel of each requirement, for Lambda in the first of several ways that works.

    If there are no wheels of some of them, build their sources: with a compiler if it makes what
    Lambda can load, and then without one, since many packages can do without their compiled parts.
    """
    command = ["wheel", "--prefer-binary", "--wheel-dir", str(wheels)]
    command += ["--requirement", REQUIREMENTS, "--constraint", str(constraints)]
    ways: list[tuple[list[str], dict[str, str]]] = [([], {})]
    if architecture:
        no_compiler = dict.fromkeys(["CC", "CXX", "FC"], f"a-compiler-for-{architecture}")
        ways = [(["--only-binary=:all:"], {}), ([], {}), (["--no-cache-dir"], no_compiler)]
        if not can_run(architecture):
            del ways[1]
    failures = list[PipError]()
    for options, environment in ways:
        shutil.rmtree(wheels, ignore_errors=True)
        try:
            pip(folder, architecture, *command, *options, **environment)
            if architecture:
                check_wheels(wheels, architecture)
            return
        except PipError as error:
            failures.append(error)
    first, *others = failures[bool(architecture) :]  # those that build sources
    for other in others:
        first.unbuilt = {name: v for name, v in first.unbuilt.items() if name in other.unbuilt}
    raise first


def check_wheels(wheels: Path, architecture: str) -> None:
    """Raise PipError if a wheel was compiled here and Lambda cannot load it.

    A wheel whose name says that it was compiled, though nothing in it is, gets another name.
    """
    for wheel in wheels.glob("*.whl"):
        *name, _, _, system = wheel.stem.split("-")
        if system == "any" or system.startswith("manylinux"):
            continue
        with zipfile.ZipFile(wheel) as archive:
            compiled = [archive.read(path) for path in archive.namelist() if path.endswith(".so")]
        needed = [int(glibc) for code in compiled for glibc in re.findall(rb"GLIBC_2\.(\d+)", code)]
        if not compiled:
            wheel.rename(wheel.with_name("-".join([*name, "py3-none-any.whl"])))
        elif system != f"linux_{machine_of(architecture)}" or max(needed, default=0) > GLIBC:
            raise PipError(
                f"{name[0]} {name[1]} has no wheel for Lambda, and compiles here for {system}",
                unbuilt={normalized(name[0]): name[1]},
            )


def unpack(folder: Path, wheels: Path, site: Path, architecture: str | None) -> None:
    """Let pip unpack the wheels into `site`, without what varies by machine; raises PipError."""
    options = ["--no-deps", "--no-index", "--no-compile", "--no-user", "--prefix="]
    found = sorted(wheels.glob("*.whl"))
    if not found:
        return
    command = ["install", *options, "--target", str(site), *map(str, found)]
    pip(folder, architecture, *command, PIP_REQUIRE_HASHES="0")
    for record in [*site.glob("*.dist-info/RECORD")]:
        with record.open(encoding="utf-8", newline="") as file:
            beside = [row[0].replace("../", "") for row in csv.reader(file) if row[0][:3] == "../"]
        for path in map(site.joinpath, beside):  # programs and data, not modules
            if path.is_relative_to(site):  # a wheel can claim any path
                path.unlink(missing_ok=True)
        for name in RECORDS:
            (record.parent / name).unlink(missing_ok=True)
    for path in sorted(site.rglob("*"), reverse=True):  # first what is in a folder
        if path.is_dir() and (path.name == "__pycache__" or not any(path.iterdir())):
            shutil.rmtree(path)
    # Chalice adds what Lambda needs of it. Backports such as typing would replace Python's own.
    for path in [*site.iterdir()]:
        if path.name.partition(".")[0] in {"chalice"} | sys.stdlib_module_names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def can_run(architecture: str) -> bool:
    """Tell whether this machine can load what is compiled for one of Lambda's architectures."""
    libc, version = platform.libc_ver()
    is_newer = libc == "glibc" and int(version.split(".")[1]) >= GLIBC
    return is_newer and (sys.platform, platform.machine()) == ("linux", machine_of(architecture))


def machine_of(architecture: str) -> str:
    """Return the name that Linux has for one of Lambda's architectures."""
    return {"arm64": "aarch64"}.get(architecture, architecture)


def normalized(name: str) -> str:
    """Return a distribution's name as pip compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def vendored_names(vendor: Path) -> dict[str, str]:
    """Return the distributions whose modules may be in vendor/, with their versions or ""."""
    names = dict[str, str]()
    for path in vendor.glob("*"):
        if information := re.fullmatch(r"(.+?)-(.+?)(-py.*)?\.(dist|egg)-info", path.name):
            names[normalized(information[1])] = information[2]
        else:
            for name in likely_names(path.name.partition(".")[0]):
                names.setdefault(name, "")
    return names


def likely_names(module: str) -> list[str]:
    """Return the names that the distribution of a module may have."""
    likely = [f"py{module}", f"python-{module}", f"{module}-python", f"{module}-binary"]
    return [
        normalized(name) for name in (module, *likely, *packages_distributions().get(module, []))
    ]


def version_asked(folder: Path, name: str, output: str) -> str:
    """Return a version of a distribution that fits what requires it, as far as that is known."""
    files = files_of(folder, folder / REQUIREMENTS)
    lines = [line for file in files if file.suffix in TEXT_FILES for line in lines_of(file)]
    pattern = rf"\b{name.replace('-', '[-_.]')}\b[^\s;]*?[=~>]=\s*([\w.]*\w)"
    found = re.search(pattern, "\n".join([*lines, output]), re.IGNORECASE)
    return found[1] if found else "0"


def make_stub(folder: Path, name: str, version: str) -> Path:
    """Write a wheel without modules, which pip takes for a distribution; return it."""
    wheel = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    information = f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{information}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{information}/WHEEL", tag)
        archive.writestr(f"{information}/RECORD", "")
    return wheel
