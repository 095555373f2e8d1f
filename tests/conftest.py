"""A clean environment for all tests, and an emulated AWS that starts on demand."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import hypothesis
import pytest

from tests.environment import clean_environment
from tests.processes import EmulatedAws
from tests.project import Project
from chalicekit.lifetime import end_with_parent

hypothesis.settings.register_profile("any machine", deadline=None, database=None)
hypothesis.settings.load_profile("any machine")

emulated_aws: EmulatedAws | None = None
shown_lines: list[str] = []


if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit this
    emulated_aws = EmulatedAws()
    home = tempfile.mkdtemp(prefix="hello-chalice-home-")
    environment = clean_environment(dict(os.environ), emulated_aws.url, home)
    os.environ.clear()
    os.environ.update(environment)

end_with_parent()
signal.signal(signal.SIGTERM, signal.default_int_handler)  # pytest cleans up as after Ctrl-C


def pytest_unconfigure() -> None:
    """End the emulated AWS, once for all workers."""
    if emulated_aws:
        emulated_aws.stop()
        shutil.rmtree(os.environ["HOME"], ignore_errors=True)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect the lines that tests record with `record_property("shown", ...)`."""
    if report.when == "call":
        shown_lines.extend(str(value) for name, value in report.user_properties if name == "shown")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them."""
    for line in shown_lines:
        terminalreporter.write_line(line)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project around the sample app."""
    return Project(tmp_path / "project")
