"""The log: what is written about a request, and what a client cannot make it write."""

import json
import logging
from typing import Any

import pytest
from chalice import Chalice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import app
from chalicelib.logs import log_as_json
from emulated.events import proxy_event
from tests.processes import REPOSITORY

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, Any]]:
    """Return what has been written, each line parsed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def failing_app() -> Chalice:
    """An app whose view raises."""
    failing = Chalice("failing", configure_logs=False)
    log_as_json(failing)

    @failing.route("/")
    def fail() -> None:
        raise ValueError("a secret\nof two lines")

    return failing


def test_a_request_is_one_line(capsys: Capture) -> None:
    app(proxy_event("/test", "HEAD"), None)
    (line,) = lines(capsys)
    assert line.pop("durationMs") >= 0
    assert line == {
        "level": "INFO",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "method": "HEAD",
        "path": "/test",
        "status": 200,
    }


def test_an_error_is_one_line_with_its_traceback(capsys: Capture) -> None:
    answer = failing_app()(proxy_event("/"), None)
    assert (answer["statusCode"], "secret" in answer["body"]) == (500, False)
    error, request = lines(capsys)
    assert (error["level"], request["status"]) == ("ERROR", 500)
    assert error["requestId"] == request["requestId"]
    assert error["traceback"].startswith("Traceback (most recent call last)")
    assert "ValueError: a secret\nof two lines" in error["traceback"]


def test_a_call_of_the_log_that_does_not_fit_fails_no_request(capsys: Capture) -> None:
    mistaken = Chalice("mistaken", configure_logs=False)
    log_as_json(mistaken)
    mistaken.route("/")(lambda: mistaken.log.info("%d", "no number"))
    assert mistaken(proxy_event("/"), None)["statusCode"] == 200
    (request,) = lines(capsys)
    assert request["status"] == 200


@given(st.text(), st.text(), st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_client_can_neither_break_nor_forge_a_line(
    capsys: Capture, header: str, query: str, request_id: str
) -> None:
    sent: dict[str, Any] = {
        "headers": {"User-Agent": header, "X-Forwarded-For": header},
        "path": query,
        "multiValueQueryStringParameters": {query: [query]},
        "requestContext": {"resourcePath": "/", "httpMethod": "GET", "requestId": request_id},
    }
    app(proxy_event("/", **sent), None)
    (line,) = lines(capsys)
    assert list(line) == ["level", "requestId", "method", "path", "status", "durationMs"]
    assert [line["requestId"], line["method"], line["path"]] == [request_id, "GET", "/"]


def test_the_level_is_a_setting(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    failing_app()(proxy_event("/"), None)
    assert [line["level"] for line in lines(capsys)] == ["ERROR"]


def test_each_stage_sets_a_level_that_exists() -> None:
    stages = json.loads((REPOSITORY / ".chalice" / "config.json").read_text())["stages"]
    for stage in stages.values():
        level = logging.getLevelName(stage["environment_variables"]["LOG_LEVEL"])
        assert isinstance(level, int)


def test_what_the_app_logs_before_the_first_request_is_json_too(capsys: Capture) -> None:
    failing_app().log.warning("two\nlines")
    (line,) = lines(capsys)
    assert line == {"level": "WARNING", "requestId": None, "message": "two\nlines"}
