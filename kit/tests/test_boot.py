"""An app that Lambda could not import is refused, with the place and the reason."""

import os
import socket
import sys
from pathlib import Path

import pytest

from chalicekit.build import boot
from chalicekit.build.boot import check
from chalicekit.errors import Refusal
from tests.wheels import COMPILED


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """An unpacked package, beside the project's folder that has the same vendor/conf.py."""
    write(tmp_path / "project" / "vendor" / "conf.py")
    write(tmp_path / "task" / "chalicelib" / "__init__.py")
    return tmp_path / "task"


def write(path: Path, text: str = "") -> None:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def boots(task: Path, code: str, **options: object) -> None:
    """Check an app that has `code`."""
    write(task / "app.py", code)
    given = {"variables": {}, "host": None, "layers": ()} | options
    check(task, task.parent / "project", "app-dev", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "code",
    [
        "import json, sqlite3, boto3, botocore.session, dateutil, urllib3, six",
        "import chalicelib",
        "import os\nassert os.environ['AWS_LAMBDA_FUNCTION_NAME'] == 'app-dev'",
        "import os\nassert os.environ['AWS_REGION'] and os.environ['TABLE'] == 'orders'",
        "import os\nassert os.getcwd() == os.environ['LAMBDA_TASK_ROOT']",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()",
        "print('hello' * 100_000)",
        "open('/tmp/' + __import__('uuid').uuid4().hex, 'w').close()",
        "open('app.py').close()",
        "import boto3\nboto3.resource('dynamodb').Table('orders')",
    ],
)
def test_what_lambda_can_import_is_accepted(task: Path, code: str) -> None:
    boots(task, code, variables={"TABLE": "orders"})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "\nimport conf",
            "app.py, line 2: vendor/conf.py, line 1: ModuleNotFoundError: No module ",
        ),
        ("import conf", "No module named 'yaml': add PyYAML to requirements.txt"),
        ("import extra", "app.py, line 1: extra/__init__.py, line 2: ModuleNotFoundError: No mod"),
        ("import chalicekit", "app.py, line 1: ModuleNotFoundError: No module named 'chalicekit'"),
        ("import pytest", "app.py, line 1: ModuleNotFoundError: No module named 'pytest'"),
        ("def x(:", "app.py, line 1: SyntaxError: "),
        ("raise ValueError('a\\nb')", "app.py, line 1: ValueError: a b"),
        ("raise SystemExit(3)", "app.py, line 1: SystemExit: 3"),
        ("import os\nos._exit(3)", r"The app ends Python while it is imported \(exit status 3\)\."),
        (
            "import os, sys\nsys.stderr.write('no\\nlicence\\n')\nsys.stderr.flush()\nos._exit(3)",
            r"exit status 3\): licence\.$",
        ),
        ("import os\nos.environ['X']", "KeyError: 'X': add it to \"environment_variables\" in"),
        ("open('templates/a')", "FileNotFoundError: .*: move templates/a into chalicelib/"),
        ("open('chalicelib/a')", "FileNotFoundError: .*: `git add chalicelib/a`, or name it in"),
        ("open('nowhere')", "FileNotFoundError: .* 'nowhere'$"),
        ("open('cache', 'w')", "app.py, line 1: OSError: .*Read-only file system: 'cache'$"),
        ("import os\nos.makedirs('a/b')", "OSError: .*Read-only file system: 'a'$"),
    ],
)
def test_what_lambda_cannot_import_is_refused(task: Path, code: str, reason: str) -> None:
    write(task / "conf.py", "import yaml")
    write(task / "extra" / "__init__.py", "\nimport yaml")
    for name in ("templates", "chalicelib"):
        write(task.parent / "project" / name / "a")
    with pytest.raises(Refusal, match=reason) as refusal:
        boots(task, code)
    assert "\n" not in str(refusal.value)
    assert not (task / "cache").exists()


USES = """
import nowhere.deep.below
from nowhere import Logger, Model, typing
from nowhere.utilities.parameters import get

logger = Logger(service="a")
value = get("name")["key"]

class Order(Model):
    id: typing.Id | None

@logger.inject_context
@logger.log(level=1)
def view() -> Order: ...

with logger.span("a"):
    assert callable(view) and view.__name__ == "view"
"""
CALLS = [
    "import urllib.request\nurllib.request.urlopen('http://example.com')",
    "import socket\nsocket.create_connection(('192.0.2.1', 80))",
    "import boto3\nboto3.resource('dynamodb').Table('orders').load()",
    "import boto3; client = boto3.client('s3')\ntry: client.list_buckets()\n"
    "except Exception as error: raise RuntimeError('no settings') from error",
]


@pytest.mark.parametrize("code", CALLS)
def test_an_app_that_uses_the_network_is_checked_up_to_there(
    task: Path, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boots(task, code)
    assert ": it uses the network when imported, so the rest is not" in capsys.readouterr().err


def test_the_check_reaches_no_server(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        boots(task, f"import socket\nsocket.create_connection({address})")
    assert "it uses the network when imported" in capsys.readouterr().err


def test_an_import_that_does_not_end_is_refused(
    task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "SECONDS", 1)
    with pytest.raises(Refusal, match="still being imported after 1 s"):
        boots(task, "import time\ntime.sleep(99)")


def test_compiled_packages_are_those_of_this_machine(task: Path, tmp_path: Path) -> None:
    write(task / "fast" / "__init__.py", COMPILED.format(machine=("linux", "another")))
    write(task / "fast" / "part.cpython-39-another-linux-gnu.so")
    here = COMPILED.format(machine=(sys.platform, os.uname().machine))
    write(tmp_path / "here" / "fast" / "__init__.py", here)
    write(tmp_path / "here" / "only_here.py")
    boots(task, "import fast", host=tmp_path / "here")
    with pytest.raises(Refusal, match="No module named 'only_here'"):
        boots(task, "import fast, only_here", host=tmp_path / "here")


@pytest.mark.parametrize(
    ("layers", "code", "is_accepted"),
    [
        (["*"], "import yaml", True),
        (["yaml"], "import yaml", True),
        (["pytest"], "import pytest", True),  # which imports further packages
        (["pytest"], "import yaml", False),
        (["pytest"], "import pytest, conf", False),
        (["*"], "import nowhere", False),
        (["nowhere"], USES, True),
        ([], "import yaml", False),
    ],
)
def test_layers_bring_their_modules(
    task: Path, layers: list[str], code: str, is_accepted: bool
) -> None:
    write(task / "conf.py", "import yaml")
    if is_accepted:
        boots(task, code, layers=layers)
    else:
        with pytest.raises(Refusal, match="No module named"):
            boots(task, code, layers=layers)
