"""The log: what is written, and what neither a client nor a mistake can make it write."""

import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from chalice import Blueprint
from chalice.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicekit.runtime.events import proxy_event
from chalicelib.express import ExpressApp
from chalicelib.logs import configure_logs, thread_state

Lines = Callable[[], list[dict[str, Any]]]
LIBRARY = logging.getLogger("a.library")
SDK = ["boto3", "botocore", "s3transfer", "urllib3", "chalice"]


class Context:
    """What Lambda hands to a function beside the event."""

    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"


IDS = {"requestId": Context.aws_request_id, "extendedRequestId": "JJbxmplHYosFVYQ="}


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What has been logged since it was last asked for, each line parsed."""
    monkeypatch.setenv("LOG_LEVEL", "INFO")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    logging.captureWarnings(False)
    for name in SDK:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    configure_logs()
    vars(thread_state).clear()
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level


def app_with(view: Callable[[], Any]) -> ExpressApp:
    """Return an app that has one view and logs."""
    app = ExpressApp("other")
    app.route("/")(view)
    return app


def fail(*_: Any) -> None:
    """Raise."""
    raise ValueError("a secret\nof two lines")


def test_a_request_is_one_line(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.logs.perf_counter", iter([1.0, 1.0012344]).__next__)
    app_with(lambda: "a")(proxy_event("/"), Context())
    (line,) = lines()
    del line["timestamp"]
    assert line == {
        "level": "INFO",
        "message": "GET / 200",
        "logger": "chalicelib.logs",
        **IDS,
        "method": "GET",
        "path": "/",
        "status": 200,
        "durationMs": 1.234,
    }


def test_the_time_is_utc_in_milliseconds(lines: Lines) -> None:
    record = {"created": 1767225599.0059, "msecs": 5.9, "levelno": logging.INFO}
    LIBRARY.handle(logging.makeLogRecord(record))
    (line,) = lines()
    assert line["timestamp"] == "2025-12-31T23:59:59.005Z"


def test_an_error_is_one_line_with_its_traceback(lines: Lines) -> None:
    answer = app_with(fail)(proxy_event("/"), Context())
    assert (answer["statusCode"], "secret" in answer["body"]) == (500, False)
    error, request = lines()
    assert (error["level"], request["status"]) == ("ERROR", 500)
    assert error.items() >= IDS.items()
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "a secret\nof two lines")
    assert error["stackTrace"][0] == "Traceback (most recent call last):"
    assert error["stackTrace"][-2:] == ["ValueError: a secret", "of two lines"]


def test_an_error_of_another_middleware_has_the_request_ids(lines: Lines) -> None:
    app = app_with(lambda: "a")
    app.register_middleware(fail)
    app(proxy_event("/"), Context())
    request, error = lines()
    assert (request["status"], error["errorType"]) == (500, "ValueError")
    assert error.items() >= IDS.items()


def test_an_error_of_another_function_is_one_line(lines: Lines) -> None:
    app = app_with(lambda: "a")
    blueprint = Blueprint("other")
    app.lambda_function()(fail)
    blueprint.on_sqs_message("queue", name="on_message")(fail)
    app.register_blueprint(blueprint)
    for name in ("fail", "on_message"):
        with pytest.raises(ValueError, match="a secret"):
            app.handler_map[name]({"Records": []}, Context())
        (line,) = lines()
        assert (line["level"], line["message"]) == ("ERROR", "Unhandled exception")
        assert line["errorType"] == "ValueError"
        assert line["requestId"] == Context.aws_request_id
        assert "extendedRequestId" not in line


def test_the_result_of_another_function_passes_unchanged(lines: Lines) -> None:
    app = app_with(lambda: "a")
    app.lambda_function(name="double")(lambda event, context: event["number"] * 2)
    assert Client(app).lambda_.invoke("double", {"number": 2}).payload == 4
    assert lines() == []


def test_another_thread_has_its_own_ids(lines: Lines) -> None:
    app_with(lambda: "a")(proxy_event("/"), Context())
    thread = Thread(target=LIBRARY.info, args=["from a thread"])
    thread.start()
    thread.join()
    request, other = lines()
    assert request["requestId"] == Context.aws_request_id
    assert "requestId" not in other


def test_an_event_from_elsewhere_is_not_logged_as_a_request(lines: Lines) -> None:
    assert "Unknown request." in app_with(lambda: "a")({}, Context())["body"]
    assert lines() == []


def test_every_log_record_is_a_line(lines: Lines) -> None:
    app = app_with(lambda: "a")
    app.log.info("from the app")
    LIBRARY.info("from a %s", "library")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("from Python", stacklevel=1)
    app_line, library, python = lines()
    assert (app_line["logger"], app_line["message"]) == ("other", "from the app")
    assert (library["logger"], library["message"]) == ("a.library", "from a library")
    assert (python["logger"], python["level"]) == ("py.warnings", "WARNING")


def test_a_line_is_written_at_once(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written))
    LIBRARY.info("a message")
    assert written.getvalue().endswith(b"}\n")


def test_extra_fields_are_kept_and_replace_nothing(lines: Lines) -> None:
    extra = {"order": 7, "price": Decimal("1.10"), "tags": ["a"]}
    LIBRARY.info("paid", extra={**extra, "level": "forged", "timestamp": "forged"})
    (line,) = lines()
    assert line.pop("timestamp") != "forged"
    assert line == {
        "level": "INFO",
        "message": "paid",
        "logger": "a.library",
        "order": 7,
        "price": "1.10",
        "tags": ["a"],
    }


CIRCLE: dict[str, Any] = {}
CIRCLE["circle"] = CIRCLE


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        (math.nan, "nan"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (CIRCLE, "{'circle': {...}}"),
    ],
)
def test_a_field_that_json_cannot_hold_is_written_as_text(
    lines: Lines, value: Any, logged: str
) -> None:
    LIBRARY.info("a message", extra={"field": value})
    (line,) = lines()
    assert (line["message"], line["field"]) == ("a message", logged)


def test_arguments_that_do_not_fit_are_logged_beside_the_message(lines: Lines) -> None:
    configure_logs()  # without pytest's own handler, which raises
    app = app_with(lambda: LIBRARY.info("%d", "no number"))
    assert app(proxy_event("/"), None)["statusCode"] == 200
    mistaken, request = lines()
    assert mistaken["message"] == "'%d' % ('no number',)"
    assert request["status"] == 200


class Unprintable:
    """An object that has no text."""

    def __repr__(self) -> str:
        raise RuntimeError


def test_a_logging_error_does_not_fail_the_request(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs()  # without pytest's own handler, which raises
    app = app_with(lambda: LIBRARY.info("a message", extra={"field": Unprintable()}))
    assert app(proxy_event("/"), None)["statusCode"] == 200
    assert "Message: 'a message'" in capsys.readouterr().err


def test_logging_without_an_exception_adds_no_traceback(lines: Lines) -> None:
    LIBRARY.exception("no exception")
    (line,) = lines()
    assert set(line) == {"timestamp", "level", "message", "logger"}


@given(st.text(), st.text(), st.text())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_client_cannot_break_or_forge_a_line(
    lines: Lines, header: str, query: str, request_id: str
) -> None:
    sent: dict[str, Any] = {
        "headers": {"User-Agent": header, "X-Forwarded-For": header},
        "path": query,
        "multiValueQueryStringParameters": {query: [query]},
        "requestContext": {"resourcePath": "/", "httpMethod": "GET", "requestId": request_id},
    }
    app_with(lambda: LIBRARY.warning(header))(proxy_event("/", **sent), None)
    warning, request = lines()
    assert (warning["message"], warning["logger"]) == (header, "a.library")
    assert (request["method"], request["path"], request.get("requestId")) == ("GET", "/", None)


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("DEBUG", ["debug", "info", "error"]),
        ("info", ["info", "error"]),
        ("ERROR", ["error"]),
    ],
)
def test_the_level_is_a_setting(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, level: str, logged: list[str]
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    configure_logs()
    for name in ("debug", "info", "error"):
        getattr(LIBRARY, name)(name)
    assert [line["message"] for line in lines()] == logged


@pytest.mark.parametrize("name", [*SDK, "botocore.auth", "urllib3.connectionpool"])
@pytest.mark.parametrize(
    ("level", "logged"), [("DEBUG", ["warning"]), ("INFO", ["warning"]), ("ERROR", [])]
)
def test_of_the_sdk_only_warnings_are_logged(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, level: str, logged: list[str], name: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    logging.getLogger(name.partition(".")[0]).setLevel(logging.NOTSET)
    configure_logs()
    logging.getLogger(name).debug("x-amz-security-token")
    logging.getLogger(name).info("Found credentials in environment variables.")
    logging.getLogger(name).warning("warning")
    assert [line["message"] for line in lines()] == logged


@pytest.mark.parametrize("name", SDK)
def test_somebody_can_set_the_sdk_s_level(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    configure_logs()
    logging.getLogger(name).debug("debug")
    assert [line["message"] for line in lines()] == ["debug"]


@pytest.mark.parametrize("name", ["a.library", "a"])
def test_a_logger_that_has_a_handler_logs_a_line_once(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shown = io.StringIO()  # as Powertools' Logger has one
    monkeypatch.setattr(logging.getLogger(name), "handlers", [logging.StreamHandler(shown)])
    LIBRARY.info("once")
    logging.getLogger("b.library").info("another")
    assert shown.getvalue() == "once\n"
    assert [line["message"] for line in lines()] == ["another"]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_another_handler_of_the_console_logs_a_line_once(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(f"sys.{name}", shown)
    logging.getLogger().addHandler(logging.StreamHandler(shown))  # as structlog's recipe does
    LIBRARY.info("once")
    assert shown.getvalue() == "once\n"
    assert lines() == []


def test_a_null_handler_and_a_handler_elsewhere_do_not_silence_the_log(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIBRARY, "handlers", [logging.NullHandler()])  # as a library's
    logging.getLogger().addHandler(logging.StreamHandler(io.StringIO()))  # as pytest's
    LIBRARY.info("a message")
    assert [line["message"] for line in lines()] == ["a message"]


def test_a_terminal_gets_text_for_people(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", terminal)
    app_with(fail)(proxy_event("/"), Context())
    error, *traceback, request = terminal.getvalue().splitlines()
    assert (error, request) == ("ERROR Caught exception for path /", "INFO GET / 500")
    assert "in fail" in traceback[-4]
    assert traceback[-2:] == ["ValueError: a secret", "of two lines"]


@pytest.mark.parametrize("level", ["VERBOSE", "10", ""])
def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    with pytest.raises(ValueError, match=f"^LOG_LEVEL is '{level}': choose DEBUG, INFO, "):
        configure_logs()


def test_the_default_level_is_info(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOG_LEVEL")
    configure_logs()
    assert logging.getLogger().level == logging.INFO
