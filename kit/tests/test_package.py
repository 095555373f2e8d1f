"""The deployment package: its contents, its reproducibility, and its behavior on Lambda."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from chalice.utils import OSUtils

from chalicekit.runtime.events import proxy_event
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.api import booted_python
from tests.processes import wait_until
from tests.project import Project, git, needs_git
from tests.wheels import make_wheel
from chalicekit.factory import readable_stat, sorted_walk

TAG = sys.implementation.cache_tag
CONTENTS = {
    "app.py",
    "chalice/__init__.py",
    "chalice/app.py",
    "chalicelib/__init__.py",
    "chalicelib/express.py",
    "chalicelib/logs.py",
}


share_package = pytest.mark.xdist_group("package")


class Package(NamedTuple):
    """A deployment package, the project that it is made from, and a folder with its content."""

    path: Path
    project: Project
    task: Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of the tests' own app."""
    folder = tmp_path_factory.mktemp("package")
    project = Project(folder / "project")
    project.append('KIND = "a" in {"b", "c", "d", "e", "f"}  # before 3.11, its order varies\n')
    return Package(project.package() / "deployment.zip", project, unpacked(project, folder))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python that Lambda gives a function."""
    return lambda_python(tmp_path_factory.mktemp("runtime") / "python")


def unpacked(project: Project, folder: Path) -> Path:
    """Unpack the project's package; return the folder with its content."""
    with zipfile.ZipFile(project.folder / "build" / "deployment.zip") as package:
        package.extractall(folder / "task")
    return folder / "task"


def bytecode(source: str) -> str:
    """Return where the bytecode of a module is."""
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.{TAG}.pyc".removeprefix("/")


@share_package
def test_holds_only_what_lambda_needs_in_80_kilobytes(package: Package) -> None:
    with zipfile.ZipFile(package.path) as archive:
        assert set(archive.namelist()) == CONTENTS | set(map(bytecode, CONTENTS))
    assert package.path.stat().st_size <= 80_000


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


@needs_git
@share_package
def test_is_the_same_whatever_lies_around(package: Package, tmp_path: Path) -> None:
    project = package.project.copy(tmp_path / "littered")
    git(project.folder, "init")
    git(project.folder, "add", "--all")
    litter(project.folder)
    settings = {"HASHSEED": "7", "OPTIMIZE": "2", "PYCACHEPREFIX": str(tmp_path / "caches")}
    project.environment |= {f"PYTHON{name}": value for name, value in settings.items()}
    assert (project.package() / "deployment.zip").read_bytes() == package.path.read_bytes()


@share_package
def test_stale_bytecode_and_hidden_files_are_ignored_without_git(
    package: Package, tmp_path: Path
) -> None:
    project = package.project.copy(tmp_path / "project")
    (project.folder / "chalicelib" / ".DS_Store").write_text("")
    stale = (package.task / bytecode("app.py")).read_bytes().replace(b"a sample", b"an evil!")
    for folder in (".", "vendor", "build/dev", "build/dev/vendor"):
        (project.folder / folder / "__pycache__").mkdir(parents=True, exist_ok=True)
        (project.folder / folder / bytecode("app.py")).write_bytes(stale)
    assert (project.package() / "deployment.zip").read_bytes() == package.path.read_bytes()


def test_vendored_modules_and_requirements_are_packaged_with_bytecode(
    project: Project, runtime: Path, tmp_path: Path
) -> None:
    (project.folder / "vendor").mkdir()
    (project.folder / "vendor" / "vendored.py").write_text("TEXT = 'vendored'")
    make_wheel(project.folder / "wheels", "extra", {"extra/__init__.py": "TEXT = 'an extra'"})
    text = "--no-index\n--find-links wheels\nextra\n"
    (project.folder / "requirements.txt").write_text(text)
    project.change('return "a sample"', "import extra, vendored; return extra.TEXT + vendored.TEXT")
    project.package()
    task = unpacked(project, tmp_path)
    assert (task / bytecode("extra/__init__.py")).exists()
    assert (task / bytecode("vendored.py")).exists()
    with booted_python(task, runtime) as function:
        assert function.invoke(proxy_event("/"))[1]["body"] == "an extravendored"


def test_files_are_packaged_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in "jcafbdgeih":
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.py").touch()
    (_, _, files), *folders = sorted_walk(OSUtils(), str(tmp_path))
    assert files == [f"{name}.py" for name in "abcdefghij"]
    assert [folder for folder, _, _ in folders] == [str(tmp_path / name) for name in "abcdefghij"]


@pytest.mark.parametrize(("mode", "packaged"), [(0o600, 0o644), (0o664, 0o644), (0o700, 0o755)])
def test_lambda_may_read_each_file_whatever_the_umask(
    tmp_path: Path, mode: int, packaged: int
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    assert readable_stat(OSUtils(), str(tmp_path / "file")).st_mode == 0o100000 | packaged


@share_package
def test_answers_under_the_runtime_of_aws(package: Package, runtime: Path) -> None:
    with booted_python(package.task, runtime) as function:
        kind, answer = function.invoke(proxy_event("/"))
        assert (kind, answer["statusCode"], answer["body"]) == ("response", 200, "a sample")
        _, fresh = function.invoke(proxy_event("/", headers={"If-None-Match": "*"}))
        assert (fresh["statusCode"], fresh["body"]) == (304, "")


@share_package
def test_a_failing_init_and_a_failing_handler_are_reported(package: Package, runtime: Path) -> None:
    with booted_python(package.task, runtime, handler="nothing.app") as function:
        kind, report = function.outcome()
        assert (kind, report["errorType"]) == ("init/error", "Runtime.ImportModuleError")
    with booted_python(package.task, runtime) as function:
        kind, report = function.invoke(["not an event of API Gateway"])
        assert (kind, report["errorType"]) == ("error", "AttributeError")
        assert function.invoke(proxy_event("/"))[0] == "response"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def view(:", "SyntaxError: invalid syntax"),
        ("app.route('/')(index)", "ValueError: Duplicate method: 'GET'"),
        ("import sys; sys.exit('no')", "SystemExit: no"),
        ("__import__('helpers')", "ModuleNotFoundError: No module named 'helpers'"),
    ],
)
def test_an_app_that_cannot_start_is_not_packaged(project: Project, code: str, reason: str) -> None:
    (project.folder / "helpers.py").touch()  # next to app.py: it is not packaged
    project.append(f"\n{code}\n")
    line = len((project.folder / "app.py").read_text().splitlines())
    refusal = project.refusal("package")
    assert f"app.py, line {line}: " in refusal
    assert reason in refusal
    assert refusal.count("\n") == 1
    assert not (project.folder / "build" / "deployment.zip").exists()


def test_an_unknown_log_level_stops_a_deploy(project: Project) -> None:
    project.change('"LOG_LEVEL": "DEBUG"', '"LOG_LEVEL": "VERBOSE"', ".chalice/config.json")
    assert "VERBOSE" in project.refusal("deploy")
    assert set(project.left_in_aws().values()) == {0}


@share_package
def test_a_failed_package_keeps_the_previous_one(package: Package, tmp_path: Path) -> None:
    project = package.project.copy(tmp_path / "project")
    project.append("1 / 0")
    assert "ZeroDivisionError" in project.refusal("package")
    assert (project.folder / "build" / "deployment.zip").read_bytes() == package.path.read_bytes()


def test_an_error_in_the_settings_file_is_reported_with_its_line(project: Project) -> None:
    project.change('"version": "2.0",', '"version": "2.0"', ".chalice/config.json")
    refusal = project.refusal("package")
    assert refusal.startswith(".chalice/config.json is not valid JSON: ")
    assert "line 3" in refusal


def test_a_settings_file_without_an_object_is_refused(project: Project) -> None:
    (project.folder / ".chalice" / "config.json").write_text("[]")
    message = ".chalice/config.json is not valid JSON: it must hold an object\n"
    assert project.refusal("package") == message


def test_settings_without_stages_are_refused(project: Project) -> None:
    project.change('"stages"', '"no stages"', ".chalice/config.json")
    message = 'STAGE=dev is not in .chalice/config.json: add it to "stages" there.\n'
    assert project.refusal("package") == message


def packaging(project: Project, **environment: str) -> "subprocess.Popen[str]":
    """Start what `make package` runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "chalicekit.build.files", "dev"],
        cwd=project.folder,
        env=project.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def test_ctrl_c_ends_packaging_quietly(project: Project) -> None:
    project.append("import pathlib, time; pathlib.Path('started').touch(); time.sleep(60)\n")
    with packaging(project) as process:
        wait_until((project.folder / "build" / "dev" / "started").exists)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in output


def test_packaging_does_not_query_the_terminal(project: Project) -> None:
    screen, terminal = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "chalicekit.build.files", "dev"],
        cwd=project.folder,
        env=project.environment | {"TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        timeout=120,
    )
    os.close(terminal)
    output = os.read(screen, 10_000)
    os.close(screen)
    assert (done.returncode, b"\x1b" in output) == (0, False)


def test_packaging_does_not_look_for_credentials(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        for name in [name for name in project.environment if name.startswith("AWS_")]:
            del project.environment[name]
        project.environment |= {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{metadata.getsockname()[1]}",
            "AWS_METADATA_SERVICE_TIMEOUT": "1",
        }
        with packaging(project) as process:
            process.communicate(timeout=60)
        assert process.returncode == 0
        metadata.setblocking(False)
        with pytest.raises(BlockingIOError):
            metadata.accept()
