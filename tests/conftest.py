"""What every test stands on: an emulated AWS, made-up credentials, and no way to a real account."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from tests.processes import free_port, serving
from tests.project import Project

# Before anything reads them: whatever this machine has configured is gone.
for name in [name for name in os.environ if name.startswith(("AWS_", "PYTHON"))]:
    del os.environ[name]
emulator_port = int(os.environ.setdefault("EMULATOR_PORT", str(free_port())))
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": f"http://127.0.0.1:{emulator_port}",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

emulator = ExitStack()
lines: list[str] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the emulated AWS once, however many processes run the tests."""
    if not hasattr(session.config, "workerinput"):
        command = [sys.executable, "-m", "emulated.aws", str(emulator_port)]
        emulator.enter_context(serving(command, emulator_port))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the emulated AWS."""
    emulator.close()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test wants shown, `record_property("shown", ...)`."""
    if report.when == "call":
        lines.extend(str(value) for name, value in report.user_properties if name == "shown")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show it."""
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the project."""
    return Project(tmp_path / "project")
