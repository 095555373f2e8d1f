"""`make`: the commands that it runs, and what it never does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parent.parent / "Makefile"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and a virtual environment whose Python prints its arguments."""
    (tmp_path / "Makefile").write_text(MAKEFILE.read_text())
    (tmp_path / "kit").mkdir()
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / "kit" / name).touch()
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable} -I\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    python.chmod(0o755)
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run make to its end, without the variables of a `make test` that runs this."""
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_make_lists_its_commands(folder: Path) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    assert phony
    listed = re.findall(r"^  make (\w+) +[A-Z]", make(folder).stdout, re.MULTILINE)
    assert listed == phony[1].split()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["url"], "url --stage dev"),
        (["logs", "STAGE=prod"], "logs --stage prod"),
        (["deploy", "AWS=emulated"], "deploy --stage dev --emulated --emulator-port 4566"),
        (["run", "PORT=8000"], "local --host 127.0.0.1 --port 8000 --stage dev"),
        (["run", "AWS_PROFILE=me"], "local --host 127.0.0.1 --port 3000 --stage dev --profile me"),
        (["emulator", "AWS_PORT=4000"], "emulator --port 4000"),
    ],
)
def test_make_runs_the_kit(folder: Path, arguments: list[str], command: str) -> None:
    printed = make(folder, "VENV=venv", *arguments).stdout
    assert json.loads(printed) == ["-m", "chalicekit", "--make", *command.split()]


@pytest.mark.parametrize("stage", ["x;touch made", "$(shell touch made)", "`touch made`", "'\"&"])
def test_a_variable_is_never_executed(folder: Path, stage: str) -> None:
    for made in (
        make(folder, "VENV=venv", "url", f"STAGE={stage}"),
        make(folder, "VENV=venv", "url", STAGE=stage),
    ):
        assert json.loads(made.stdout)[-1] == stage
    assert not (folder / "made").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("AWS=local", "Unknown AWS=local. Use AWS=emulated, or leave AWS unset"),
        ("PYTHON=nothing", "nothing does not run: choose Python 3.10 to 3.14"),
    ],
)
def test_a_mistake_is_named(folder: Path, argument: str, message: str) -> None:
    made = make(folder, "url", argument)
    assert made.returncode != 0
    assert message in made.stderr
