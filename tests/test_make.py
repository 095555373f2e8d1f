"""`make`: the commands that it runs, and what it never does."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """What make prints where the Python of the virtual environment prints its arguments."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("""#!/bin/sh\nprintf '%s ' "$@"\n""")
    python.chmod(0o755)
    shutil.copy(MAKEFILE, tmp_path)

    def run(*arguments: str, **variables: str) -> str:
        env = {"PATH": os.environ["PATH"], **variables}
        command = ["make", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    return run


def test_make_lists_its_commands(make: Make) -> None:
    (commands,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)
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
    assert make("VENV=venv", *arguments.split()) == f"-m chalicekit --make {command} "


@pytest.mark.parametrize("stage", ["x;touch made", "$(shell touch made)", "`touch made`", "'\"&"])
def test_a_variable_is_never_executed(make: Make, tmp_path: Path, stage: str) -> None:
    printed = f"-m chalicekit --make url --stage {stage} "
    assert make("VENV=venv", "url", f"STAGE={stage}") == printed
    assert make("VENV=venv", "url", STAGE=stage) == printed
    printed = f"-m chalicekit --make url --stage dev --profile {stage} "
    assert make("VENV=venv", "url", f"AWS_PROFILE={stage}") == printed
    assert not (tmp_path / "made").exists()


def test_a_mistake_is_named(make: Make) -> None:
    assert "Unknown AWS=local. Use AWS=emulated, or leave" in make("url", "AWS=local")
    assert "choose Python 3.10 to 3.14" in make(".venv/none/bin/python", "PYTHON=nothing")
