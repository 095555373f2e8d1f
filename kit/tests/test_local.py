"""`chalicekit local`: the app on this machine, which restarts when the code changes."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from chalice import Chalice, CognitoUserPoolAuthorizer
from watchfiles import Change

from chalicekit.errors import Refusal
from chalicekit.local import advice_by_error, advice_for, is_code, open_routes, variables_for
from chalicekit.ports import usable_port
from chalicekit.project import Project
from tests.processes import free_port, is_listening, wait_until
from tests.project import TestProject
from tests.wheels import make_wheel


@pytest.fixture
def project(tmp_path: Path) -> TestProject:
    """A project without an AWS."""
    return TestProject(tmp_path / "project")


# The address


@pytest.mark.parametrize("port", ["", "abc", "0", "-1", "65536", "80.5", "٣٠٠٠", "fd:0"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(Refusal, match="is not a port: choose a number from 1 to 65535"):
        usable_port(port, "PORT")


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(
        Refusal, match=f"^{host} is not an IPv4 address of this machine: use 127.0.0.1"
    ):
        usable_port(str(free_port()), "PORT", host)


def test_host_is_the_address_to_listen_on(project: TestProject) -> None:
    with project.serve("--host", "127.0.0.2", "--no-autoreload") as running:
        assert running.printed() == f"Serving on http://127.0.0.2:{running.port}\n"
        assert not is_listening(running.port)  # on 127.0.0.1


def test_a_busy_port_is_refused(project: TestProject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert project.refusal("local", "--port", port).startswith(f"Port {port} is in use: ")


# Changes


def test_a_change_of_the_code_restarts_the_server(project: TestProject) -> None:
    with project.serve() as running:
        assert running.get() == "a sample"
        project.change("a sample", "a change")
        wait_until(lambda: running.get() == "a change")


@pytest.mark.parametrize("folder", ["chalicelib/new", "vendor/new"])
def test_a_change_in_a_new_folder_restarts_the_server(project: TestProject, folder: str) -> None:
    module = folder.removeprefix("vendor/").replace("/", ".")
    with project.serve() as running:
        project.write(f"{folder}/text.py", 'TEXT = "old"\n')
        project.change("import os", f"import os\nfrom {module}.text import TEXT")
        project.change('"a sample"', "TEXT")
        wait_until(lambda: running.get() == "old")
        project.write(f"{folder}/text.py", 'TEXT = "new"\n')
        wait_until(lambda: running.get() == "new")


@pytest.mark.parametrize(
    ("path", "is_watched"),
    [
        ("app.py", True),
        ("settings.py", True),
        ("chalicelib/page.html", True),
        ("vendor/a/b.py", True),
        (".chalice/config.json", True),
        ("requirements.txt", True),
        (".chalice/deployed", False),
        ("chalicelib/__pycache__/a.pyc", False),
        ("build", False),
        ("README.md", False),
        (".git", False),
    ],
)
def test_what_the_app_consists_of_is_watched(path: str, is_watched: bool) -> None:
    project = Path("/home/me/.git/node_modules/project")  # what is around it does not matter
    assert is_code(project, Change.modified, str(project / path)) == is_watched


def test_a_new_requirement_is_installed(project: TestProject) -> None:
    wheel = make_wheel(project.folder, "extra", {"extra.py": 'TEXT = "from extra"'})
    project.change('"a sample"', "__import__('extra').TEXT")
    with project.serve() as running:
        assert "from extra" not in running.get()
        project.write("requirements.txt", f"./{wheel.name}\n")
        wait_until(lambda: running.printed().count("Serving on ") == 2)
        assert running.get() == "from extra"


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("app.py", "import os", "import", "The app cannot be imported: SyntaxError: .*line 3\\)"),
        ("app.py", "import os", "import no", "The app cannot be imported: app.py, line 3: .*"),
        (".chalice/config.json", '"stages"', "x", ".chalice/config.json is not valid JSON: .*"),
        ("app.py", '"/"', '"/a/"', "The app cannot be served: Route cannot end with a .*"),
    ],
)
def test_a_mistake_is_one_line_and_waits_for_its_correction(
    project: TestProject, file: str, old: str, new: str, line: str
) -> None:
    with project.serve() as running:
        correct = (project.folder / file).read_text()
        project.change(old, new, file)
        wait_until(lambda: "Waiting for a change.\n" in running.printed())
        _, seen, _ = running.printed().splitlines()
        assert re.fullmatch(line, seen)
        project.write(file, correct)
        wait_until(lambda: running.get() == "a sample")


def test_a_mistake_ends_the_command_if_it_does_not_restart(project: TestProject) -> None:
    project.change("import os", "import nothing")
    line = project.refusal("local", "--port", "0", "--no-autoreload")
    assert line.startswith("The app cannot be imported: app.py, line 3: ModuleNotFoundError: ")


# The app's environment


def test_the_app_has_its_stage_s_variables_and_folder(project: TestProject) -> None:
    project.change('"a sample"', "f\"{os.environ['LEVEL']} {os.getcwd()}\"")
    with project.serve("--no-autoreload", "--stage", "prod") as running:
        assert running.get() == f"INFO {project.folder}"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a developer who has an AWS account."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "PROFILE", "DEFAULT_PROFILE"):
        monkeypatch.setenv(f"AWS_{name}", "own")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


@pytest.mark.usefixtures("machine")
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
    project: TestProject, emulator: str, profile: str, expected: dict[str, str]
) -> None:
    environment = variables_for(Project(project.folder, emulator=emulator, profile=profile))
    assert "own" not in environment.values()
    assert expected.items() <= environment.items()
    assert environment["LEVEL"] == "DEBUG"


def test_an_app_that_calls_aws_logs_one_line_that_says_what_to_do(project: TestProject) -> None:
    project.append(
        "\n\n@app.route('/tables')\ndef tables():\n    import boto3\n"
        "    return boto3.client('dynamodb').list_tables()['TableNames']\n"
    )
    home = project.folder.parent / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = own\naws_secret_access_key = own\n"
    )
    with project.serve(HOME=str(home), AWS_PROFILE="default") as running:
        assert "InternalServerError" in running.get("/tables")
        lines = [line for line in running.printed().splitlines() if "GET" not in line]
    assert len(lines) == 2
    assert re.search(r"app.py, line \d+: The app calls AWS, and has no account here: ", lines[1])
    command = f"chalicekit --project-dir {project.folder} local --emulated"
    assert f"run `{command}` for an emulated one, or add --profile NAME for yours." in lines[1]


def test_advice_names_make_s_commands_and_the_cause() -> None:
    class ProfileNotFound(Exception):  # noqa: N818
        """As botocore's."""

    error = ValueError()
    error.__cause__ = ProfileNotFound()
    advice = advice_for(error, advice_by_error(Project(Path("/"), make=True)))
    assert "`make run AWS=emulated`" in advice
    assert "add AWS_PROFILE=NAME" in advice
    assert advice_for(ValueError(), advice_by_error(Project(Path("/")))) == ""
    assert advice_for(error, advice_by_error(Project(Path("/"), profile="mine"))) == ""


@pytest.mark.parametrize("option", ["--autoreload", "--no-autoreload"])
def test_nothing_is_written_beside_the_code(project: TestProject, option: str) -> None:
    project.write("chalicelib/__init__.py", "")
    project.append("import chalicelib\n")
    with project.serve(option) as running:
        wait_until(lambda: running.get() != "")
        assert not list(project.folder.rglob("__pycache__"))


def test_the_app_reaches_the_emulated_aws(tmp_path: Path, aws: str) -> None:
    project = TestProject(tmp_path / "project", aws)
    project.change('"a sample"', "__import__('boto3').client('sts').get_caller_identity()['Arn']")
    with project.serve("--no-autoreload") as running:
        assert running.get().startswith("arn:aws:")
        assert "Found credentials" not in running.printed()


def test_an_emulated_aws_that_is_not_there_is_named(project: TestProject) -> None:
    project.change('"a sample"', "__import__('boto3').client('sts').get_caller_identity()['Arn']")
    project.aws = f"http://127.0.0.1:{free_port()}"
    project.configure("dev", environment_variables={"AWS_MAX_ATTEMPTS": "1"})
    with project.serve("--no-autoreload") as running:
        running.get()
        assert f"{project.aws} does not respond: is `chalicekit" in running.printed()


def test_routes_that_are_open_here_are_named(project: TestProject) -> None:
    app = Chalice("app")
    pool = CognitoUserPoolAuthorizer("pool", provider_arns=["arn"])
    own = app.authorizer()(lambda request: None)
    app.route("/pool", authorizer=pool)(print)
    app.route("/key", api_key_required=True)(print)
    app.route("/own", authorizer=own)(print)
    app.route("/")(print)
    assert open_routes(app) == ["/pool", "/key"]


# The end


@pytest.mark.parametrize("option", ["--autoreload", "--no-autoreload"])
def test_the_server_ends_with_its_parent(project: TestProject, option: str) -> None:
    port = free_port()
    command = project.command("local", "--port", str(port), option)
    # The shell is the parent, as make is.
    shell = subprocess.Popen(["sh", "-c", '"$@"; true', "sh", *command], env=project.environment)
    try:
        wait_until(lambda: is_listening(port))
    finally:
        shell.kill()
        shell.wait()
    wait_until(lambda: not is_listening(port), seconds=10)


def test_the_server_ends_with_the_process_that_restarts_it(project: TestProject) -> None:
    with project.serve() as running:
        running.process.kill()
        wait_until(lambda: not is_listening(running.port), seconds=10)


@pytest.mark.parametrize("delay", [0, 0.1, 0.4])
def test_ctrl_c_just_after_a_change_ends_it_silently(project: TestProject, delay: float) -> None:
    with project.serve() as running:
        before = running.printed()
        (project.folder / "app.py").touch()
        time.sleep(delay)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(timeout=10) == 0
        assert set(running.printed().splitlines()) == set(before.splitlines())
    assert not is_listening(running.port)


# In a terminal

# Gives a program a terminal of its own.
LOGIN = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A terminal that runs a command."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        """Start the command."""
        self.keyboard, screen = os.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *command],
            env=environment,
            stdin=screen,
            stdout=screen,
            stderr=screen,
        )
        os.close(screen)

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """Return what was shown up to and with a text."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {self.shown!r}"
            if select.select([self.keyboard], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self.keyboard, 4096).decode()
                except OSError:  # the command has ended
                    assert text in self.shown, self.shown
        seen, found, self.shown = self.shown.partition(text)
        return seen + found

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self.keyboard, text.encode())

    def close(self) -> None:
        """End the command."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=10)
        os.close(self.keyboard)


@contextmanager
def in_terminal(project: TestProject, option: str) -> Iterator[tuple[Terminal, str]]:
    """Run `chalicekit local` in a terminal until the block ends; yield it and the server's URL."""
    command = project.command("local", "--port", "0", option)
    terminal = Terminal(command, project.environment | {"TERM": "xterm"})
    try:
        terminal.wait_for("Serving on ")
        yield terminal, terminal.wait_for("\n").strip()
    finally:
        terminal.close()


@pytest.mark.parametrize("option", ["--autoreload", "--no-autoreload"])
def test_a_debugger_reads_from_the_terminal(project: TestProject, option: str) -> None:
    project.append('\n\n@app.route("/stop")\ndef stop():\n    breakpoint()\n    return "went on"\n')
    with in_terminal(project, option) as (terminal, url), ThreadPoolExecutor() as pool:
        response = pool.submit(requests.get, f"{url}/stop", timeout=30)
        terminal.wait_for("(Pdb) ")
        terminal.type("p 6 * 7\n")
        assert "42" in terminal.wait_for("(Pdb) ")
        terminal.type("c\n")
        assert response.result(timeout=30).text == "went on"


def test_a_change_ends_a_debugger_and_leaves_the_terminal_as_it_was(project: TestProject) -> None:
    project.append('\n\n@app.route("/stop")\ndef stop():\n    breakpoint()\n')
    with in_terminal(project, "--autoreload") as (terminal, url), ThreadPoolExecutor() as pool:
        before = termios.tcgetattr(terminal.keyboard)
        response = pool.submit(requests.get, f"{url}/stop", timeout=30)
        terminal.wait_for("(Pdb) ")
        project.append("\n")
        terminal.wait_for("Serving on ")
        assert isinstance(response.exception(timeout=30), requests.ConnectionError)
        assert termios.tcgetattr(terminal.keyboard) == before


@pytest.mark.parametrize("option", ["--autoreload", "--no-autoreload"])
def test_ctrl_c_ends_it_silently(project: TestProject, option: str) -> None:
    with in_terminal(project, option) as (terminal, _):
        terminal.type("\x03")
        assert terminal.process.wait(timeout=10) == 0
        assert terminal.wait_for("^C").strip() == "^C"


def test_a_log_of_json_is_for_people_in_a_terminal_only(project: TestProject) -> None:
    record = {"level": "ERROR", "message": "failed", "stackTrace": ["Traceback:", "  File x"]}
    project.change('return "a sample"', f"print({json.dumps(json.dumps(record))})")
    with in_terminal(project, "--no-autoreload") as (terminal, url):
        requests.get(url, timeout=10)
        assert "ERROR" in terminal.wait_for("failed")
        assert terminal.wait_for("  File x").splitlines()[1:] == ["    Traceback:", "      File x"]
    with project.serve("--no-autoreload") as running:
        running.get()
        assert json.dumps(record) in running.printed()
