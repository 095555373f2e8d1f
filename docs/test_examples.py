"""The examples of growing.md, pasted one after another into an app that has nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from chalicekit import local
from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.project import Project
from chalicekit.pytest_plugin import EmulatedAws
from chalicekit.variables import client_variables

PROJECT = Path(__file__).parent.parent
FILES = [
    "pyproject.toml",
    *(f".chalice/{name}.json" for name in ("config", "policy-dev", "policy-prod")),
    *(f"chalicelib/{name}.py" for name in ("__init__", "express", "logs")),
]
APP = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["app_name"]
NEW = {
    "app.py": f'''\
"""The routes."""

from chalicelib.express import ExpressApp

app = ExpressApp("{APP}")
''',
    "tests/test_app.py": '''\
"""The routes in process."""

from chalice.test import Client

from app import app
''',
}
PAGE = (PROJECT / "docs" / "growing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# Each command with what it prints
COMMANDS = [
    (command, printed)
    for kind, text in EXAMPLES
    if kind == "console"
    for command, printed in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", text, re.MULTILINE)
]
needs_aws_cli = pytest.mark.skipif(
    not shutil.which("aws")
    or bool(subprocess.run(["aws", "--version"], capture_output=True).returncode),
    reason="the AWS CLI is not installed",
)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with all examples, and with its requirements installed."""
    folder = tmp_path_factory.mktemp("grown")
    for name in (".chalice", "chalicelib", "tests"):
        (folder / name).mkdir()
    for name in FILES:
        shutil.copy(PROJECT / name, folder / name)
    for name, code in NEW.items():
        (folder / name).write_text(code, encoding="utf-8")
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
    first, *lines = example.splitlines(keepends=True)
    path = folder / first.removeprefix("# ").strip()
    if not path.exists():
        path.write_text("".join(lines), encoding="utf-8")
        return
    docstring, end, code = path.read_text(encoding="utf-8").partition('"""\n\n')
    imports = list(takewhile(re.compile("import |from |\n").match, lines))
    rest = ["\n\n", *lines[len(imports) :]] if lines[len(imports) :] else []
    path.write_text("".join([docstring, end, *imports, code, *rest]), encoding="utf-8")


def paste_settings(folder: Path, example: dict[str, Any]) -> None:
    """Add a statement to the policies, or an object to the settings or the resources."""
    names = [name for name in ("stages", "Resources", "Effect") if name in example]
    if names == ["Effect"]:
        for stage in ("dev", "prod"):
            path = folder / f"policy-{stage}.json"
            policy = json.loads(path.read_text(encoding="utf-8"))
            text = json.dumps(example).replace(f"{APP}-dev", f"{APP}-{stage}")
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


def run(folder: Path, *command: str) -> None:
    """Run a Python program in `folder` as make does; it must succeed."""
    packages = str(folder / "build" / "requirements" / "here")
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": packages, "MYPYPATH": packages},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy"])
def test_the_examples_are_as_lint_wants_them(grown: Path, tool: str) -> None:
    run(grown, *tool.split())


def test_the_tests_of_the_examples_pass(grown: Path) -> None:
    run(grown, "pytest", "-q", "tests/test_app.py", "tests/test_links.py")


def test_the_page_quotes_what_make_run_says_about_calls_of_aws() -> None:
    (advice,) = set(local.advice_by_error(Project(PROJECT, make=True)).values())
    assert advice in PAGE


@pytest.fixture(scope="module")
def deployed(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    """An emulated AWS that has the app, the secret and the uploaded file."""
    with EmulatorProcess() as aws:
        project = Project(grown, emulator=aws.url)
        emulated = EmulatedAws(project, tmp_path_factory.mktemp("build"))
        assert emulated.deployed_url
        for command, _ in COMMANDS:
            if "aws " in command:
                environment = os.environ | client_variables(aws.url)
                subprocess.run(["bash", "-c", command], env=environment, check=True)
        yield emulated


@needs_aws_cli
@pytest.mark.parametrize("where", ["served", "deployed"])
def test_curl_prints_what_the_page_shows(deployed: EmulatedAws, where: str) -> None:
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
