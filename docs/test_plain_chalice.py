"""The app with `chalice` itself: `chalice local` and `chalice deploy`."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from chalicekit.pytest_plugin import EmulatedAws

PROJECT = Path(__file__).parent.parent
CHALICE = [sys.executable, "-u", str(Path(sys.executable).with_name("chalice"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the app, where Chalice writes its records."""
    for name in ("chalicelib", ".chalice"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    for name in ("app.py", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    return tmp_path


def test_chalice_local_serves_get_and_head_to_a_client_that_keeps_its_connection(
    folder: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [*CHALICE, "local", "--no-autoreload", "--port", port]
    with (
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server,
        requests.Session() as session,
    ):
        assert server.stdout
        assert any(line.startswith("Serving on") for line in server.stdout)
        try:
            for method in ["GET", "HEAD", "HEAD", "GET"]:
                response = session.request(method, f"http://127.0.0.1:{port}/", timeout=30)
                assert (response.status_code, response.headers["Content-Length"]) == (200, "11")
                assert response.text == ("hello world" if method == "GET" else "")
        finally:
            server.terminate()


def test_chalice_deploy_deploys_what_the_kit_finds_and_logs_no_debug_lines(
    folder: Path, emulated_aws: EmulatedAws
) -> None:
    deploy = [*CHALICE, "deploy", "--stage", "dev"]
    done = subprocess.run(deploy, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (api,) = re.findall("Rest API URL: https://(.*?)[.]", done.stdout)
    url = f"{emulated_aws.url}/_aws/execute-api/{api}/dev/"
    assert requests.get(f"{url}test", timeout=60).text == "test"
    assert url in emulated_aws.run("url")
    assert "DEBUG" not in done.stdout + done.stderr
