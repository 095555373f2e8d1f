"""How Lambda starts an app: which function a handler is, and what Python imports then."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from chalice import Blueprint

from chalicelib import express

PROJECT = Path(express.__file__).parent.parent
KINDS = ["lambda_function", "authorizer", "on_ws_connect", "on_ws_message", "on_ws_disconnect"]
SOURCES = ["schedule", "on_cw_event", "on_s3_event", "on_sns_message", "on_sqs_message"]
SOURCES += ["on_kinesis_record", "on_dynamodb_record"]
BLUEPRINT = """
from chalice import Blueprint

functions = Blueprint(__name__)

@functions.lambda_function()
def run(event, context):
    functions.log.critical("runs")
    return __name__
"""
APP = """
from chalicelib import a, b
from chalicelib.express import ExpressApp

app = ExpressApp("other")
app.register_blueprint(a.functions, name_prefix="a_")
app.register_blueprint(b.functions, name_prefix="b_")

@app.lambda_function()
def run(event, context):
    return "own"

@app.route("/")
def run():
    return "a view"
"""
START = """
import importlib, json
from app import app

def start(handler):  # as AWS's client does it
    module, _, name = handler.rpartition(".")
    return getattr(importlib.import_module(module), name)({}, None)

print(json.dumps({each.name: start(each.handler_string) for each in app.pure_lambda_functions}))
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


def python(folder: Path, code: str) -> list[str]:
    """Run code in a Python of its own, in a folder; return the lines that it prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.splitlines()


def test_lambda_starts_the_function_that_was_meant(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "chalicelib", tmp_path / "chalicelib")
    files = {"app.py": APP, "chalicelib/a.py": BLUEPRINT, "chalicelib/b.py": BLUEPRINT}
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    *log, results = python(tmp_path, START)
    assert json.loads(results) == {"run": "own", "a_run": "chalicelib.a", "b_run": "chalicelib.b"}
    assert [json.loads(line)["message"] for line in log] == ["runs", "runs"]


@pytest.mark.parametrize("prefix", ["", "a_"])
@pytest.mark.parametrize("kind", [*KINDS, *SOURCES])
def test_each_kind_of_function_of_a_blueprint_starts_from_app_py(
    kind: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, called, name = ModuleType("app"), MagicMock(), f"{prefix}run"
    monkeypatch.setitem(sys.modules, "app", module)
    app, blueprint = express.ExpressApp("other", configure_logs=False), Blueprint("chalicelib.a")
    source = ["a"] if kind in SOURCES else []
    getattr(blueprint, kind)(*source, name="run")(lambda *event: called(len(event)))
    app.register_blueprint(blueprint, name_prefix=prefix or None)
    functions: list[Any] = [*app.event_sources, *app.pure_lambda_functions]
    functions += [*app.builtin_auth_handlers, *app.websocket_handlers.values()]
    assert [(f.name, f.handler_string) for f in functions] == [(name, f"app._function_{name}")]
    started = getattr(module, f"_function_{name}")
    started(MagicMock(), None)
    called.assert_called_once_with(2 if kind == "lambda_function" else 1)
    assert (app.handler_map, getattr(started, "name", name)) == ({name: started}, name)


def test_the_start_imports_only_what_a_request_needs() -> None:
    (imported,) = python(PROJECT, START_OF_THE_APP)
    own = {"chalicelib", "chalicelib.express", "chalicelib.logs"}
    assert {*imported.split()} <= own | {"__future__", "_sha1", "binascii"}
