"""The command line: what it refuses, in one line and with exit status 1 or 2, and its hints."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from click.testing import CliRunner

from chalicekit.cli import cli
from chalicekit.errors import Refusal
from chalicekit.load import load_app
from chalicekit.project import Project
from tests.sample import Sample, refusal

COMMANDS = [["local"], ["package", "out"], ["deploy"], ["url"], ["logs"], ["delete"]]


def test_every_command_has_help() -> None:
    for command in cli.commands.values():
        assert command.help


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_no_project_is_refused(sample: Sample, command: list[str]) -> None:
    (sample.folder / ".chalice" / "config.json").unlink()
    line = f"{sample.folder} is not a Chalice project: it has no .chalice/config.json."
    assert sample.refusal(*command) == line


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_stage_is_refused(sample: Sample, command: list[str]) -> None:
    line = sample.refusal(*command, stage="prd")
    assert line == "Stage prd is not in .chalice/config.json: choose dev or prod."


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ('{"version": "2.0"', "is not valid JSON: Expecting ',' delimiter: line 1 column 18"),
        ("[]", "is not valid JSON: it must hold an object"),
        ('{"stages": 5}', "stages must be an object."),
        ('{"stages": {"dev": 5}}', "stages.dev must be an object."),
        ('{"stages": {}}', 'Stage dev is not in .chalice/config.json: add it to "stages" there.'),
    ],
)
def test_settings_that_cannot_be_read_are_refused(sample: Sample, config: str, line: str) -> None:
    sample.write(".chalice/config.json", config)
    assert line in refusal(lambda: sample.project().config)


@pytest.mark.parametrize("port", ["fd:0", "0", "65536", "٣", ""])
@pytest.mark.parametrize(("make", "option"), [(["--make"], "AWS_PORT"), ([], "--emulator-port")])
def test_what_is_no_port_is_refused(make: list[str], option: str, port: str) -> None:
    done = CliRunner().invoke(cli, [*make, "url", "--emulated", "--emulator-port", port])
    assert done.output == f"{option}={port} is not a port: choose a number from 1 to 65535.\n"


def test_a_busy_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = CliRunner().invoke(cli, ["emulator", "--port", str(port)])
    line = f"Port {port} is in use: choose another, for example --port={port + 1}.\n"
    assert (done.output, done.exit_code) == (line, 1)


NOBODY = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "No region is set: choose one, for example AWS_DEFAULT_REGION=us-east-1."),
        (
            {"AWS_DEFAULT_REGION": "us-east-1"},
            "No AWS credentials are set: run `aws configure`, or try the emulated AWS: "
            "`chalicekit --project-dir FOLDER deploy --emulated`.",
        ),
        (
            {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "No AWS credentials are set: run `aws configure`, or try the emulated AWS: "
            "`chalicekit --project-dir FOLDER deploy --emulated`.",
        ),
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
    sample: Sample, command: str, environment: dict[str, str], line: str
) -> None:
    printed = sample.refusal(command, emulated=False, **environment)
    assert printed.replace(str(sample.folder), "FOLDER").startswith(line)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("app = 5", r"`app` in app\.py is not a Chalice app\.$"),
        ("\nimport lib", "app.py, line 2: vendor/lib.py, line 1: ZeroDivisionError"),
        ("import required", "app.py, line 1: ZeroDivisionError"),
    ],
)
def test_an_app_that_cannot_be_imported_is_refused_with_the_place_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setenv("AWS_CHALICE_CLI_MODE", "true")  # the import sets it, too
    for name in ("lib", "required"):  # which other tests import
        monkeypatch.delitem(sys.modules, name, raising=False)
    files = {"app.py": code, "vendor/lib.py": "1 / 0", "packages/required.py": "1 / 0"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(Refusal, match=f"^The app cannot be imported: {reason}"):
        load_app(tmp_path, tmp_path / "packages")


EMULATED = "http://127.0.0.1:4566"
OTHER_PORT = "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    ("name", "chosen", "make", "kit"),
    [
        ("deploy", {}, "make deploy", "deploy"),
        ("deploy", {"stage": "prod"}, "make deploy STAGE=prod", "deploy --stage prod"),
        ("deploy", {"emulator": EMULATED}, "make deploy AWS=emulated", "deploy --emulated"),
        ("deploy", {"emulator": EMULATED, "configured": Session()}, "make deploy", "deploy"),
        (
            "url",
            {"emulator": OTHER_PORT},
            "make url AWS=emulated AWS_PORT=4000",
            "url --emulated --emulator-port 4000",
        ),
        (
            "url",
            {"profile": "my work"},
            "make url AWS_PROFILE='my work'",
            "url --profile 'my work'",
        ),
        ("emulator", {"emulator": EMULATED, "stage": "prod"}, "make emulator", "emulator"),
        (
            "emulator",
            {"emulator": OTHER_PORT},
            "make emulator AWS_PORT=4000",
            "emulator --port 4000",
        ),
    ],
)
def test_a_hint_repeats_what_the_user_chose(
    name: str, chosen: dict[str, Any], make: str, kit: str
) -> None:
    assert Project(Path("/"), make=True, **chosen).command(name) == make
    assert Project(Path("/"), **chosen).command(name) == f"chalicekit --project-dir / {kit}"
    assert Project(Path.cwd(), **chosen).command(name) == f"chalicekit {kit}"


@pytest.mark.parametrize(
    ("chosen", "command"),
    [
        ({"profile": "work"}, "aws --profile work x"),
        ({"emulator": OTHER_PORT}, "aws --endpoint-url http://127.0.0.1:4000 x"),
        ({"emulator": OTHER_PORT, "configured": Session(), "profile": "w"}, "aws --profile w x"),
        ({}, "aws x"),
    ],
)
def test_a_hint_to_aws_s_command_line_stays_in_the_same_aws(
    chosen: dict[str, Any], command: str
) -> None:
    assert Project(Path("/"), **chosen).aws_command("x") == command


def test_a_process_of_its_own_gets_what_the_user_chose() -> None:
    project = Project(Path("/app"), "prod", OTHER_PORT, make=True, build_dir=Path("/build"))
    kit = [sys.executable, "-m", "chalicekit", "--project-dir", "/app", "--build-dir", "/build"]
    options = ["--emulated", "--emulator-port", "4000", "--stage", "prod"]
    assert project.argv("local", "--port", "0") == [
        *kit,
        "--make",
        "local",
        *options,
        "--port",
        "0",
    ]
