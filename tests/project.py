"""A copy of the project, under a name of its own, that a test deploys to the emulated AWS."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from botocore.session import Session

from tests.processes import CHALICE, PROJECT

NAME_INSTANCE = """
import os

@app.middleware("http")
def name_instance(request, get_response):
    response = get_response(request)
    response.headers["X-Instance"] = str(os.getpid())
    return response
"""


class Project:
    """A folder with the project's files; the commands that are run in it, and what AWS then has."""

    def __init__(self, folder: Path) -> None:
        """Copy to `folder` what git would track, but for the tests."""
        self.folder = folder
        self.name = f"hello-{uuid.uuid4().hex[:8]}"
        self.environment = dict(os.environ)
        folder.mkdir()
        for name in ("app.py", "requirements.txt"):
            shutil.copy(PROJECT / name, folder)
        for name in ("chalicelib", ".chalice", "tools", "emulated"):
            ignored = shutil.ignore_patterns("__pycache__", "deployed", "deployments")
            shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
        for file in ("app.py", *(f".chalice/{it.name}" for it in folder.glob(".chalice/*.json"))):
            self.change("hello-chalice", self.name, file)

    def change(self, old: str, new: str, file: str = "app.py") -> None:
        """Edit a file; `old` must be in it."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def append(self, code: str) -> None:
        """Add code to `app.py`."""
        with (self.folder / "app.py").open("a") as file:
            file.write(code)

    def make(self, command: str, stage: str = "dev", **environment: str) -> str:
        """Run the command behind `make deploy` and the like; return what it prints."""
        return self.run(sys.executable, "-m", "tools.deploy", command, stage, **environment)

    def chalice(self, *arguments: str, **options: Any) -> str:
        """Run `chalice` itself; return what it prints."""
        return self.run(CHALICE, *arguments, **options)

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

    def deploy(self, stage: str = "dev") -> str:
        """Deploy; return the address, with no slash at its end."""
        return self.make("deploy", stage).split()[-1].rstrip("/")

    def package(self, stage: str = "dev") -> Path:
        """Run the command behind `make package`; return the folder of what it makes."""
        folder = self.folder / "build"
        self.run(sys.executable, "-m", "tools.package", "records", "package", stage, str(folder))
        return folder

    def left_in_aws(self) -> dict[str, int]:
        """Return how many APIs, functions and roles AWS has of this project."""
        apis = aws("apigateway").get_rest_apis(limit=500)["items"]
        functions = aws("lambda").get_paginator("list_functions").paginate().build_full_result()
        roles = aws("iam").get_paginator("list_roles").paginate().build_full_result()
        names = {
            "apis": [api["name"] for api in apis],
            "functions": [function["FunctionName"] for function in functions["Functions"]],
            "roles": [role["RoleName"] for role in roles["Roles"]],
        }
        return {what: sum(self.name in it for it in found) for what, found in names.items()}


def aws(service: str) -> Any:
    """Return a client of the emulated AWS."""
    return Session().create_client(service)
