"""The service over HTTP, as `chalice local` and `make run` serve it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.processes import REPOSITORY, free_port, serving, wait_until
from tests.project import CHALICE, Project

pytestmark = pytest.mark.xdist_group("local")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `chalice local`."""
    project = Project(tmp_path_factory.mktemp("run") / "project")
    port = free_port()
    command = [CHALICE, "local", "--no-autoreload", "--port", str(port)]
    with serving(command, port, project.folder):
        yield f"http://127.0.0.1:{port}"


def test_a_session_that_mixes_head_and_get_is_not_broken(url: str) -> None:
    with requests.Session() as session:
        for method in ["GET", "HEAD", "HEAD", "GET"] * 10:
            response = session.request(method, url + "/", timeout=10)
            assert response.headers["Content-Length"] == "8"
            assert response.text == ("a sample" if method == "GET" else "")


def make_run(port: str) -> list[str]:
    """The command behind `make run`."""
    return [sys.executable, "-m", "tools.run", port]


@pytest.mark.parametrize("port", ["", "abc", "0", "-1", "65536", "80.5", "٣٠٠٠"])
def test_make_run_refuses_what_is_no_port_in_one_line(port: str) -> None:
    run = subprocess.run(make_run(port), capture_output=True, text=True, timeout=10, cwd=REPOSITORY)
    assert run.returncode == 1
    assert run.stderr == f"PORT={port} is no port: choose a number from 1 to 65535.\n"


def test_make_run_refuses_a_busy_port_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = subprocess.run(
            make_run(str(port)), capture_output=True, text=True, timeout=10, cwd=REPOSITORY
        )
    assert run.returncode == 1
    assert run.stderr == f"Port {port} is in use: choose another one, PORT={port + 1} say.\n"


def test_make_run_serves_each_change_and_outlives_a_mistake(project: Project) -> None:
    code = (project.folder / "app.py").read_text()
    port = free_port()

    def answers(text: str) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/", timeout=10).text == text
        except requests.ConnectionError:
            return False

    with serving(make_run(str(port)), port, project.folder) as process:
        wait_until(lambda: answers("a sample"))
        (project.folder / "app.py").write_text("this is no Python")
        wait_until(lambda: not answers("a sample"))
        (project.folder / "app.py").write_text(code.replace("a sample", "a change"))
        wait_until(lambda: answers("a change"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
