"""The pytest plugin in a project of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import warnings

import pytest
from chalice import Chalice, CognitoUserPoolAuthorizer, IAMAuthorizer
from chalice.test import Client

app = Chalice("app")
POOL = CognitoUserPoolAuthorizer("pool", provider_arns=["arn"])
app.route("/pool", authorizer=POOL)(lambda: "in")
app.route("/iam", authorizer=IAMAuthorizer())(lambda: "in")


@pytest.mark.parametrize("path", ["/pool", "/iam"])
def test_a_route_with_an_authorizer(path):
    with Client(app) as client:
        assert client.http.get(path).body == b"in"


def test_a_record():
    app.on_kinesis_record("stream", name="f")(lambda event: [record.data for record in event])
    with Client(app) as client:
        event = client.events.generate_kinesis_event([b"a"])
        assert client.lambda_.invoke("f", event).payload == [b"a"]
    warnings.warn_explicit("utcfromtimestamp", DeprecationWarning, "x", 1, module="chalice.app")


def test_own_warnings_still_fail():
    with pytest.raises(UserWarning):
        warnings.warn("own")
"""


@pytest.mark.parametrize("options", [["-W", "error"], ["-o", "filterwarnings=error"]])
def test_chalice_s_own_warnings_fail_no_test(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_app.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "4 passed" in done.stdout, done.stdout
    assert "warning" not in done.stdout
