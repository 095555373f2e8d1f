"""How Lambda starts an app: which function a handler is, and what Python imports then."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from chalice import Blueprint

from chalicelib.express import ExpressApp

KINDS: dict[str, list[Any]] = {  # and their first arguments
    "lambda_function": [],
    "authorizer": [],
    "on_ws_connect": [],
    "on_ws_message": [],
    "on_ws_disconnect": [],
    "schedule": ["rate(1 hour)"],
    "on_cw_event": [{}],
    "on_s3_event": ["bucket"],
    "on_sns_message": ["topic"],
    "on_sqs_message": ["queue"],
    "on_kinesis_record": ["stream"],
    "on_dynamodb_record": ["arn"],
}


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What stands for app.py, where Lambda looks for handlers such as `app.run`."""
    module = ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    return module


def test_lambda_starts_the_function_that_was_meant(module: ModuleType) -> None:
    app = ExpressApp("other", configure_logs=False)
    for letter in ("a", "b"):
        blueprint = Blueprint(f"chalicelib.{letter}")
        blueprint.lambda_function(name="run")(lambda event, context, letter=letter: letter)
        app.register_blueprint(blueprint, name_prefix=f"{letter}_")
    app.lambda_function(name="run")(lambda event, context: "own")
    results = {}
    for declared in app.pure_lambda_functions:
        started = getattr(module, declared.handler_string.removeprefix("app."))
        results[declared.name] = started({}, None)
    assert results == {"run": "own", "a_run": "a", "b_run": "b"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_function_of_a_blueprint_starts_from_app_py(
    kind: str, module: ModuleType
) -> None:
    app = ExpressApp("other", configure_logs=False)
    blueprint, function = Blueprint("chalicelib.a"), MagicMock()
    getattr(blueprint, kind)(*KINDS[kind], name="run")(function)
    app.register_blueprint(blueprint, name_prefix="a_")
    functions: list[Any] = [*app.event_sources, *app.pure_lambda_functions]
    functions += [*app.builtin_auth_handlers, *app.websocket_handlers.values()]
    (declared,) = functions
    assert (declared.name, declared.handler_string) == ("a_run", "app._function_a_run")
    started = vars(module)["_function_a_run"]
    started(MagicMock(), None)
    assert len(function.call_args.args) == (2 if kind == "lambda_function" else 1)
    assert app.handler_map == {"a_run": started}
    assert getattr(started, "name", "a_run") == "a_run"  # an authorizer's, by which routes find it


IMPORT = """
import sys
from types import ModuleType

import contextlib, json, logging, re  # Lambda's own client has them

for name in ("chalice", "chalice.app"):  # what stands for Chalice has any name
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__getattr__ = lambda name: type(name, (), {})
before = {*sys.modules}
import chalicelib.express
print(*sorted({*sys.modules} - before))
"""


def test_the_start_imports_only_what_a_request_needs() -> None:
    project = Path(__file__).parent.parent
    imported = subprocess.check_output([sys.executable, "-c", IMPORT], cwd=project, text=True)
    own = {"chalicelib", "chalicelib.express", "chalicelib.logs"}
    assert {*imported.split()} <= own | {"__future__", "_sha1", "binascii"}
