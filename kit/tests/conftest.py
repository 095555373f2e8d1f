"""A clean environment for all tests of the kit, and the fixtures that they share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.lifetime import end_with_parent
from tests.sample import Sample

# Any other variable might change the tests or the places where they write: with the GIT_DIR of a
# hook, the tests' own `git add` would change the user's repository; with AWS's, they might reach an
# account.
KEPT = ("PATH", "LANG", "TERM", "TMPDIR", "PYENV_", "PYTEST_")


def pytest_configure() -> None:
    """Clean the environment, which the programs that tests start inherit."""
    for name in [name for name in os.environ if not name.startswith(KEPT)]:
        del os.environ[name]
    os.environ["HOME"] = "/nonexistent"  # so there is no ~/.aws, no ~/.config/pip
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    end_with_parent()


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The URL of an emulated AWS, which starts with the first request."""
    with EmulatorProcess() as emulated:
        yield emulated.url


@pytest.fixture
def sample(tmp_path: Path, aws: str) -> Sample:
    """A project around a small app, and an emulated AWS."""
    return Sample(tmp_path / "project", aws)


@pytest.fixture
def offline(tmp_path: Path) -> Sample:
    """A project around a small app, without an AWS."""
    return Sample(tmp_path / "project")
