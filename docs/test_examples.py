"""The examples of growing.md, pasted one after another into a copy of the app."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicekit.emulator.on_demand import EmulatedAws, client_environment
from chalicekit.project import Project
from chalicekit.pytest_plugin import Emulated

PROJECT = Path(__file__).parent.parent
APP = (".chalice", "app.py", "chalicelib", "pyproject.toml", "requirements.txt", "tests")
PAGE = (PROJECT / "docs" / "growing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# Each command with what it prints
COMMANDS = [
    (command, printed)
    for kind, text in EXAMPLES
    if kind == "console"
    for command, printed in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", text, re.MULTILINE)
]
needs_aws_cli = pytest.mark.skipif(not shutil.which("aws"), reason="the AWS CLI is not installed")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the app with all examples, and with its requirements installed."""
    folder = tmp_path_factory.mktemp("grown")
    for name in APP:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    for kind, text in EXAMPLES:
        if kind == "python":
            paste_code(folder, text)
        elif kind == "json":
            paste_settings(folder / ".chalice", json.loads(text))
    for command, _ in COMMANDS:
        if not re.search("make |curl |aws ", command):
            subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    run(folder, "chalicekit", "install")
    run(folder, "ruff", "check", "--select", "I", "--fix-only")
    return folder


def paste_code(folder: Path, example: str) -> None:
    """Put the imports of an example to the top of its file, and the rest to the end."""
    first, _, code = example.partition("\n")
    path = folder / first.removeprefix("# ")
    lines = code.splitlines(keepends=True)
    imports = [
        node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    end = imports[-1].end_lineno if imports and path.exists() else 0
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    top = ast.parse(text).body[0].end_lineno if text else 0  # the docstring
    old = text.splitlines(keepends=True)
    rest = "".join(lines[end:]).strip()
    parts = [*old[:top], "\n", *lines[:end], *old[top + 1 :], "\n\n" if rest else "", rest, "\n"]
    path.write_text("".join(parts).strip() + "\n", encoding="utf-8")


def paste_settings(folder: Path, example: dict[str, Any]) -> None:
    """Add a statement to the policies, or an object to the settings or the resources."""
    names = [name for name in ("stages", "Resources", "Effect") if name in example]
    if names == ["Effect"]:
        for stage in ("dev", "prod"):
            path = folder / f"policy-{stage}.json"
            policy = json.loads(path.read_text(encoding="utf-8"))
            text = json.dumps(example).replace("hello-chalice-dev", f"hello-chalice-{stage}")
            policy["Statement"].append(json.loads(text))
            path.write_text(json.dumps(policy), encoding="utf-8")
    else:
        path = folder / {"stages": "config.json", "Resources": "resources.json"}[names[0]]
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        path.write_text(json.dumps(merged(known, example)), encoding="utf-8")


def merged(old: Any, new: Any) -> Any:
    """Return an object with what another one adds."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: merged(old.get(key, {}), value) for key, value in new.items()}


def run(folder: Path, *command: str) -> str:
    """Run a Python program in `folder` as make does; it must succeed. Return what it prints."""
    packages = str(folder / "build" / "requirements" / "here")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": packages, "MYPYPATH": packages},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy"])
def test_the_examples_are_as_lint_wants_them(grown: Path, tool: str) -> None:
    run(grown, *tool.split())


def test_the_tests_of_the_examples_pass(grown: Path) -> None:
    run(grown, "pytest", "-q", "tests/test_app.py", "tests/test_links.py")


@pytest.fixture(scope="module")
def deployed(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """An emulated AWS that has the app, the secret and the uploaded file."""
    with EmulatedAws() as aws:
        project = Project(grown, emulator=aws.url)
        emulated = Emulated(project, tmp_path_factory.mktemp("build"))
        assert emulated.deployed_url
        for command, _ in COMMANDS:
            if "aws " in command:
                environment = os.environ | client_environment(aws.url)
                subprocess.run(["bash", "-c", command], env=environment, check=True)
        yield emulated


@needs_aws_cli
@pytest.mark.parametrize("where", ["served", "deployed"])
def test_curl_prints_what_the_page_shows(deployed: Emulated, where: str) -> None:
    with deployed.served() as local_url:
        url = local_url if where == "served" else deployed.deployed_url
        for command, expected in COMMANDS:
            if "curl " in command:
                is_printed(command.replace("http://127.0.0.1:3000", url), expected)


def is_printed(command: str, expected: str) -> None:
    """Run a command until it prints what is expected; fail if that takes a minute."""
    deadline = time.monotonic() + 60
    while True:
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        if done.stdout.strip() == expected.strip():
            return
        assert time.monotonic() < deadline, f"{command}\n{done.stdout}"
        time.sleep(0.5)
