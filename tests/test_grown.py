"""An app that has grown goes through the whole circle: run, package, deploy, use, delete."""

import json
import shutil
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.processes import REPOSITORY, free_port, serving
from tests.project import Project, client
from tests.wheels import make_compiled_wheels, make_wheel

pytestmark = pytest.mark.xdist_group("grown")

DOUBLE = "def double(number):\n    return 2 * number\n"
GREETING = {"greeting.py": "def greet(word, name):\n    return f'{word} {name}'\n"}


def grown_project(folder: Path) -> Project:
    """Return the grown app, with wheels of its requirements, installed where make would do it."""
    project = Project(folder, app=REPOSITORY / "tests" / "grown")
    make_wheel(project.folder / "wheels", "greeting", GREETING)
    make_compiled_wheels(project.folder / "wheels", "fastmath", DOUBLE)
    project.venv = project.folder / "venv"
    venv.create(project.venv, symlinks=True, with_pip=False)
    packages = sysconfig.get_path("purelib", vars={"base": str(project.venv)})
    install = ["install", "--quiet", "--target", packages, "-r", "requirements.txt"]
    project.run(sys.executable, "-m", "pip", *install)
    (Path(packages) / "development.pth").write_text(sysconfig.get_path("purelib"))
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A grown app that these tests share."""
    return grown_project(tmp_path_factory.mktemp("grown") / "project")


@pytest.fixture(scope="module", params=["make run", "emulated AWS"])
def url(request: pytest.FixtureRequest, project: Project) -> Iterator[str]:
    """The address of the app where it is served."""
    if request.param == "emulated AWS":
        yield project.deploy("staging")
    else:
        port = free_port()
        command = [str(project.venv / "bin" / "python"), "-m", "tools.run", str(port)]
        with serving(command, port, project.folder):
            yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", "/orders/J%C3%BCrgen", None, 200, {"text": "안녕하세요 Jürgen"}),
        ("POST", "/double", {"number": 2.5}, 201, {"double": 5}),
        (
            "POST",
            "/double",
            {},
            400,
            {"Code": "BadRequestError", "Message": "number is missing"},
        ),
    ],
)
def test_answers_the_same_everywhere(
    url: str, method: str, path: str, body: Any, status: int, answer: Any
) -> None:
    response = requests.request(method, url + path, json=body, timeout=60)
    assert (response.status_code, response.json()) == (status, answer)


@pytest.mark.parametrize("accept", ["image/avif,image/webp,*/*;q=0.8", "text/html"])
def test_bytes_come_and_go_as_they_are(url: str, accept: str) -> None:
    picture = b"RIFF\xff\0\0\0WEBP"
    headers = {"Content-Type": "image/webp", "Accept": accept}
    response = requests.post(url + "/echo", picture, headers=headers, timeout=60)
    assert (response.status_code, response.content) == (200, picture)


def test_the_package_has_all_of_it_for_the_processor_of_lambda(project: Project) -> None:
    with zipfile.ZipFile(project.package("staging") / "deployment.zip") as package:
        names = package.namelist()
        assert {"chalicelib/words.json", "chalicelib/orders.py", "greeting.py"} <= set(names)
        assert "aarch64" in package.read("fastmath.py").decode()
        modules = {name.rpartition("/")[2][:-3] for name in names if name.endswith(".py")}
        compiled = {name.rpartition("/")[2].partition(".")[0] for name in names if "pyc" in name}
        assert modules == compiled


def test_another_function_logs_json_lines(project: Project) -> None:
    project.deploy("staging")
    function = f"{project.name}-staging-clean_up"
    fields = "version account region detail detail-type source time id resources"
    event = dict.fromkeys(fields.split(), "")
    client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    events = client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    (line,) = (json.loads(event["message"]) for event in events if "removed" in event["message"])
    assert (line["message"], line["removed"], line["level"]) == ("cleaned up", 3, "INFO")


def test_is_deployed_again_without_records_and_deleted(tmp_path: Path) -> None:
    project = grown_project(tmp_path / "project")
    url = project.deploy("staging")
    shutil.rmtree(project.folder / "build")
    assert project.deploy("staging") == url
    shutil.rmtree(project.folder / "build")
    project.make("delete", "staging")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}
