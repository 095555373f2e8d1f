"""A temporary project that a test runs, packages and deploys to the emulated AWS."""

import copy
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from chalice.config import Config

from tests.processes import REPOSITORY, free_port, serving
from chalicekit.settings import DEFAULTS

SAMPLE = REPOSITORY / "tests" / "sample"
# The files that a project needs in addition to its app
MACHINERY = (
    "Makefile",
    "emulated",
    "tools",
    "requirements-dev.txt",
    "chalicelib/__init__.py",
    "chalicelib/express.py",
    "chalicelib/logs.py",
)
MAKE_RUN, EMULATED_AWS = "make run", "emulated AWS"
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
CHALICE = str(Path(sys.executable).with_name("chalice"))
NO_CACHES = shutil.ignore_patterns("__pycache__", "deployed", "deployments")


class Project:
    """A project folder, and the commands to run in it."""

    def __init__(self, folder: Path, app: Path = SAMPLE) -> None:
        """Copy the files to `folder`, and give the app a unique name."""
        self.folder = folder
        self.environment = dict(os.environ)
        self.venv = Path(sys.prefix)  # make installs nothing into it
        for name in MACHINERY:
            copy_files(REPOSITORY / name, folder / name)
        for name in ("app.py", "chalicelib", ".chalice", "requirements.txt", "vendor"):
            if (app / name).exists():
                copy_files(app / name, folder / name)
        config = folder / ".chalice" / "config.json"
        app_name = json.loads(config.read_text(encoding="utf-8"))["app_name"]
        self.name = f"{app_name}-{uuid.uuid4().hex[:8]}"
        for path in [folder / "app.py", *folder.glob(".chalice/*.json")]:
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(app_name, self.name), encoding="utf-8")

    def copy(self, folder: Path) -> "Project":
        """Return a copy of the project in `folder`, with everything that it has built."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = copy.copy(self)
        other.folder, other.environment = folder, {**self.environment}
        return other

    def change(self, old: str, new: str, file: str = "app.py") -> None:
        """Edit a file; `old` must be in it."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        (self.folder / file).write_text(text.replace(old, new), encoding="utf-8")

    def append(self, code: str) -> None:
        """Add code to `app.py`."""
        with (self.folder / "app.py").open("a", encoding="utf-8") as file:
            file.write(code)

    def run(self, *command: str, stdin: str = "", **environment: str) -> str:
        """Run a command that must succeed; return what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def make_command(self, target: str, stage: str = "dev", aws: str = "emulated") -> list[str]:
        """Return `make TARGET STAGE=... AWS=...` as users type it, with this environment."""
        port = self.environment["AWS_ENDPOINT_URL"].rpartition(":")[2]
        return [
            "make",
            target,
            f"STAGE={stage}",
            f"AWS={aws}",
            f"AWS_PORT={port}",
            f"VENV={self.venv}",
        ]

    def make(self, target: str, stage: str = "dev", **environment: str) -> str:
        """Run a target that must succeed; return what it prints."""
        return self.run(*self.make_command(target, stage), **environment)

    def refusal(self, target: str, stage: str = "dev", **environment: str) -> str:
        """Run a target that must fail; return its message without make's own last line."""
        done = subprocess.run(
            self.make_command(target, stage),
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert done.returncode != 0, done.stdout
        return "".join(
            line for line in done.stderr.splitlines(keepends=True) if not line.startswith("make")
        )

    def chalice(self, *arguments: str, **options: Any) -> str:
        """Run `chalice` itself; return what it prints."""
        return self.run(CHALICE, *arguments, **options)

    def deploy(self, stage: str = "dev") -> str:
        """Deploy; return the URL without a slash at its end."""
        return self.make("deploy", stage).split()[-1].rstrip("/")

    @contextmanager
    def served(self, place: str, stage: str = "dev") -> Iterator[str]:
        """Serve the app under `make run`, or deploy it to the emulated AWS; yield its URL."""
        if place == EMULATED_AWS:
            yield self.deploy(stage)
        else:
            port = free_port()
            command = [str(self.venv / "bin" / "python"), "-m", "chalicekit.local", str(port), stage]
            with serving(command, port, self.folder):
                yield f"http://127.0.0.1:{port}"

    def settings(self, stage: str = "dev") -> Config:
        """Return a stage's settings."""
        config = json.loads((self.folder / ".chalice" / "config.json").read_text(encoding="utf-8"))
        return Config(stage, config_from_disk=config, default_params=DEFAULTS)

    def package(self, stage: str = "dev") -> Path:
        """Package for AWS itself; return the folder of the package."""
        self.run(*self.make_command("package", stage, aws=""), AWS_ENDPOINT_URL="")
        return self.folder / "build"

    def left_in_aws(self) -> dict[str, int]:
        """Return how many APIs, functions and roles of this project are in AWS."""
        apis = client("apigateway").get_rest_apis(limit=500)["items"]
        functions = client("lambda").get_paginator("list_functions").paginate().build_full_result()
        roles = client("iam").get_paginator("list_roles").paginate().build_full_result()
        names = {
            "apis": [api["name"] for api in apis],
            "functions": [function["FunctionName"] for function in functions["Functions"]],
            "roles": [role["RoleName"] for role in roles["Roles"]],
        }
        return {kind: sum(self.name in name for name in found) for kind, found in names.items()}


def copy_files(source: Path, target: Path) -> None:
    """Copy a file or a folder without its caches."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=NO_CACHES, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def git(folder: Path, *arguments: str) -> None:
    """Run git, which must succeed, with a made-up identity."""
    somebody = ("-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *somebody, *arguments], cwd=folder, check=True, capture_output=True)


SESSION = Session()  # it reads each service's model only once


@cache
def client(service: str, **options: Any) -> Any:
    """Return a client of the emulated AWS; `options` are those of botocore's `create_client`."""
    return SESSION.create_client(service, **options)
