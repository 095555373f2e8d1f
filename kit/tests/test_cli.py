"""The command line: what it refuses, in one line and with exit status 1 or 2."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chalicekit.cli import cli
from chalicekit.errors import Refusal
from chalicekit.load import load_app
from chalicekit.project import Project
from tests.project import TestProject


def refused(*arguments: str, folder: Path, **environment: str) -> str:
    """Run a command that must fail without a traceback; return the last line that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "chalicekit", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


COMMANDS = ["local", "package", "deploy", "url", "logs", "delete"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, command: str) -> None:
    arguments = ["out"] if command == "package" else []
    line = refused(command, *arguments, folder=tmp_path)
    assert line == f"{tmp_path} is not a Chalice project: it has no .chalice/config.json."


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_stage_is_refused(project: TestProject, command: str) -> None:
    arguments = ["out"] if command == "package" else []
    line = refused(command, "--stage", "prd", *arguments, folder=project.folder)
    assert line == "Stage prd is not in .chalice/config.json: choose dev or prod."


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ('{"version": "2.0"', "Expecting ',' delimiter: line 1 column 18 (char 17)"),
        ("[]", "it must hold an object"),
    ],
)
def test_settings_that_cannot_be_read_are_refused(
    project: TestProject, config: str, reason: str
) -> None:
    project.write(".chalice/config.json", config)
    line = refused("url", folder=project.folder)
    assert line == f".chalice/config.json is not valid JSON: {reason}"


@pytest.mark.parametrize("port", ["fd:0", "0", "65536", "٣", ""])
@pytest.mark.parametrize(("make", "option"), [(["--make"], "AWS_PORT"), ([], "--emulator-port")])
def test_what_is_no_port_is_refused(
    project: TestProject, make: list[str], option: str, port: str
) -> None:
    arguments = [*make, "url", "--emulated", "--emulator-port", port]
    done = CliRunner().invoke(cli, ["--project-dir", str(project.folder), *arguments])
    assert done.output == f"{option}={port} is not a port: choose a number from 1 to 65535.\n"


def test_a_busy_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = refused("emulator", "--port", str(port), folder=tmp_path)
    assert line == f"Port {port} is in use: choose another, for example --port={port + 1}."


NOBODY = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "No region is set: choose one, for example AWS_DEFAULT_REGION=us-east-1."),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "No AWS credentials are set: run `aws configure`"),
        ({"AWS_PROFILE": "nobody"}, "The AWS settings cannot be used: The config profile (nobody)"),
        (NOBODY | {"AWS_ENDPOINT_URL": "127.0.0.1"}, "The AWS settings cannot be used: Invalid"),
        (
            NOBODY | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "http://127.0.0.1:9 does not respond: is it running?",
        ),
    ],
)
@pytest.mark.parametrize("command", ["deploy", "url", "logs", "delete"])
def test_unusable_aws_settings_are_refused(
    project: TestProject, command: str, environment: dict[str, str], line: str
) -> None:
    assert refused(command, folder=project.folder, **environment).startswith(line)


def test_every_command_has_help() -> None:
    assert set(cli.commands) == {*COMMANDS, "emulator", "install"}
    for command in cli.commands.values():
        assert command.help


def test_an_app_that_is_none_of_chalice_s_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")  # the import sets it, too
    (tmp_path / "app.py").write_text("app = 5")
    with pytest.raises(Refusal, match=r"`app` in app\.py is not a Chalice app"):
        load_app(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({"profile": "work"}, "aws --profile work x"),
        ({"emulator": "http://127.0.0.1:4000"}, "aws --endpoint-url http://127.0.0.1:4000 x"),
        ({}, "aws x"),
    ],
)
def test_a_hint_to_aws_s_command_line_stays_in_the_same_aws(
    options: dict[str, Any], command: str
) -> None:
    assert replace(Project(Path("/")), **options).aws_command("x") == command


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (True, "make deploy STAGE=prod AWS_PROFILE='my work'"),
        (False, "chalicekit --project-dir / deploy --stage prod --profile 'my work'"),
    ],
)
def test_a_hint_goes_to_the_account_that_the_user_named(make: bool, command: str) -> None:
    project = Project(Path("/"), "prod", profile="my work", make=make)
    assert project.command("deploy") == command
