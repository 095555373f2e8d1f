"""The deployment package: what is in it, that it never varies, and what Lambda makes of it."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from chalice.utils import OSUtils

from emulated.events import proxy_event
from emulated.lambda_environment import lambda_python
from emulated.runtime_api import booted_python
from tests.project import Project, client
from tools.commands import readable_stat

TAG = sys.implementation.cache_tag
CONTENTS = {
    "app.py",
    "chalice/__init__.py",
    "chalice/app.py",
    "chalicelib/__init__.py",
    "chalicelib/express.py",
    "chalicelib/logs.py",
}


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """The Python that Lambda gives a function."""
    return lambda_python(tmp_path / "python")


def unpacked(project: Project) -> Path:
    """Package the project; return the folder with what is in the zip."""
    folder = project.folder / "task"
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(project.package() / "deployment.zip") as package:
        package.extractall(folder)
    return folder


def bytecode(source: str) -> str:
    """Return where the bytecode of a module is."""
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.{TAG}.pyc".removeprefix("/")


def test_holds_what_lambda_needs_alone_in_85_kilobytes(project: Project) -> None:
    path = project.package() / "deployment.zip"
    with zipfile.ZipFile(path) as package:
        assert set(package.namelist()) == CONTENTS | set(map(bytecode, CONTENTS))
    assert path.stat().st_size <= 85_000


def litter(folder: Path) -> None:
    """Leave behind what people do, and run what they run."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=folder, check=True)
    (folder / "chalicelib" / "notes.txt").write_text("to do")
    (folder / "chalicelib" / "scratch.py").write_text("1 / 0")
    (folder / "chalicelib" / ".DS_Store").write_text("")
    (folder / "vendor").mkdir()
    (folder / "vendor" / "old.py").write_text("")
    for file in folder.glob("**/*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
        file.chmod(0o755)


def test_is_the_same_whatever_lies_around(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.folder, tmp_path / "littered")
    for folder in (project.folder, tmp_path / "littered"):
        for command in (["init", "--quiet"], ["add", "--all"]):
            subprocess.run(["git", *command], cwd=folder, check=True)
    clean = (project.package() / "deployment.zip").read_bytes()
    litter(tmp_path / "littered")
    project.folder = tmp_path / "littered"
    said_to_python = {"HASHSEED": "7", "OPTIMIZE": "2", "PYCACHEPREFIX": str(tmp_path / "caches")}
    project.environment |= {f"PYTHON{name}": value for name, value in said_to_python.items()}
    assert (project.package() / "deployment.zip").read_bytes() == clean


def test_outside_of_git_caches_and_hidden_files_stay_out(project: Project) -> None:
    clean = (project.package() / "deployment.zip").read_bytes()
    subprocess.run([sys.executable, "-c", "import app"], cwd=project.folder, check=True)
    (project.folder / "chalicelib" / ".DS_Store").write_text("")
    assert (project.package() / "deployment.zip").read_bytes() == clean


def test_vendored_modules_are_in_it_with_their_bytecode(project: Project) -> None:
    (project.folder / "vendor").mkdir()
    (project.folder / "vendor" / "extra.py").write_text("")
    with zipfile.ZipFile(project.package() / "deployment.zip") as package:
        assert {"extra.py", bytecode("extra.py")} <= set(package.namelist())


def test_what_git_does_not_track_is_named(project: Project) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=project.folder, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project.folder, check=True)
    (project.folder / "chalicelib" / "forgotten.py").write_text("")
    command = [sys.executable, "-m", "tools.package", "records", "package", "dev", "build"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=60)
    assert "Left out, since git does not track it: chalicelib/forgotten.py\n" in done.stderr


@pytest.mark.parametrize(("mode", "packaged"), [(0o600, 0o644), (0o664, 0o644), (0o700, 0o755)])
def test_lambda_may_read_it_whatever_the_umask(tmp_path: Path, mode: int, packaged: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    assert readable_stat(OSUtils(), str(tmp_path / "file")).st_mode == 0o100000 | packaged


def test_is_what_deploy_uploads(project: Project) -> None:
    project.deploy()
    function = client("lambda").get_function(FunctionName=f"{project.name}-dev")
    package = (project.package() / "deployment.zip").read_bytes()
    uploaded = base64.b64decode(function["Configuration"]["CodeSha256"])
    assert uploaded == hashlib.sha256(package).digest()


def test_answers_under_the_runtime_of_aws(project: Project, runtime: Path) -> None:
    with booted_python(unpacked(project), runtime) as function:
        kind, answer = function.invoke(proxy_event("/"))
        assert (kind, answer["statusCode"], answer["body"]) == ("response", 200, "a sample")
        _, fresh = function.invoke(proxy_event("/", headers={"If-None-Match": "*"}))
        assert (fresh["statusCode"], fresh["body"]) == (304, "")


def test_a_failing_init_and_a_failing_handler_are_reported(project: Project, runtime: Path) -> None:
    with booted_python(unpacked(project), runtime, handler="nothing.app") as function:
        kind, report = function.outcome()
        assert (kind, report["errorType"]) == ("init/error", "Runtime.ImportModuleError")
    with booted_python(unpacked(project), runtime) as function:
        kind, report = function.invoke(["no event of API Gateway"])
        assert (kind, report["errorType"]) == ("error", "AttributeError")
        assert function.invoke(proxy_event("/"))[0] == "response"


def imported_from(task: Path, runtime: Path, log: Path) -> str:
    """Return what Python says of each import while the function starts and answers."""
    with (
        log.open("wb") as file,
        booted_python(task, runtime, log=file.fileno(), PYTHONVERBOSE="2") as function,
    ):
        assert function.invoke(proxy_event("/"))[1]["body"] == "a sample"
    return log.read_text()


def test_lambda_runs_the_bytecode(project: Project, runtime: Path, tmp_path: Path) -> None:
    task = unpacked(project)
    said = imported_from(task, runtime, tmp_path / "log")
    for source in CONTENTS:
        assert f"# {task / bytecode(source)} matches {task / source}\n" in said
        assert f"# code object from '{task / bytecode(source)}'\n" in said


@pytest.mark.parametrize("of", ["another source", "another Python"])
def test_bytecode_that_does_not_fit_is_not_run(project: Project, runtime: Path, of: str) -> None:
    old = (unpacked(project) / bytecode("app.py")).read_bytes()
    project.change("a sample", "a change")
    task = unpacked(project)
    foreign = b"????" + old[4:8] + (task / bytecode("app.py")).read_bytes()[8:16] + old[16:]
    (task / bytecode("app.py")).write_bytes(old if of == "another source" else foreign)
    with booted_python(task, runtime) as function:
        assert function.invoke(proxy_event("/"))[1]["body"] == "a change"


def test_bytecode_that_was_tampered_with_is_not_packaged(project: Project, runtime: Path) -> None:
    task = unpacked(project)
    evil = (task / bytecode("app.py")).read_bytes().replace(b"a sample", b"an evil!")
    for folder in (".", "vendor", "build/dev", "build/dev/vendor"):
        (project.folder / folder / "__pycache__").mkdir(parents=True, exist_ok=True)
        (project.folder / folder / bytecode("app.py")).write_bytes(evil)
    with booted_python(unpacked(project), runtime) as function:
        assert function.invoke(proxy_event("/"))[1]["body"] == "a sample"
