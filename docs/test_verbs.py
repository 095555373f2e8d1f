"""The app with `chalice` itself: `chalice local` and `chalice deploy`."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chalicekit.pytest_plugin import EmulatedAws

PROJECT = Path(__file__).parent.parent
CHALICE = str(Path(sys.executable).with_name("chalice"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the app, where Chalice writes its records."""
    for name in ("app.py", "chalicelib", ".chalice", "requirements.txt"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """The URL of the app under `chalice local`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-u", CHALICE, "local", "--no-autoreload", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield next(line for line in server.stdout if line.startswith("Serving on")).split()[-1]
        server.terminate()


def test_chalice_local_serves_get_and_head_to_a_client_that_keeps_its_connection(url: str) -> None:
    with requests.Session() as session:
        for method in ["GET", "HEAD", "HEAD", "GET"]:
            response = session.request(method, url + "/", timeout=30)
            assert (response.status_code, response.headers["Content-Length"]) == (200, "11")
            assert response.text == ("hello world" if method == "GET" else "")


def test_chalice_deploy_deploys_and_logs_no_debug_lines(
    folder: Path, emulated_aws: EmulatedAws
) -> None:
    done = subprocess.run(
        [CHALICE, "deploy", "--stage", "dev"],
        cwd=folder,
        env=os.environ | {"TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    api = next(line for line in done.stdout.splitlines() if "Rest API URL" in line)
    name = api.split("//")[1].partition(".")[0]
    deployed = f"{emulated_aws.url}/_aws/execute-api/{name}/dev/test"
    assert requests.get(deployed, timeout=60).text == "test"
    assert "DEBUG" not in done.stdout + done.stderr
