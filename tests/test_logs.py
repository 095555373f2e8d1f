"""The log: what is written, and what neither a client nor a mistake can make it write."""

import io
import json
import logging
import math
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from chalice import Blueprint

from chalicekit.runtime.events import proxy_event
from chalicelib.express import ExpressApp
from chalicelib.logs import configure_logs, json_line, thread_state

Lines = Callable[[], list[dict[str, Any]]]
Patch = pytest.MonkeyPatch
LIBRARY = logging.getLogger("a.library")
NOISY = ["boto3", "botocore", "s3transfer", "urllib3", "chalice"]
CONTEXT = SimpleNamespace(aws_request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd")
IDS = {"requestId": CONTEXT.aws_request_id, "extendedRequestId": "JJbxmplHYosFVYQ="}


@pytest.fixture(autouse=True)
def new_process(monkeypatch: Patch) -> None:
    """The log as Lambda starts a process with it, and no LOG_LEVEL."""
    monkeypatch.delenv("LOG_LEVEL", raising=False)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])  # Lambda's own
    for name in ("", *NOISY):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    logging.captureWarnings(False)
    vars(thread_state).clear()


@pytest.fixture
def lines(capsys: Any) -> Lines:
    """What has been logged since it was last asked for, parsed."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def app_with(view: Callable[[], Any]) -> ExpressApp:
    """Return an app that has one view and logs."""
    app = ExpressApp("other")
    app.route("/")(view)
    return app


def fail(*_: Any) -> None:
    raise ValueError("a secret\nof two lines")


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ({"msg": "%s %s", "args": ("two", 2)}, {"message": "two 2"}),
        ({"msg": 'a\r\n{"level":\u2028'}, {"message": 'a\r\n{"level":\u2028'}),
        ({"created": 1767225599.0059, "msecs": 5.9}, {"timestamp": "2025-12-31T23:59:59.005Z"}),
        ({"order": 7, "price": Decimal("1.10")}, {"order": 7, "price": "1.10"}),
        ({"level": "forged", "timestamp": "forged"}, {}),
        ({"price": math.nan}, {"price": "nan"}),
        ({"sums": {(1, 2): 3}}, {"sums": "{(1, 2): 3}"}),
        ({"exc_info": (None, None, None)}, {}),  # logging.exception without an exception
    ],
)
def test_a_record_is_a_line(record: dict[str, Any], fields: dict[str, Any]) -> None:
    usual = {"msg": "paid", "name": "a.b", "levelname": "INFO", "created": 0, "msecs": 0}
    (line,) = json_line(logging.makeLogRecord(usual | record)).splitlines()
    known = {"timestamp": "1970-01-01T00:00:00.000Z", "level": "INFO", "logger": "a.b"}
    assert json.loads(line) == {"message": "paid", **known, **fields}


def test_a_request_is_a_line_whose_path_and_ids_no_client_chooses(
    lines: Lines, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("chalicelib.logs.perf_counter", iter([1.0, 1.0012344]).__next__)
    app = ExpressApp("other")
    app.route("/{name}")(lambda name: name)
    headers = {"X-Amzn-RequestId": "a", "If-None-Match": "*"}
    app(proxy_event("/{name}", path="/a", pathParameters={"name": "a"}, headers=headers), CONTEXT)
    (line,) = lines()
    del line["timestamp"]
    record = {"level": "INFO", "message": "GET /{name} 304", "logger": "chalicelib.logs", **IDS}
    assert line == record | {"method": "GET", "path": "/{name}", "status": 304, "durationMs": 1.234}


def test_an_error_is_a_line_with_its_traceback(lines: Lines) -> None:
    assert "secret" not in app_with(fail)(proxy_event("/"), CONTEXT)["body"]
    error, request = lines()  # the view raised before the request ended
    assert (error["level"], request["status"]) == ("ERROR", 500)
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "a secret\nof two lines")
    assert error["stackTrace"][0] == "Traceback (most recent call last):"
    assert error["stackTrace"][-2:] == ["ValueError: a secret", "of two lines"]


def test_an_error_of_another_middleware_has_the_request_ids(lines: Lines) -> None:
    app = app_with(lambda: "a")
    app.register_middleware(fail)
    app(proxy_event("/"), CONTEXT)
    request, error = lines()  # Chalice logs what a middleware raised after all of them
    assert (request["status"], error["errorType"]) == (500, "ValueError")
    assert error.items() >= IDS.items()


def test_an_error_of_another_function_is_a_line(lines: Lines) -> None:
    app, blueprint = ExpressApp("other"), Blueprint("other")
    blueprint.on_sqs_message("queue", name="work")(fail)
    app.register_blueprint(blueprint)
    with pytest.raises(ValueError, match="a secret"):
        app.handler_map["work"]({"Records": []}, CONTEXT)
    (line,) = lines()
    assert (line["level"], line["message"]) == ("ERROR", "Unhandled exception")
    assert (line["errorType"], line["requestId"]) == ("ValueError", IDS["requestId"])
    assert "extendedRequestId" not in line


def test_the_result_of_another_function_is_not_logged(lines: Lines) -> None:
    app = ExpressApp("other")
    app.lambda_function(name="double")(lambda event, context: event["number"] * 2)
    assert app.handler_map["double"]({"number": 2}, None) == 4
    assert app({}, None)["statusCode"] == 500  # an event from elsewhere is no request, either
    assert lines() == []


def test_another_thread_has_its_own_ids(lines: Lines) -> None:
    app_with(lambda: "a")(proxy_event("/"), CONTEXT)
    thread = Thread(target=LIBRARY.info, args=["from a thread"])
    thread.start()
    thread.join()
    assert ["requestId" in line for line in lines()] == [True, False]


def test_the_app_libraries_and_python_write_to_the_log(lines: Lines) -> None:
    ExpressApp("other").log.info("from the app")
    LIBRARY.info("from a library")
    LIBRARY.debug("below the default level")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("from Python", stacklevel=1)
    assert [line["logger"] for line in lines()] == ["other", "a.library", "py.warnings"]


def test_a_line_is_written_at_once(monkeypatch: Patch) -> None:
    configure_logs()
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written))
    LIBRARY.info("a message")
    assert written.getvalue().endswith(b"}\n")


def test_a_mistake_in_logging_does_not_fail_the_request(capsys: Any) -> None:
    app = app_with(lambda: LIBRARY.info("%d", "two"))
    assert app(proxy_event("/"), None)["statusCode"] == 200
    assert "Message: '%d'\nArguments: ('two',)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "logged"),
    [("DEBUG", ["debug", "info", "error"]), ("error", ["error"])],
)
def test_the_level_is_a_setting(
    lines: Lines, monkeypatch: Patch, level: str, logged: list[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    configure_logs()
    LIBRARY.debug("debug")
    LIBRARY.info("info")
    LIBRARY.error("error")
    assert [line["message"] for line in lines()] == logged


def test_an_unknown_level_is_refused(monkeypatch: Patch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "VERBOSE")
    with pytest.raises(ValueError, match="LOG_LEVEL is 'VERBOSE': choose DEBUG, INFO, WARNING, ER"):
        configure_logs()


@pytest.mark.parametrize("name", [*NOISY, "botocore.auth"])
@pytest.mark.parametrize(("level", "logged"), [("DEBUG", ["a warning"]), ("ERROR", [])])
def test_of_noisy_libraries_only_warnings_are_logged(
    lines: Lines, monkeypatch: Patch, name: str, level: str, logged: list[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    configure_logs()
    logging.getLogger(name).info("Found credentials in environment variables.")
    logging.getLogger(name).warning("a warning")
    assert [line["message"] for line in lines()] == logged


def test_somebody_can_set_the_level_of_a_noisy_library(lines: Lines, monkeypatch: Patch) -> None:
    monkeypatch.setattr(logging.getLogger("boto3"), "level", logging.DEBUG)
    configure_logs()
    logging.getLogger("boto3").debug("debug")
    assert [line["message"] for line in lines()] == ["debug"]


@pytest.mark.parametrize(
    ("name", "handler", "logged"),
    [
        ("a.library", lambda: logging.StreamHandler(io.StringIO()), False),  # as Powertools'
        ("a", lambda: logging.StreamHandler(io.StringIO()), False),
        ("a.library", logging.NullHandler, True),  # as a library's
        ("", lambda: logging.StreamHandler(io.StringIO()), True),  # as pytest's
        ("", lambda: logging.StreamHandler(sys.stdout), False),  # as in structlog's recipe
        ("", lambda: logging.StreamHandler(sys.stderr), False),
    ],
)
def test_what_another_handler_writes_is_written_once(
    capsys: Any, monkeypatch: Patch, name: str, handler: Any, logged: bool
) -> None:
    configure_logs()
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler()])
    LIBRARY.info("once")
    assert ('"message": "once"' in capsys.readouterr().out) == logged
