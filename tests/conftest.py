"""What every test stands on: a clean environment, and an emulated AWS that starts on demand."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.processes import REPOSITORY, EmulatedAws
from tests.project import Project

# Nothing else of this machine's environment reaches a test or what a test starts. A GIT_DIR, an
# AWS_PROFILE or a PIP_TARGET would change what is tested, or write to the user's own files.
KEPT = ("PATH", "LANG", "TERM", "TMPDIR", "PYENV_", "PYTEST_")

hypothesis.settings.register_profile("any machine", deadline=None, database=None)
hypothesis.settings.load_profile("any machine")

emulated_aws: EmulatedAws | None = None
shown_lines: list[str] = []


def clean_environment(endpoint: str) -> dict[str, str]:
    """Return what stays of the environment, with made-up credentials and the first stage's own."""
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text(encoding="utf-8"))
    stage = next(iter(config["stages"].values()))
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return {
        **kept,
        "HOME": tempfile.mkdtemp(prefix="hello-chalice-home-"),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **config.get("environment_variables", {}),
        **stage.get("environment_variables", {}),
    }


if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit all of this
    emulated_aws = EmulatedAws()
    environment = clean_environment(emulated_aws.url)
    os.environ.clear()
    os.environ.update(environment)


def pytest_unconfigure() -> None:
    """End the emulated AWS, once for all workers."""
    if emulated_aws:
        emulated_aws.stop()
        shutil.rmtree(os.environ["HOME"], ignore_errors=True)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test wants to show, `record_property("shown", ...)`."""
    if report.when == "call":
        shown_lines.extend(str(value) for name, value in report.user_properties if name == "shown")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show it."""
    for line in shown_lines:
        terminalreporter.write_line(line)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project around the tests' own app."""
    return Project(tmp_path / "project")
