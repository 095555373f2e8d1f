"""An app that has grown is run, packaged, deployed, used and deleted."""

import json
import shutil
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import requests

from tests.processes import REPOSITORY
from tests.project import MAKE_RUN, Project, client
from tests.wheels import make_compiled_wheels, make_wheel

pytestmark = pytest.mark.xdist_group("grown")

PICTURE = b"RIFF\xff\0\0\0WEBP"
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


def check_answers(url: str) -> None:
    """Compare what the app answers at a URL."""
    hello = requests.get(f"{url}/orders/J%C3%BCrgen", timeout=60)
    assert (hello.status_code, hello.json()) == (200, {"text": "안녕하세요 Jürgen"})
    double = requests.post(f"{url}/double", json={"number": 2.5}, timeout=60)
    assert (double.status_code, double.json()) == (201, {"double": 5})
    mistake = requests.post(f"{url}/double", json={}, timeout=60)
    error = {"Code": "BadRequestError", "Message": "number is missing"}
    assert (mistake.status_code, mistake.json()) == (400, error)
    for accept in ("image/avif,image/webp,*/*;q=0.8", "text/html"):
        headers = {"Content-Type": "image/webp", "Accept": accept}
        assert requests.post(f"{url}/echo", PICTURE, headers=headers, timeout=60).content == PICTURE


def test_answers_under_make_run(project: Project) -> None:
    with project.served(MAKE_RUN) as url:
        check_answers(url)


def test_is_deployed_and_used_and_without_records_deployed_again_and_deleted(
    project: Project,
) -> None:
    url = project.deploy("staging")
    check_answers(url)
    check_log_of_schedule(f"{project.name}-staging-clean_up")
    shutil.rmtree(project.folder / "build")
    assert project.deploy("staging") == url
    shutil.rmtree(project.folder / "build")
    project.make("delete", "staging")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}


def check_log_of_schedule(function: str) -> None:
    """Invoke the function of a schedule, and compare what it logs."""
    fields = "version account region detail detail-type source time id resources"
    event = dict.fromkeys(fields.split(), "")
    client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    events = client("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    (line,) = (json.loads(event["message"]) for event in events if "removed" in event["message"])
    assert (line["message"], line["removed"], line["level"]) == ("cleaned up", 3, "INFO")


def test_the_package_has_every_module_for_the_architecture_of_lambda(project: Project) -> None:
    with zipfile.ZipFile(project.package("staging") / "deployment.zip") as package:
        names = package.namelist()
        assert {"chalicelib/words.json", "chalicelib/orders.py", "greeting.py"} <= set(names)
        assert "aarch64" in package.read("fastmath.py").decode()
        modules = {name.rpartition("/")[2][:-3] for name in names if name.endswith(".py")}
        compiled = {name.rpartition("/")[2].partition(".")[0] for name in names if "pyc" in name}
        assert modules == compiled
