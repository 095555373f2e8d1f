"""Functions under the Runtime API, with AWS's own client."""

import json
import os
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from chalicekit.runtime import client
from chalicekit.runtime.api import REQUEST_ID, Function, RuntimeApi, booted_python
from chalicekit.runtime.environment import VERSION, lambda_python
from chalicekit.runtime.events import proxy_event
from tests.emulated import ECHO


@pytest.fixture(scope="module", params=["compiled", "python"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lambda's Python with the compiled part of AWS's client, and with its replacement."""
    folder = tmp_path_factory.mktemp("python")
    python = lambda_python(folder)
    if request.param == "python":
        modules = folder / "lib" / VERSION / "site-packages"
        for compiled in modules.glob("runtime_client*"):
            compiled.unlink()
        (modules / "runtime_client.py").symlink_to(client.__file__)
    return python


def test_a_function_has_lambda_s_environment(monkeypatch: pytest.MonkeyPatch, python: Path) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    with booted_python(ECHO, python, "function.handler") as function:
        _, response = function.invoke(proxy_event("/"))
    shown = json.loads(response["body"])
    assert shown["installed"] == ["boto3", "botocore", "awslambdaric"]
    assert shown["environment"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{VERSION}"
    assert shown["environment"]["LAMBDA_TASK_ROOT"] == str(ECHO)
    assert "LOG_LEVEL" not in shown["environment"]


def test_a_function_serves_one_event_after_the_other(tmp_path: Path, python: Path) -> None:
    (tmp_path / "function.py").write_text("def handler(event, _): return event + 1")
    with booted_python(tmp_path, python, "function.handler") as function:
        assert [function.invoke(number)[1] for number in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("import requests", "init/error", "No module named 'requests'"),
        ("exit(3)", "exit", "3"),
        ("def handler(*_): raise ValueError('bad')", "error", "ValueError"),
        ("def handler(event, context): return context.aws_request_id", "response", "an-id"),
        ("def handler(event, context): return 'é' + event", "response", "éa"),
        ("def handler(*_): return 'x' * 6291600", "too-large", "Function.ResponseSizeTooLarge"),
    ],
)
def test_what_a_function_does_is_reported(
    tmp_path: Path, python: Path, code: str, kind: str, reason: str
) -> None:
    (tmp_path / "function.py").write_text(code, encoding="utf-8")
    with booted_python(tmp_path, python, "function.handler") as function:
        seen, report = function.invoke("a", request_id="an-id")
    assert seen == kind
    assert reason in str(report)


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_web_page_gets_and_reports_nothing(headers: dict[str, str]) -> None:
    function = Function()
    with RuntimeApi(function) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for method, path in ("GET", "next"), ("POST", f"{REQUEST_ID}/response"):
            connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
            connection.request(method, f"{client.PATH}{path}", b"1", headers)
            assert connection.getresponse().status == 403
            connection.close()
        server.shutdown()
    assert function.reports.empty()
    assert not function.settled.is_set()


def test_a_function_that_reports_nothing_is_given_up(tmp_path: Path, python: Path) -> None:
    (tmp_path / "function.py").write_text("import time\ndef handler(*_): time.sleep(60)")
    with (
        pytest.raises(TimeoutError),
        booted_python(tmp_path, python, "function.handler") as function,
    ):
        function.invoke(None, seconds=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(function.process_id, 0)
