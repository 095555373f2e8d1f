"""An app that Lambda could not import is refused, with the place and the reason."""

import json
import socket
from pathlib import Path

import pytest

from chalicekit.build import boot
from chalicekit.build.advice import Advisor
from chalicekit.errors import Refusal
from chalicekit.project import Project


def write(path: Path, text: str = "") -> None:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with the unpacked package `task`, whose modules conf and extra lack yaml."""
    settings = {"app_name": "app", "environment_variables": {"TABLE": "orders"}}
    write(tmp_path / ".chalice" / "config.json", json.dumps(settings))
    for name in ("vendor/conf.py", "chalicelib/a.json", "templates/a.html"):
        write(tmp_path / name)
    write(tmp_path / "task" / "conf.py", "import yaml")
    write(tmp_path / "task" / "extra" / "__init__.py", "\nimport yaml")
    return Project(tmp_path)


def boots(project: Project, code: str, *layer_modules: str) -> None:
    """Check an app that has `code`."""
    task = project.folder / "task"
    write(task / "app.py", code)
    boot.check(project, task, Advisor(project.folder), layer_modules, bool(layer_modules))


@pytest.mark.parametrize(
    "code",
    [
        "import json, sqlite3, boto3, botocore.session, dateutil, urllib3, six",
        "import os\nassert os.environ['AWS_LAMBDA_FUNCTION_NAME'] == 'app-dev'",
        "import os\nassert os.environ['AWS_REGION'] and os.environ['TABLE'] == 'orders'",
        "import os\nassert os.getcwd() == os.environ['LAMBDA_TASK_ROOT']",
        # a thread does not keep the check waiting
        "import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()",
        "print('hello' * 100_000)",  # more than a pipe holds
        "open('/tmp/' + __import__('uuid').uuid4().hex, 'w').close()",
        "open('app.py').close()",
        "import boto3\nboto3.resource('dynamodb').Table('orders')",
    ],
)
def test_what_lambda_can_import_is_accepted(project: Project, code: str) -> None:
    boots(project, code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "\nimport conf",
            "app.py, line 2: vendor/conf.py, line 1: ModuleNotFoundError: No module named 'yaml': "
            "add PyYAML to requirements.txt",
        ),
        ("import extra", "app.py, line 1: extra/__init__.py, line 2: ModuleNotFoundError: No mod"),
        ("import chalicekit", "app.py, line 1: ModuleNotFoundError: No module named 'chalicekit'"),
        ("def x(:", "app.py, line 1: SyntaxError: "),
        ("raise ValueError('a\\nb')", "app.py, line 1: ValueError: a b"),
        ("raise SystemExit(3)", "app.py, line 1: SystemExit: 3"),
        ("import os\nos._exit(3)", r"The app ends Python while it is imported \(exit status 3\)\."),
        (
            "import os, sys\nsys.stderr.write('no\\nlicence\\n')\nsys.stderr.flush()\nos._exit(3)",
            r"exit status 3\): licence\.$",
        ),
        ("import os\nos.environ['X']", "KeyError: 'X': add it to \"environment_variables\" in"),
        ("{}['X']", "KeyError: 'X'$"),
        ("open('templates/a.html')", "FileNotFoundError: .*: move templates/a.html into chalic"),
        ("open('chalicelib/a.json')", "FileNotFoundError: .*: `git add chalicelib/a.json`, or"),
        ("open('nowhere')", "FileNotFoundError: .* 'nowhere'$"),
        ("open('cache', 'w')", "app.py, line 1: OSError: .*Read-only file system: 'cache'$"),
        ("import os\nos.makedirs('a/b')", "OSError: .*Read-only file system: 'a'$"),
    ],
)
def test_what_lambda_cannot_import_is_refused(project: Project, code: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason) as refusal:
        boots(project, code)
    assert "\n" not in str(refusal.value)
    assert not (project.folder / "task" / "cache").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import urllib.request\nurllib.request.urlopen('http://example.com')",
        "import socket\nsocket.create_connection(('192.0.2.1', 80))",
        "import boto3\nboto3.resource('dynamodb').Table('orders').load()",
        "import boto3; client = boto3.client('s3')\ntry: client.list_buckets()\n"
        "except Exception as error: raise RuntimeError('no settings') from error",
    ],
)
def test_an_app_that_uses_the_network_is_checked_up_to_there(
    project: Project, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boots(project, code)
    assert ": it uses the network when imported, so the rest is not" in capsys.readouterr().err


def test_the_check_reaches_no_server(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        boots(project, f"import socket\nsocket.create_connection({server.getsockname()})")
    assert "it uses the network when imported" in capsys.readouterr().err


def test_an_import_that_does_not_end_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "SECONDS", 1)
    with pytest.raises(Refusal, match="still being imported after 1 s"):
        boots(project, "import time\ntime.sleep(99)")


def test_layers_bring_their_modules_and_what_these_import(project: Project) -> None:
    boots(project, "import pytest\nassert pytest.__version__", "pytest")
    with pytest.raises(Refusal, match="No module named 'nowhere'"):
        boots(project, "import pytest, nowhere", "pytest")


def test_something_stands_in_for_a_layer_s_module_that_is_not_here(project: Project) -> None:
    code = """
import nowhere.deep.below
from nowhere import Logger, Model, typing
from nowhere.utilities.parameters import get

logger = Logger(service="a")
value = get("name")["key"]

class Order(Model):
    id: None | typing.Id | None

@logger.inject_context
@logger.log(level=1)
def view() -> Order: ...

with logger.span("a"):
    assert callable(view) and view.__name__ == "view"
"""
    boots(project, code, "nowhere")
