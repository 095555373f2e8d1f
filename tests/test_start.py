"""How Lambda starts an app: which function a handler is, and what Python imports then."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chalicelib
from chalicekit.runtime.events import proxy_event

(PACKAGE,) = chalicelib.__path__
PROJECT = Path(PACKAGE).parent

APP = """
from chalicelib.a import a
from chalicelib.b import b
from chalicelib.express import ExpressApp

app = ExpressApp("other")
app.register_blueprint(a, name_prefix="a_")
app.register_blueprint(b, name_prefix="b_")


@app.lambda_function()
def run(event, context):
    return "own"


@app.route("/")
def test():
    return "a view"
"""
BLUEPRINT_A = """
from chalice import Blueprint

a = Blueprint(__name__)


@a.lambda_function(name="run")
def run(event, context):
    a.log.info("runs")
    return "a"


@a.schedule("rate(1 hour)")
def test(event):
    return event.source
"""
BLUEPRINT_B = """
from chalice import Blueprint

b = Blueprint(__name__)


@b.lambda_function(name="run")
def run(event, context):
    return "b"
"""
LIST = """
import json
from app import app
functions = [*app.event_sources, *app.pure_lambda_functions]
print(json.dumps({function.name: function.handler_string for function in functions}))
"""
START = """
import importlib, json, sys

module, _, name = sys.argv[1].rpartition(".")
start = getattr(importlib.import_module(module), name)  # as AWS's client does it
print(json.dumps(start(json.load(sys.stdin), None)))
"""
# Chalice's own imports move into its functions when it is packaged; here they are there already.
FIRST_REQUEST = """
import json, sys
import chalice.app
from chalicelib.express import ExpressApp

app = ExpressApp("other")
app.route("/")(lambda: "안녕")
app.route("/json")(lambda: {"a": [1, None]})
for name in ("base64", "copy", "datetime", "decimal", "traceback", "typing", "urllib.parse"):
    del sys.modules[name]
    setattr(chalice.app, name, None)
chalice.app.unquote_plus = None
before = {*sys.modules}
assert all(app(event, None)["statusCode"] == 200 for event in json.load(sys.stdin))
print(*sorted({*sys.modules} - before))
"""
# What stands for Chalice has whatever is asked of it.
START_OF_THE_APP = """
import sys
from types import ModuleType

import contextlib, json, logging, re  # Lambda's own client has them

for name in ("chalice", "chalice.app"):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__getattr__ = lambda name: type(name, (), {})
before = {*sys.modules}
import chalicelib.express
print(*sorted({*sys.modules} - before))
"""


def python(folder: Path, code: str, *arguments: str, stdin: str = "") -> list[str]:
    """Run code in a Python of its own, in a folder; return the lines that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two blueprints."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "chalicelib").mkdir()
    for name in ("__init__.py", "express.py", "logs.py"):
        shutil.copy(PROJECT / "chalicelib" / name, folder / "chalicelib")
    (folder / "app.py").write_text(APP)
    (folder / "chalicelib/a.py").write_text(BLUEPRINT_A)
    (folder / "chalicelib/b.py").write_text(BLUEPRINT_B)
    return folder


EVENT: dict[str, Any] = {
    "source": "aws.events",
    **dict.fromkeys(["version", "account", "region", "detail", "detail-type", "time", "id"]),
    "resources": [],
}


@pytest.mark.parametrize(
    ("name", "result", "messages"),
    [
        ("run", "own", []),
        ("a_run", "a", ["runs"]),
        ("b_run", "b", []),
        ("a_test", "aws.events", []),
    ],
)
def test_lambda_starts_the_function_that_was_meant(
    project: Path, name: str, result: str, messages: list[str]
) -> None:
    handlers = json.loads(python(project, LIST)[-1])
    *log, returned = python(project, START, handlers[name], stdin=json.dumps(EVENT))
    assert json.loads(returned) == result
    assert [json.loads(line)["message"] for line in log] == messages


def test_a_first_request_imports_nothing() -> None:
    """An import costs a request more than a start, for which Lambda gives a whole core."""
    events = json.dumps([proxy_event("/"), proxy_event("/json")])
    *log, imported = python(PROJECT, FIRST_REQUEST, stdin=events)
    assert (len(log), imported) == (2, "")


def test_the_start_imports_only_what_a_request_needs() -> None:
    (imported,) = python(PROJECT, START_OF_THE_APP)
    own = {"chalicelib", "chalicelib.express", "chalicelib.logs"}
    assert {*imported.split()} <= own | {"__future__", "_sha1", "binascii"}
