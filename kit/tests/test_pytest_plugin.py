"""The pytest plugin in a project of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sample import CHALICE

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


def run_pytest(folder: Path, *options: str) -> str:
    """Return what pytest prints for the tests in a folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120).stdout


def test_the_example_in_the_readme_passes_in_a_new_project(tmp_path: Path) -> None:
    subprocess.run([CHALICE, "new-project", "hello"], cwd=tmp_path, check=True)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall("```python\n(import requests\n.*?)```", readme, re.DOTALL)
    (tmp_path / "hello" / "test_app.py").write_text(example)
    assert "3 passed" in run_pytest(tmp_path / "hello")


@pytest.mark.parametrize("options", [["-W", "error"], ["-o", "filterwarnings=error"]])
def test_chalice_s_own_warnings_fail_no_test(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "test_app.py").write_text(TESTS)
    printed = run_pytest(tmp_path, *options)
    assert "4 passed" in printed, printed
    assert "warning" not in printed
