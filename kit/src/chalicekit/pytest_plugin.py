"""Pytest fixtures for a Chalice app: in process, served, and deployed to an emulated AWS.

They do nothing to tests that do not ask for them. The project is pytest's root folder, or the ini
setting `chalice_project_dir`. With the ini setting `chalice_stage`, all tests run with that stage's
environment variables and reach the emulated AWS instead of an AWS account.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

if TYPE_CHECKING:
    from chalicekit.emulator.on_demand import EmulatorProcess
    from chalicekit.project import Project

EMULATOR: pytest.StashKey[EmulatorProcess] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini settings."""
    parser.addini("chalice_project_dir", "The folder of the Chalice project.", default=".")
    parser.addini("chalice_stage", "The stage that all tests run with.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests the environment of the stage in `chalice_stage`, before any import."""
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist: it inherits the environment
    if config.getini("chalice_stage") and not is_worker:
        stage = project_of(config).config.environment_variables
        variables = variables_for(emulator_of(config)) | stage
        os.environ.clear()
        os.environ.update(variables)


def pytest_runtest_setup() -> None:
    """Let Chalice's own warnings fail no test: users cannot change what they are about.

    They are that user pools and IAM let everyone in, and for records of Kinesis and DynamoDB on
    Python 3.12 and later. pytest forgets this after each test.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module=r"chalice\.local")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"chalice\.app")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the emulated AWS, if it was started."""
    if emulator := config.stash.get(EMULATOR, None):
        emulator.stop()


@pytest.fixture(scope="session")
def emulated_aws(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmulatedAws]:
    """An emulated AWS that has the project's resources; boto3's clients use it."""
    from chalicekit.resources import ensure

    emulator = emulator_of(request.config)
    with mock.patch.dict(os.environ, variables_for(emulator), clear=True):
        project = project_of(request.config, emulator.url)
        ensure(project)
        yield EmulatedAws(project, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def local_url(emulated_aws: EmulatedAws) -> Iterator[str]:
    """The URL of the app, served by `chalicekit local`."""
    with emulated_aws.served() as url:
        yield url


@pytest.fixture(scope="session")
def deployed_url(emulated_aws: EmulatedAws) -> str:
    """The URL of the app, deployed to the emulated AWS."""
    return emulated_aws.deployed_url


@pytest.fixture
def api_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `chalice.test.Client` send the events, and give the responses, of API Gateway."""
    from chalicekit.gateway import use_gateway

    use_gateway(monkeypatch)


@pytest.fixture
def chalice_client(request: pytest.FixtureRequest, api_gateway: None) -> Iterator[Any]:
    """A `chalice.test.Client` of the app, in process."""
    from chalice.test import Client

    project = project_of(request.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project.folder))
        app = import_module("app").app
        with Client(app, stage_name=project.stage, project_dir=str(project.folder)) as client:
            yield client


class EmulatedAws:
    """What the fixture `emulated_aws` is: the emulated AWS, with the project's resources."""

    def __init__(self, project: Project, build: Path) -> None:
        self.project = replace(project, build_dir=build)
        self.url = project.emulator
        self.log = build / "log"  # of the local server

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulated AWS."""
        return self.boto3_session.client(service)

    @cached_property
    def boto3_session(self) -> Any:
        """The session for its clients. boto3 can wrap one of botocore's only once."""
        import boto3

        return boto3.Session(botocore_session=self.project.session)

    def run(self, name: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = subprocess.run(
            self.project.argv(name), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            pytest.fail(f"chalicekit {name}: {done.stderr.strip() or done.stdout}", pytrace=False)
        return done.stdout

    @cached_property
    def deployed_url(self) -> str:
        """Deploy the app; return its URL without a slash at the end."""
        self.run("deploy")
        return self.run("url").split()[0].rstrip("/")

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the app with `chalicekit local`; yield its URL without a slash at the end."""
        with self.log.open("w") as output:
            process = subprocess.Popen(
                self.project.argv("local", "--port", "0", "--no-autoreload"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            while not (serving := re.search("Serving on (.+)\n", self.log.read_text("utf-8"))):
                if process.poll() is not None:
                    pytest.fail(f"chalicekit local: {self.log.read_text('utf-8')}", pytrace=False)
                time.sleep(0.05)
            yield serving[1]
        finally:
            process.terminate()
            process.wait(timeout=30)


def project_of(config: pytest.Config, emulator: str = "") -> Project:
    """Return the project that the ini settings name."""
    from chalicekit.project import Project

    folder = (config.rootpath / str(config.getini("chalice_project_dir"))).resolve()
    return Project(folder, str(config.getini("chalice_stage")) or "dev", emulator)


def emulator_of(config: pytest.Config) -> EmulatorProcess:
    """Return the emulated AWS of all tests, which starts with the first request."""
    from chalicekit.emulator.on_demand import EmulatorProcess

    if EMULATOR not in config.stash:
        config.stash[EMULATOR] = EmulatorProcess()
    return config.stash[EMULATOR]


def variables_for(emulator: EmulatorProcess) -> dict[str, str]:
    """Return this process's variables, but the AWS_ ones are those for the emulated AWS."""
    from chalicekit.variables import client_variables

    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return own | client_variables(emulator.url)
