"""`.venv/3.11`: what make's commands need, for Python 3.11 say, installed if it is not there yet.

An installation is made beside the last one and takes its place, a symbolic link, once it is
complete: one that fails changes nothing. The last one is kept as well, since it may be in use.
"""

import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.lifetime import end_with_parent

# What the app needs to run and to be deployed, in the versions of requirements-dev.txt. The rest of
# that file takes five times as long to install.
TO_RUN = ("chalice", "watchfiles")


def wanted(venv: Path) -> str:
    """Return what an installation is made from, and where: its scripts name their own folder."""
    files = sorted(Path().glob("requirements*.txt"))
    return "\n".join([str(venv.parent.resolve()), *(file.read_text("utf-8") for file in files)])


def installed(venv: Path) -> tuple[str, str]:
    """Return for which scope ("run" or "dev") and from what an installation was made."""
    record = venv / "installed"
    if not (record.exists() and (venv / "bin" / "python").exists()):  # it may have been uninstalled
        return "", ""
    scope, _, source = record.read_text("utf-8").partition("\n")
    return scope, source


def install(folder: Path, scope: str) -> None:
    """Make a virtual environment: with uv where there is one, in a fifth of the time."""
    python = f"{folder}/bin/python"
    if uv := shutil.which("uv"):
        create = [uv, "venv", "--quiet", "--no-project", "--python", sys.executable]
        pip = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        create = [sys.executable, "-m", "venv"]
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = "requirements-dev.txt"
    packages = ["-r", lock] if scope == "dev" else ["-c", lock, *TO_RUN]
    commands = [[*create, str(folder)], [*pip, *packages]]
    lines = Path("requirements.txt").read_text("utf-8").splitlines()
    if any(line.strip() and not line.startswith("#") for line in lines):
        # The app's own come last: where versions differ, what Lambda gets is what is tried here.
        commands.append([*pip, "-r", "requirements.txt"])
    for command in commands:
        subprocess.run(command, check=True)
    check = [python, "-c", f"import {', '.join(TO_RUN)}"]
    if subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
        sys.exit("pip installs somewhere else: see `pip config list`.")


def replace(venv: Path, scope: str) -> None:
    """Make an installation and let `venv` point to it."""
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
    """Bring the virtual environment at `path` up to date, or end the program where that fails."""
    venv = Path(path)

    def is_current() -> bool:
        found, source = installed(venv)
        return found in (scope, "dev") and source == wanted(venv)

    if is_current():
        return
    print(f"Installing into {venv}", flush=True)
    venv.parent.mkdir(exist_ok=True)
    with Path(f"{venv}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_current():  # another make may have been at it
            replace(venv, max(scope, installed(venv)[0], key=["", "run", "dev"].index))


if __name__ == "__main__":
    end_with_parent()
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"{error.filename} cannot be written: {error.strerror}.")
    except subprocess.CalledProcessError:
        sys.exit("The installation failed, for the reason above. What was installed is as it was.")
    except KeyboardInterrupt:
        sys.exit("Stopped. What was installed is as it was.")
