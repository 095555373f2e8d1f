"""The examples of growing.md, pasted one after another into an app that has nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.hints import hints_by_error
from chalicekit.project import Project
from chalicekit.pytest_plugin import EmulatedAws
from chalicekit.variables import client_variables

PROJECT = Path(__file__).parent.parent
APP = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["app_name"]
COPIED = ["pyproject.toml"]
COPIED += [f".chalice/{name}.json" for name in ("config", "policy-dev", "policy-prod")]
COPIED += [f"chalicelib/{name}.py" for name in ("__init__", "express", "logs")]
NEW_APP = f'''\
"""The routes."""

from chalicelib.express import ExpressApp

app = ExpressApp("{APP}")
'''
NEW_TESTS = '''\
"""The routes in process."""

from chalice.test import Client

from app import app
'''
PAGE = (PROJECT / "docs" / "growing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CONSOLE = "".join(text for kind, text in EXAMPLES if kind == "console")


class Command(NamedTuple):
    """A command of the page, and what the page shows that it prints."""

    text: str
    printed: str

    def runs(self, program: str) -> bool:
        """Tell whether it runs a program."""
        return program in self.text.split()


# A line after `$ `, and the lines below it up to the next `$`
COMMANDS = [Command(*found) for found in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", CONSOLE, re.M)]


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with all examples, and with its requirements installed."""
    folder = tmp_path_factory.mktemp("grown")
    for name in (".chalice", "chalicelib", "tests"):
        (folder / name).mkdir()
    for name in COPIED:
        shutil.copy(PROJECT / name, folder / name)
    (folder / "app.py").write_text(NEW_APP, encoding="utf-8")
    (folder / "tests" / "test_app.py").write_text(NEW_TESTS, encoding="utf-8")
    for kind, text in EXAMPLES:
        if kind == "python":
            paste_code(folder, text)
        elif kind == "json":
            paste_settings(folder / ".chalice", text)
    for command in COMMANDS:
        if not any(map(command.runs, ("make", "curl", "aws"))):  # it edits the project
            subprocess.run(["bash", "-c", command.text], cwd=folder, check=True)
    run(folder, "chalicekit install")
    run(folder, "ruff check --select I --fix-only")  # as `make format`
    return folder


def paste_code(folder: Path, example: str) -> None:
    """Put an example into the file that its first line names: the imports to the top."""
    first, *lines = example.splitlines(keepends=True)
    path = folder / first.removeprefix("# ").strip()
    if not path.exists():
        path.write_text("".join(lines), encoding="utf-8")
        return
    imports = "".join(takewhile(re.compile("import |from |\n").match, lines))
    code = "".join(lines).removeprefix(imports)
    docstring, old = path.read_text(encoding="utf-8").split('"""\n\n', 1)
    text = f'{docstring}"""\n\n{imports}{old}'
    if code:
        text += f"\n\n{code}"
    path.write_text(text, encoding="utf-8")


def paste_settings(folder: Path, example: str) -> None:
    """Add a statement to both policies, or an object to the resources or the settings."""
    added = json.loads(example)
    if "Effect" in added:
        for stage in ("dev", "prod"):
            statement = json.loads(example.replace(f"{APP}-dev", f"{APP}-{stage}"))
            policy = json.loads((folder / f"policy-{stage}.json").read_text(encoding="utf-8"))
            policy["Statement"].append(statement)
            (folder / f"policy-{stage}.json").write_text(json.dumps(policy), encoding="utf-8")
    elif "Resources" in added:
        merge_into(folder / "resources.json", added)
    else:
        merge_into(folder / "config.json", added)


def merge_into(path: Path, added: Any) -> None:
    """Merge an object into a file of JSON, which may not exist yet."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(merged(old, added)), encoding="utf-8")


def merged(old: Any, new: Any) -> Any:
    """Return an object with what another one adds."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: merged(old.get(key, {}), value) for key, value in new.items()}


def run(folder: Path, command: str) -> None:
    """Run a Python program in `folder` as make does; it must succeed."""
    packages = str(folder / "build" / "requirements" / "here")
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": packages, "MYPYPATH": packages},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "ruff check",
        "ruff format --check",
        "mypy",
        "pytest -q tests/test_app.py tests/test_links.py",
    ],
)
def test_the_grown_app_passes_lint_and_its_tests(grown: Path, command: str) -> None:
    run(grown, command)


def test_the_page_quotes_what_make_run_says_about_calls_of_aws() -> None:
    (hint,) = set(hints_by_error(Project(PROJECT, make=True)).values())
    assert hint in PAGE


@pytest.mark.skipif(
    subprocess.run("aws --version", shell=True, capture_output=True).returncode != 0,
    reason="the AWS CLI does not run",
)
def test_curl_prints_what_the_page_shows(grown: Path, tmp_path: Path) -> None:
    with EmulatorProcess() as process:
        aws = EmulatedAws(Project(grown, emulator=process.url), tmp_path)
        deployed_url = aws.deployed_url
        for command in COMMANDS:
            if command.runs("aws"):
                variables = os.environ | client_variables(aws.url)
                subprocess.run(["bash", "-c", command.text], env=variables, check=True)
        with aws.served() as served_url:
            for url in (served_url, deployed_url):
                for command in COMMANDS:
                    if command.runs("curl"):
                        text = command.text.replace("http://127.0.0.1:3000", url)
                        is_printed(text, command.printed)


def is_printed(command: str, expected: str) -> None:
    """Run a command until it prints what is expected; fail if that takes a minute."""
    deadline = time.monotonic() + 60
    printed = None
    while printed != expected.strip():
        assert time.monotonic() < deadline, f"{command}\n{printed}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        printed = done.stdout.strip()
        time.sleep(0.2)
