"""`make`: the commands that it runs, and what it never does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MAKEFILE = (Path(__file__).parent.parent / "Makefile").read_text()
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """What make prints in a folder whose virtual environment has a Python that only talks."""
    python = tmp_path / "venv/bin/python"
    for path in (tmp_path / "kit/requirements.txt", tmp_path / "kit/pyproject.toml", python):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    python.write_text(f"#!{sys.executable} -I\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    (tmp_path / "Makefile").write_text(MAKEFILE)

    def run(*arguments: str, status: int = 0, **variables: str) -> str:
        env = {"PATH": os.environ["PATH"], **variables}
        done = subprocess.run(["make", *arguments], cwd=tmp_path, env=env, capture_output=True)
        assert done.returncode == status
        return (done.stdout + done.stderr).decode()

    return run


def test_make_lists_its_commands(make: Make) -> None:
    (commands,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert re.findall(r"^  make (\w+) +[A-Z]", make(), re.MULTILINE) == commands.split()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("url", "url --stage dev"),
        ("logs STAGE=prod", "logs --stage prod"),
        ("deploy AWS=emulated", "deploy --stage dev --emulated --emulator-port 4566"),
        ("run PORT=8000", "local --host 127.0.0.1 --port 8000 --stage dev"),
        ("run AWS_PROFILE=me", "local --host 127.0.0.1 --port 3000 --stage dev --profile me"),
        ("emulator AWS_PORT=4000", "emulator --port 4000"),
    ],
)
def test_make_runs_the_kit(make: Make, arguments: str, command: str) -> None:
    printed = make("VENV=venv", *arguments.split())
    assert json.loads(printed) == ["-m", "chalicekit", "--make", *command.split()]


@pytest.mark.parametrize("stage", ["x;touch made", "$(shell touch made)", "`touch made`", "'\"&"])
def test_a_variable_is_never_executed(make: Make, tmp_path: Path, stage: str) -> None:
    assert json.loads(make("VENV=venv", "url", f"STAGE={stage}"))[-1] == stage
    assert json.loads(make("VENV=venv", "url", STAGE=stage))[-1] == stage
    assert not (tmp_path / "made").exists()


def test_a_mistake_is_named(make: Make) -> None:
    assert "Unknown AWS=local. Use AWS=emulated, or leave" in make("url", "AWS=local", status=2)
    assert "choose Python 3.10 to 3.14" in make("url", "PYTHON=nothing", status=2)
