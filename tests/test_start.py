"""How Lambda starts an app: which function a handler is, and what Python imports then."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chalice import Blueprint

from chalicelib.express import ExpressApp


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What stands for app.py, where Lambda looks for handlers such as `app.run`."""
    module = ModuleType("app")
    monkeypatch.setitem(sys.modules, "app", module)
    return module


@pytest.fixture
def app() -> ExpressApp:
    """An app without functions."""
    return ExpressApp("other", configure_logs=False)


def test_lambda_starts_the_function_that_was_meant(app: ExpressApp, module: ModuleType) -> None:
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


@pytest.mark.parametrize(
    "declare",
    [
        lambda blueprint: blueprint.lambda_function(name="run"),
        lambda blueprint: blueprint.authorizer(name="run"),
        lambda blueprint: blueprint.on_ws_connect(name="run"),
        lambda blueprint: blueprint.on_ws_message(name="run"),
        lambda blueprint: blueprint.on_ws_disconnect(name="run"),
        lambda blueprint: blueprint.schedule("rate(1 hour)", name="run"),
        lambda blueprint: blueprint.on_cw_event({}, name="run"),
        lambda blueprint: blueprint.on_s3_event("bucket", name="run"),
        lambda blueprint: blueprint.on_sns_message("topic", name="run"),
        lambda blueprint: blueprint.on_sqs_message("queue", name="run"),
        lambda blueprint: blueprint.on_kinesis_record("stream", name="run"),
        lambda blueprint: blueprint.on_dynamodb_record("arn", name="run"),
    ],
)
def test_lambda_finds_each_kind_of_function_in_app_py(
    app: ExpressApp, module: ModuleType, declare: Callable[[Blueprint], Any]
) -> None:
    blueprint = Blueprint("chalicelib.a")
    declare(blueprint)(print)
    app.register_blueprint(blueprint, name_prefix="a_")
    functions: list[Any] = [*app.event_sources, *app.pure_lambda_functions]
    functions += [*app.builtin_auth_handlers, *app.websocket_handlers.values()]
    (declared,) = functions
    assert (declared.name, declared.handler_string) == ("a_run", "app._function_a_run")
    assert app.handler_map == {"a_run": vars(module)["_function_a_run"]}


def test_the_middleware_surrounds_a_blueprint_s_websocket(app: ExpressApp) -> None:
    blueprint = Blueprint("chalicelib.a")
    blueprint.on_ws_connect(name="connect")(lambda event: {"body": event.connection_id})
    app.register_blueprint(blueprint)
    app.register_middleware(lambda event, get_response: get_response(event) | {"statusCode": 202})
    context = {"apiId": "a", "domainName": "b", "stage": "c", "connectionId": "d"}
    response = app.handler_map["connect"]({"requestContext": context}, None)
    assert response == {"statusCode": 202, "body": "d"}


def test_a_route_finds_a_blueprint_s_authorizer_by_its_name(app: ExpressApp) -> None:
    blueprint = Blueprint("chalicelib.a")
    authorizer = blueprint.authorizer(name="users")(lambda request: None)
    app.register_blueprint(blueprint, name_prefix="a_")
    (declared,) = app.builtin_auth_handlers
    assert authorizer.name == declared.name == "a_users"


# This prints what the import of express.py imports, beyond what Lambda's client has imported. In
# Chalice's place are modules that have a class of any name: Chalice would import most of it, too,
# but the kit takes out of Chalice what no request needs.
PROGRAM = """
import contextlib, json, logging, re, sys, types  # as Lambda's client

for name in ("chalice", "chalice.app"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__getattr__ = lambda name: type(name, (), {})
before = {*sys.modules}
import chalicelib.express
print(*sorted({*sys.modules} - before))
"""


def test_the_start_imports_only_what_a_request_needs() -> None:
    project = Path(__file__).parent.parent
    imported = subprocess.check_output([sys.executable, "-c", PROGRAM], cwd=project, text=True)
    own = {"chalicelib", "chalicelib.express", "chalicelib.logs"}
    assert {*imported.split()} <= own | {"__future__", "_sha1", "binascii"}
