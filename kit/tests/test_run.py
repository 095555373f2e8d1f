"""The service over HTTP, as `chalice local` and `make run` serve it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.processes import end, free_port, is_listening, serving, wait_until
from tests.project import CHALICE, Project


def test_head_and_get_share_a_connection(project: Project) -> None:
    port = free_port()
    command = [CHALICE, "local", "--no-autoreload", "--port", str(port)]
    with serving(command, port, project.folder), requests.Session() as session:
        for method in ["GET", "HEAD", "HEAD", "GET"] * 10:
            response = session.request(method, f"http://127.0.0.1:{port}/", timeout=10)
            assert response.headers["Content-Length"] == "8"
            assert response.text == ("a sample" if method == "GET" else "")


@contextmanager
def make_run(project: Project, stage: str = "dev", shell: str = "") -> Iterator[Callable[[], str]]:
    """Start `make run`, after the `shell` commands; yield what returns the answer to `GET /`."""
    port = free_port()
    command = [*project.make_command("run", stage), f"PORT={port}"]
    script = ["sh", "-c", f'{shell}\nexec "$@"', "sh", *command]

    def answer() -> str:
        try:
            return requests.get(f"http://127.0.0.1:{port}/", timeout=10).text
        except requests.RequestException:  # the server restarts
            return ""

    with serving(script, port, project.folder) as make:
        yield answer
        make.terminate()  # `serving` sends Ctrl-C, which make leaves to its terminal
        make.wait(timeout=10)


@pytest.mark.parametrize("port", ["", "abc", "0", "-1", "65536", "80.5", "٣٠٠٠"])
def test_refuses_an_invalid_port_in_one_line(project: Project, port: str) -> None:
    refusal = project.refusal("run", PORT=port)
    assert refusal == f"PORT={port} is not a port: choose a number from 1 to 65535.\n"


def test_refuses_a_busy_port_in_one_line(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refusal = project.refusal("run", PORT=str(port))
    assert refusal == f"Port {port} is in use: choose another, for example PORT={port + 1}.\n"


def test_reloads_changes_and_survives_a_syntax_error(project: Project) -> None:
    code = (project.folder / "app.py").read_text()
    with make_run(project) as answer:
        wait_until(lambda: answer() == "a sample")
        (project.folder / "app.py").write_text("this is not Python")
        wait_until(lambda: answer() != "a sample")
        (project.folder / "app.py").write_text(code.replace("a sample", "a change"))
        wait_until(lambda: answer() == "a change")


@pytest.mark.parametrize("folder", ["chalicelib/new", "vendor/new"])
def test_reloads_changes_in_a_new_folder(project: Project, folder: str) -> None:
    module = folder.removeprefix("vendor/").replace("/", ".")
    with make_run(project) as answer:
        (project.folder / folder).mkdir(parents=True)
        (project.folder / folder / "text.py").write_text('TEXT = "old"\n')
        project.change("import os", f"import os\nfrom {module}.text import TEXT")
        project.change('"a sample"', "TEXT")
        wait_until(lambda: answer() == "old")
        (project.folder / folder / "text.py").write_text('TEXT = "new"\n')
        wait_until(lambda: answer() == "new")


def test_reloads_changes_at_once_where_ctrl_c_is_ignored(project: Project) -> None:
    with make_run(project, shell="trap '' INT") as answer:
        project.change("a sample", "a change")
        wait_until(lambda: answer() == "a change", seconds=4)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (".chalice/config.json", "DEBUG", "LOUD", "app.py, line "),
        ("app.py", "import os", "import", "SyntaxError: invalid syntax (app.py, line 3)\n"),
    ],
)
def test_names_a_mistake_in_one_line_and_serves_once_it_is_corrected(
    project: Project, file: str, old: str, new: str, message: str
) -> None:
    path, port, log = project.folder / file, free_port(), project.folder / "log"
    code = path.read_text()
    project.change(old, new, file)
    command = [*project.make_command("run"), f"PORT={port}"]
    with log.open("w") as output:
        make = subprocess.Popen(command, cwd=project.folder, stderr=output)
    try:
        wait_until(lambda: log.read_text().endswith("\n"))
        assert log.read_text().startswith(f"The app cannot be imported: {message}")
        assert log.read_text().count("\n") == 1
        path.write_text(code)
        wait_until(lambda: is_listening(port))
    finally:
        end(make)


def test_a_stage_has_its_variables(project: Project) -> None:
    project.change('"a sample"', 'os.environ["LOG_LEVEL"]')
    with make_run(project, stage="prod") as answer:
        assert answer() == "INFO"


def test_the_server_ends_with_its_parent(project: Project) -> None:
    port = free_port()
    with serving([sys.executable, "-m", "chalicekit.local", str(port)], port, project.folder) as run:
        run.kill()
        wait_until(lambda: not is_listening(port), seconds=5)


def test_ctrl_c_just_after_a_change_ends_the_server_silently(project: Project) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "chalicekit.local", port]
    for delay in (0, 0.1, 0.4):
        run = subprocess.Popen(
            command, cwd=project.folder, start_new_session=True, stderr=subprocess.PIPE, text=True
        )
        wait_until(lambda: is_listening(int(port)))
        (project.folder / "app.py").touch()
        time.sleep(delay)
        os.killpg(run.pid, signal.SIGINT)
        assert run.communicate(timeout=10)[1] == ""
        assert run.returncode == 0
