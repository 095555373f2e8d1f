"""The service over HTTP, as `chalice local` and `make run` serve it."""

import http.client
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.answers import Case, answers, check_answer, refusals
from tests.processes import CHALICE, PROJECT, free_port, serving, wait_until

pytestmark = pytest.mark.xdist_group("local")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running `chalice local`."""
    port = free_port()
    with serving([CHALICE, "local", "--no-autoreload", "--port", str(port)], port):
        yield f"http://127.0.0.1:{port}"


@answers
def test_answers_as_express(url: str, case: Case) -> None:
    response = requests.request(case.method, url + case.path, headers=case.headers, timeout=10)
    check_answer(case, response.status_code, response.headers, response.content)


@refusals
def test_refuses_what_is_not_declared(url: str, case: Case) -> None:
    response = requests.request(case.method, url + case.path, timeout=10)
    # Deployed, API Gateway answers 403 to each of them; that is tested where it is deployed.
    assert response.status_code == {"GET": 403, "OPTIONS": 200}.get(case.method, 405)


def test_two_slashes_are_one(url: str) -> None:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("GET", "//")  # requests would send one
    assert connection.getresponse().read() == b"hello world"
    connection.close()


def test_a_session_that_mixes_head_and_get_is_not_broken(url: str) -> None:
    with requests.Session() as session:
        for method in ["GET", "HEAD", "HEAD", "GET"] * 10:
            response = session.request(method, url + "/", timeout=10)
            assert response.headers["Content-Length"] == "11"
            assert response.text == ("hello world" if method == "GET" else "")


def test_2000_requests_over_32_threads_are_all_answered(url: str) -> None:
    def ask(number: int) -> str:
        return requests.get(url + "/test", params={"n": number}, timeout=30).text

    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(ask, range(2000))) == ["test"] * 2000


def make_run(port: str) -> list[str]:
    """The command behind `make run`."""
    return [sys.executable, "-m", "tools.run", port]


@pytest.mark.parametrize("port", ["", "abc", "0", "-1", "65536", "80.5", "٣٠٠٠"])
def test_make_run_refuses_what_is_no_port_in_one_line(port: str) -> None:
    run = subprocess.run(make_run(port), capture_output=True, text=True, timeout=10, cwd=PROJECT)
    assert run.returncode == 1
    assert run.stderr == f"PORT={port} is no port: choose a number from 1 to 65535.\n"


def test_make_run_refuses_a_busy_port_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = subprocess.run(
            make_run(str(port)), capture_output=True, text=True, timeout=10, cwd=PROJECT
        )
    assert run.returncode == 1
    assert run.stderr == f"Port {port} is in use: choose another one, PORT={port + 1} say.\n"


def test_make_run_serves_each_change_and_outlives_a_mistake(tmp_path: Path) -> None:
    for folder in ["chalicelib", ".chalice", "tools", "emulated"]:
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    code = (PROJECT / "app.py").read_text()
    (tmp_path / "app.py").write_text(code)
    port = free_port()

    def answers(text: str) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/", timeout=10).text == text
        except requests.ConnectionError:
            return False

    with serving(make_run(str(port)), port, tmp_path) as process:
        wait_until(lambda: answers("hello world"))
        (tmp_path / "app.py").write_text("this is no Python")
        wait_until(lambda: not answers("hello world"))
        (tmp_path / "app.py").write_text(code.replace("hello world", "hello again"))
        wait_until(lambda: answers("hello again"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
