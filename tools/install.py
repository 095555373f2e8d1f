"""Install what make's commands need into `.venv/3.11` (for Python 3.11), if it is not up to date.

`.venv/3.11` is a symbolic link. Each installation gets a folder of its own, and the link points to
it when it is complete: one that fails changes nothing. The previous one is kept, because a running
program may use it.
"""

import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.lifetime import end_with_parent
from tools.requirements import REQUIREMENTS, has_packages

# Running and deploying need only these. All of requirements-dev.txt takes five times as long to
# install.
TO_RUN = ("chalice", "watchfiles")


def wanted(venv: Path) -> str:
    """Return the folder and the requirements that an installation depends on.

    The folder counts because the installed scripts name it.
    """
    files = sorted(Path().glob("requirements*.txt"))
    return "\n".join([str(venv.parent.resolve()), *(file.read_text("utf-8") for file in files)])


def installed(venv: Path) -> tuple[str, str]:
    """Return the scope ("run" or "dev") of an installation, and its folder and requirements."""
    record, python = venv / "installed", venv / "bin" / "python"
    if not (record.exists() and python.exists()):  # Python may have been uninstalled
        return "", ""
    scope, _, source = record.read_text("utf-8").partition("\n")
    return scope, source


def install(folder: Path, scope: str) -> None:
    """Create a virtual environment with uv, which takes a fifth of the time, or else with pip."""
    python = f"{folder}/bin/python"
    if uv := shutil.which("uv"):
        create = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable]
        pip = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        create = [sys.executable, "-m", "venv"]
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = "requirements-dev.txt"
    packages = ["-r", constraints] if scope == "dev" else ["-c", constraints, *TO_RUN]
    commands = [[*create, str(folder)], [*pip, *packages]]
    if has_packages(Path(REQUIREMENTS)):
        # The app's own packages come last: where versions differ, Lambda's version wins.
        commands.append([*pip, "-r", REQUIREMENTS])
    for command in commands:
        subprocess.run(command, check=True)
    check = [python, "-c", f"import {', '.join(TO_RUN)}"]
    if subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
        sys.exit("pip installs into another folder: check `pip config list`.")


def replace(venv: Path, scope: str) -> None:
    """Make a new installation and let `venv` point to it."""
    for folder in venv.parent.glob(f"{venv.name}-*"):
        if folder.resolve() != venv.resolve():
            shutil.rmtree(folder)
    folder = Path(f"{venv}-{time.time_ns()}")
    record = f"{scope}\n{wanted(venv)}"
    try:
        install(folder, scope)
        (folder / "installed").write_text(record, "utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if venv.is_dir() and not venv.is_symlink():
        venv.rename(f"{venv}-before")
    link = Path(f"{venv}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(venv)


def main(path: str, scope: str) -> None:
    """Bring the virtual environment at `path` up to date for a scope, "run" or "dev"."""
    venv = Path(path)

    def is_current() -> bool:
        found, source = installed(venv)
        return found in (scope, "dev") and source == wanted(venv)

    if is_current():
        return
    print(f"Installing into {venv}", file=sys.stderr, flush=True)
    venv.parent.mkdir(exist_ok=True)
    with Path(f"{venv}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():  # another make may have done it
            replace(venv, max(scope, installed(venv)[0], key=["", "run", "dev"].index))


if __name__ == "__main__":
    end_with_parent()
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"{error.filename} cannot be written: {error.strerror}.")
    except subprocess.CalledProcessError:
        sys.exit("The installation failed; the reason is above. The previous one is unchanged.")
    except KeyboardInterrupt:
        sys.exit("Stopped. The previous installation is unchanged.")
