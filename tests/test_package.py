"""The deployment package: what is in it, that it never varies, and what Lambda makes of it."""

import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from chalice.utils import OSUtils

from emulated.events import proxy_event
from emulated.lambda_environment import lambda_python
from emulated.runtime_api import booted_python
from tests.processes import wait_until
from tests.project import Project, client, git, needs_git
from tests.wheels import make_wheel
from tools.commands import readable_stat, sorted_walk

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


def test_holds_what_lambda_needs_alone_in_80_kilobytes(project: Project) -> None:
    path = project.package() / "deployment.zip"
    with zipfile.ZipFile(path) as package:
        assert set(package.namelist()) == CONTENTS | set(map(bytecode, CONTENTS))
    assert path.stat().st_size <= 80_000


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
def test_is_the_same_whatever_lies_around(project: Project, tmp_path: Path) -> None:
    project.append('KIND = "a" in {"b", "c", "d", "e", "f"}  # before 3.11, its order varies\n')
    shutil.copytree(project.folder, tmp_path / "littered")
    for folder in (project.folder, tmp_path / "littered"):
        git(folder, "init")
        git(folder, "add", "--all")
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


def test_the_order_is_that_of_the_names(tmp_path: Path) -> None:
    for name in "jcafbdgeih":
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.py").touch()
    (_, _, files), *folders = sorted_walk(OSUtils(), str(tmp_path))
    assert files == [f"{name}.py" for name in "abcdefghij"]
    assert [folder for folder, _, _ in folders] == [str(tmp_path / name) for name in "abcdefghij"]


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


def test_bytecode_of_requirements_is_in_it(project: Project, runtime: Path) -> None:
    make_wheel(project.folder / "wheels", "extra", {"extra/__init__.py": "TEXT = 'an extra'"})
    text = "--no-index\n--find-links wheels\nextra\n"
    (project.folder / "requirements.txt").write_text(text)
    project.change('return "a sample"', "import extra; return extra.TEXT")
    task = unpacked(project)
    assert (task / bytecode("extra/__init__.py")).exists()
    with booted_python(task, runtime) as function:
        assert function.invoke(proxy_event("/"))[1]["body"] == "an extra"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def view(:", "SyntaxError: invalid syntax"),
        ("nowhere()", "NameError: name 'nowhere' is not defined"),
        ("app.route('/')(index)", "ValueError: Duplicate method: 'GET'"),
        ("import sys; sys.exit('no')", "SystemExit: no"),
        ("import os; os.environ['NONE']", "KeyError: 'NONE'"),
    ],
)
def test_an_app_that_cannot_start_is_not_packaged(project: Project, code: str, reason: str) -> None:
    project.append(f"\n{code}\n")
    line = len((project.folder / "app.py").read_text().splitlines())
    refusal = project.refusal("package")
    assert f"app.py, line {line}: " in refusal
    assert reason in refusal
    assert refusal.count("\n") == 1
    assert not (project.folder / "build" / "deployment.zip").exists()


def test_a_log_level_that_does_not_exist_is_found_before_a_deploy(project: Project) -> None:
    project.change('"LOG_LEVEL": "DEBUG"', '"LOG_LEVEL": "VERBOSE"', ".chalice/config.json")
    assert "VERBOSE" in project.refusal("deploy")
    assert set(project.left_in_aws().values()) == {0}


def test_a_package_that_fails_leaves_the_one_before(project: Project) -> None:
    before = (project.package() / "deployment.zip").read_bytes()
    project.append("1 / 0")
    project.refusal("package")
    assert (project.folder / "build" / "deployment.zip").read_bytes() == before


def test_settings_that_are_not_json_are_named(project: Project) -> None:
    project.change('"version": "2.0",', '"version": "2.0"', ".chalice/config.json")
    refusal = project.refusal("package")
    assert refusal.startswith(".chalice/config.json ")
    assert "line 3" in refusal


def packaging(project: Project, **environment: str) -> "subprocess.Popen[str]":
    """Start what `make package` runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.package", "records", "package", "dev", "build"],
        cwd=project.folder,
        env=project.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def test_ctrl_c_ends_it_quietly(project: Project) -> None:
    project.append("import pathlib, time; pathlib.Path('started').touch(); time.sleep(60)\n")
    with packaging(project) as process:
        wait_until((project.folder / "build" / "dev" / "started").exists)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in output


def test_no_terminal_is_asked_what_it_can(project: Project) -> None:
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "tools.package", "records", "package", "dev", "build"],
        cwd=project.folder,
        env=project.environment | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        timeout=120,
    )
    os.close(theirs)
    output = os.read(ours, 10_000)
    os.close(ours)
    assert (done.returncode, b"\x1b" in output) == (0, False)


def test_no_credentials_are_looked_for(project: Project) -> None:
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
