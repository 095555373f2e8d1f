"""`chalicekit local`: what the app gets, what a user is told, and what is refused."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ProfileNotFound
from chalice import Chalice, CognitoUserPoolAuthorizer

from chalicekit.errors import Refusal
from chalicekit.hints import hint_for, hints_by_error
from chalicekit.local import open_routes, variables_for
from chalicekit.ports import free_port, usable_port
from chalicekit.project import Project
from tests.processes import is_listening
from tests.sample import Sample

LIST_TABLES = "__import__('boto3').client('dynamodb').list_tables()['TableNames']"


# What the app gets


def test_the_app_has_its_host_folder_and_variables(offline: Sample) -> None:
    offline.change('"a sample"', "f\"{os.environ['LEVEL']} {os.getcwd()}\"")
    options = ("--stage", "prod", "--host", "127.0.0.2", "--no-autoreload")
    with offline.serve(*options) as running:
        assert running.url == f"http://127.0.0.2:{running.port}"
        assert not is_listening(running.port)  # on 127.0.0.1
        assert running.get() == f"INFO {offline.folder}"


def test_an_app_that_calls_aws_logs_one_line_that_says_what_to_do(offline: Sample) -> None:
    offline.change('"a sample"', LIST_TABLES)
    home = offline.folder.parent
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = own\naws_secret_access_key = own\n"
    )
    with offline.serve(HOME=str(home), AWS_PROFILE="default") as running:
        assert "InternalServerError" in running.get()
        lines = [line for line in running.printed().splitlines() if "GET" not in line]
    assert len(lines) == 2
    assert re.search(
        r"app.py, line \d+: The app calls AWS, and has no account here: run "
        rf"`chalicekit --project-dir {offline.folder} local --emulated` for an emulated one, or add"
        " --profile NAME for yours.$",
        lines[1],
    )


def test_the_app_reaches_the_emulated_aws(tmp_path: Path, aws: str) -> None:
    sample = Sample(tmp_path / "project", aws)
    sample.change('"a sample"', LIST_TABLES)
    with sample.serve("--no-autoreload") as running:
        assert isinstance(json.loads(running.get()), list)
        assert "Found credentials" not in running.printed()


@pytest.mark.parametrize(
    ("emulator", "profile", "expected"),
    [
        ("", "", {"AWS_CONFIG_FILE": "/dev/null", "AWS_REGION": "eu-west-1"}),
        ("", "mine", {"AWS_PROFILE": "mine", "AWS_REGION": "eu-west-1"}),
        ("http://127.0.0.1:1", "", {"AWS_ACCESS_KEY_ID": "test", "AWS_REGION": "us-east-1"}),
        ("http://127.0.0.1:1", "mine", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}),
    ],
)
def test_an_account_is_only_used_if_the_user_names_its_profile(
    monkeypatch: pytest.MonkeyPatch,
    offline: Sample,
    emulator: str,
    profile: str,
    expected: dict[str, str],
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "DEFAULT_PROFILE"):
        monkeypatch.setenv(f"AWS_{name}", "own")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    variables = variables_for(Project(offline.folder, emulator=emulator, profile=profile))
    assert "own" not in variables.values()
    assert expected.items() <= variables.items()
    assert variables["LEVEL"] == "DEBUG"


def test_a_hint_names_make_s_commands_and_the_cause_decides_on_it() -> None:
    def hint(cause: Exception, **options: Any) -> str:
        error = ValueError()
        error.__cause__ = cause
        return hint_for(error, hints_by_error(Project(Path("/"), make=True, **options)))

    unreachable = EndpointConnectionError(endpoint_url="")
    assert "run `make run AWS=emulated` for an emulated one" in hint(NoCredentialsError())
    assert "add AWS_PROFILE=NAME for yours" in hint(ProfileNotFound(profile="a"))
    assert "is `make emulator` running?" in hint(unreachable, emulator="http://127.0.0.1:4566")
    assert hint(unreachable) == hint(NoCredentialsError(), profile="mine") == ""


def test_routes_that_are_open_here_are_named() -> None:
    app = Chalice("app")
    pool = CognitoUserPoolAuthorizer("pool", provider_arns=["arn"])
    own = app.authorizer()(lambda request: None)
    app.route("/pool", authorizer=pool)(print)
    app.route("/key", api_key_required=True)(print)
    app.route("/own", authorizer=own)(print)
    app.route("/")(print)
    assert open_routes(app) == ["/pool", "/key"]


# What is refused


@pytest.mark.parametrize("port", ["", "abc", "0", "65536", "٣٠٠٠"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(Refusal, match="is not a port: choose a number from 1 to 65535"):
        usable_port(port, "PORT")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^192.0.2.1 is not an IPv4 address of this machine: use 12"):
        usable_port(str(free_port()), "PORT", "192.0.2.1")


def test_an_empty_address_is_refused(offline: Sample) -> None:
    refusal = offline.refusal("local", "--host", "", "--port", "0")
    assert refusal.startswith("No address is given: use 127.0.0.1, or")


def test_a_busy_port_is_refused(offline: Sample) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert offline.refusal("local", "--port", port).startswith(f"Port {port} is in use: ")


def test_a_mistake_ends_the_command_if_it_does_not_restart(offline: Sample) -> None:
    offline.change("import os", "import nothing")
    line = offline.refusal("local", "--port", "0", "--no-autoreload")
    assert line.startswith("The app cannot be imported: app.py, line 3: ModuleNotFoundError: ")
