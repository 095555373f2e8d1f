"""`make`: the values that it passes on, the environment that it gives, and how its commands end."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, free_port, is_listening, wait_until
from tests.project import Project

MADE_UP = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def stand_in(folder: Path) -> Path:
    """Return a virtual environment whose Python prints its environment."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    code = "import json, os\nprint(json.dumps({**os.environ}))\n"
    python.write_text(f"#!{sys.executable} -I\n{code}")
    python.chmod(0o755)
    return folder


def environment_of(project: Project, *arguments: str, **environment: str) -> dict[str, str]:
    """Return the environment that `make url` gives to its program."""
    venv = stand_in(project.folder / "stand-in")
    printed = project.run("make", "url", f"VENV={venv}", *arguments, **environment)
    variables: dict[str, str] = json.loads(printed)
    return variables


def test_make_lists_its_commands() -> None:
    listed = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert phony
    commands = [name for name in phony[1].split() if not name.endswith("-tools")]
    assert re.findall(r"^  make (\w+) +[A-Z]", listed.stdout, re.MULTILINE) == commands


@pytest.mark.parametrize("stage", ["x;touch made", "$(shell touch made)", "`touch made`", "'\"&"])
@pytest.mark.parametrize("target", ["package", "run", "url"])
def test_a_variable_is_never_executed(project: Project, target: str, stage: str) -> None:
    assert f"STAGE={stage} is not in .chalice/config.json" in project.refusal(target, stage)
    assert not (project.folder / "made").exists()


def test_a_variable_of_the_environment_is_never_executed(project: Project) -> None:
    stage = "$(shell touch made)`touch made`;touch made"
    assert environment_of(project, STAGE=stage)["STAGE"] == stage
    assert not (project.folder / "made").exists()


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    project = Project(tmp_path / "a b;touch made&$HOME'")
    assert sorted(path.name for path in project.package().iterdir())[0] == "deployment.zip"
    assert not list(tmp_path.glob("**/made"))


def test_a_program_sees_only_the_emulated_aws(project: Project) -> None:
    real = dict.fromkeys(MADE_UP, "real") | {
        "AWS_PROFILE": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": "real",
        "AWS_SHARED_CREDENTIALS_FILE": "real",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    }
    seen = environment_of(project, "AWS=emulated", "AWS_PORT=4000", "AWS_PROFILE=real", **real)
    assert {name: seen[name] for name in seen if name.startswith("AWS_")} == MADE_UP | {
        "AWS_PORT": "4000",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def test_without_the_emulated_aws_the_environment_passes_through(project: Project) -> None:
    assert environment_of(project, AWS_PROFILE="mine")["AWS_PROFILE"] == "mine"


def test_variables_that_move_python_s_files_are_removed(project: Project) -> None:
    moved = {"PYTHONPATH": "x", "PIP_TARGET": "x", "PIP_USER": "1", "PIP_DRY_RUN": "1"}
    assert not environment_of(project, **moved).keys() & moved.keys()


@pytest.mark.xdist_group("emulated AWS")
def test_only_the_emulated_aws_is_contacted(project: Project, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        config = tmp_path / ".aws" / "config"
        config.parent.mkdir()
        config.write_text(
            f"[default]\nendpoint_url = {url}\n[profile real]\nendpoint_url = {url}\n"
        )
        variables = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_LAMBDA")
        proxies = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
        hostile = dict.fromkeys([*variables, *proxies], url) | {
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(config),
            "AWS_PROFILE": "real",
            "NO_PROXY": "",
            "no_proxy": "",
        }
        assert project.environment["AWS_ENDPOINT_URL"] in project.make("deploy", **hostile)
        assert not select.select([elsewhere], [], [], 0)[0]


def test_an_unknown_aws_is_refused(project: Project) -> None:
    done = subprocess.run(
        ["make", "url", "AWS=local"], cwd=project.folder, capture_output=True, text=True
    )
    assert done.returncode
    assert (
        "AWS=local is not known: write AWS=emulated, or omit it for your AWS account" in done.stderr
    )


def test_format_puts_the_code_into_its_style(project: Project) -> None:
    shutil.copy(REPOSITORY / "pyproject.toml", project.folder)
    (project.folder / "app.py").write_text("import sys\nimport os\nprint( sys,os )\n")
    project.make("format")
    assert (project.folder / "app.py").read_text() == "import os\nimport sys\n\nprint(sys, os)\n"


def test_lint_reads_only_your_code(project: Project) -> None:
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(REPOSITORY / name, project.folder)
    for folder in ("tools", "emulated", "chalicelib"):
        shutil.rmtree(project.folder / folder)
    (project.folder / "app.py").write_text('"""Typed wrongly."""\n\nnumber: int = "a"\n')
    for folder in ("vendor/lib", "venv/lib", "build/dev", ".venv/3.11"):
        (project.folder / folder).mkdir(parents=True)
        (project.folder / folder / "bad.py").write_text("import os, sys\nx: int = ''\n")
    done = subprocess.run(
        project.make_command("lint"), cwd=project.folder, capture_output=True, text=True
    )
    assert re.findall(r"^\S+\.py.*error", done.stdout, re.MULTILINE) == ["app.py:3: error"], (
        done.stdout + done.stderr
    )


def test_clean_removes_builds_and_keeps_records(project: Project) -> None:
    for name in ("build/dev", ".venv/3.11", ".mypy_cache", ".chalice/deployed"):
        (project.folder / name).mkdir(parents=True)
    project.make("clean")
    kept = [
        project.folder / name for name in ("build", ".venv", ".mypy_cache", ".chalice/deployed")
    ]
    assert [path.exists() for path in kept] == [False, False, False, True]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("target", ["run", "emulator"])
def test_a_server_ends_with_make(project: Project, target: str, end: signal.Signals) -> None:
    port = free_port()
    command = [*project.make_command(target), f"PORT={port}", f"AWS_PORT={port}"]
    make = subprocess.Popen(
        command, cwd=project.folder, stdout=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: is_listening(port))
    if end is signal.SIGHUP:  # a terminal that is closed sends it to all
        os.killpg(make.pid, end)
    else:
        make.send_signal(end)
    wait_until(lambda: not is_listening(port), seconds=5)
    make.wait(timeout=10)
