"""A sample of a Chalice project for a test, and the kit's commands in it."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from chalicekit.errors import Refusal
from chalicekit.project import Project
from tests.emulated import client
from tests.processes import Server, serving

CHALICE = str(Path(sys.executable).with_name("chalice"))
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

APP = '''\
"""The app that tests run, package and deploy: as small as one can be."""

import os  # for what tests add

from chalice import Chalice

app = Chalice(app_name="NAME")


@app.route("/")
def index():
    return "a sample"
'''
WRITE_LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]

# What AWS lists, and how that is named
LISTS = [
    ("lambda", "list_functions", "Functions", "FunctionArn"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"),
    ("iam", "list_roles", "Roles", "Arn"),
    ("events", "list_rules", "Rules", "Arn"),
    ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    ("apigateway", "get_rest_apis", "items", "name"),
    ("apigateway", "get_domain_names", "items", "domainName"),
    ("apigatewayv2", "get_apis", "Items", "Name"),
]
# A resource of the template `.chalice/resources.json`
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "DeletionPolicy": "Retain",
    "UpdateReplacePolicy": "Retain",
    "Properties": {
        "TableName": {"Fn::Sub": "${App}-${Stage}-links"},
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "code", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "code", "KeyType": "HASH"}],
    },
}

STAGES = {
    "dev": {"api_gateway_stage": "dev", "environment_variables": {"LEVEL": "DEBUG"}},
    "prod": {"api_gateway_stage": "prod", "environment_variables": {"LEVEL": "INFO"}},
}


class Sample:
    """A project in `folder` with a name of its own, deployed to the emulated AWS at `aws`."""

    def __init__(self, folder: Path, aws: str = "", app: str = APP) -> None:
        """Write the project: the code `app` in app.py, and two stages, dev and prod."""
        self.folder, self.aws = folder, aws
        self.name = f"sample-{uuid.uuid4().hex[:8]}"
        self.environment = dict(os.environ)
        self.write("app.py", app.replace("NAME", self.name))
        config = {"app_name": self.name, "autogen_policy": False, "stages": STAGES}
        self.write(".chalice/config.json", json.dumps({"version": "2.0", **config}))
        for stage in STAGES:
            logs = f"arn:*:logs:*:*:log-group:/aws/lambda/{self.name}-{stage}*"
            self.allow({"Effect": "Allow", "Action": WRITE_LOGS, "Resource": logs}, stage)

    def write(self, file: str, text: str) -> Path:
        """Write a file; return its path."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def append(self, code: str) -> None:
        """Add code to the app."""
        self.write("app.py", (self.folder / "app.py").read_text(encoding="utf-8") + code)

    def change(self, old: str, new: str, file: str = "app.py") -> None:
        """Edit a file; `old` must be in it."""
        text = (self.folder / file).read_text(encoding="utf-8")
        assert old in text
        self.write(file, text.replace(old, new))

    def configure(self, stage: str = "", **settings: Any) -> None:
        """Change settings of a stage, or those of all stages."""
        config = json.loads((self.folder / ".chalice" / "config.json").read_text())
        place = config["stages"][stage] if stage else config
        place |= settings
        self.write(".chalice/config.json", json.dumps(config))

    def allow(self, statement: dict[str, Any], stage: str = "dev") -> None:
        """Add a statement to a stage's policy."""
        path = self.folder / ".chalice" / f"policy-{stage}.json"
        old = json.loads(path.read_text())["Statement"] if path.exists() else []
        policy = {"Version": "2012-10-17", "Statement": [*old, statement]}
        self.write(f".chalice/policy-{stage}.json", json.dumps(policy))

    def declare(self, **resources: Any) -> None:
        """Write the template of the resources, by their logical ids."""
        parameters = {"App": {"Type": "String"}, "Stage": {"Type": "String"}}
        template = {"Parameters": parameters, "Resources": resources}
        self.write(".chalice/resources.json", json.dumps(template))

    def project(self, stage: str = "dev") -> Project:
        """Return the kit's value for this project."""
        return Project(self.folder, stage, self.aws)

    def command(
        self, name: str, *arguments: str, stage: str = "dev", emulated: bool = True
    ) -> list[str]:
        """Return the command line of a command of the kit, in the emulated AWS if `emulated`."""
        return Project(self.folder, stage, self.aws if emulated else "").argv(name, *arguments)

    def execute(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            command,
            cwd="/",  # it must not matter
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def run(
        self, *command: str, stage: str = "dev", emulated: bool = True, **environment: str
    ) -> str:
        """Run a command of the kit that must succeed; return what it prints."""
        done = self.execute(*self.command(*command, stage=stage, emulated=emulated), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refusal(
        self, *command: str, stage: str = "dev", emulated: bool = True, **environment: str
    ) -> str:
        """Run a command of the kit that must fail with one line; return that line."""
        done = self.execute(*self.command(*command, stage=stage, emulated=emulated), **environment)
        assert done.returncode in (1, 2), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.strip()

    def serve(self, *arguments: str, **environment: str) -> AbstractContextManager[Server]:
        """Run `chalicekit local` on any port until the block ends."""
        command = self.command("local", "--port", "0", *arguments)
        return serving(command, self.folder.parent / "log", self.environment | environment)

    def deploy(self) -> str:
        """Deploy; return the URL without a slash at its end."""
        self.run("deploy")
        return self.run("url").split()[0].rstrip("/")

    def package(self, *arguments: str, stage: str = "dev", **environment: str) -> Path:
        """Package for AWS itself; return the folder of the package."""
        out = self.folder / "out"
        self.run("package", str(out), *arguments, stage=stage, emulated=False, **environment)
        return out

    def in_aws(self) -> list[str]:
        """Return the names of all that AWS has of this project, except logs and data."""
        names = [
            item[name]
            for service, operation, key, name in LISTS
            for item in client(self.aws, service)
            .get_paginator(operation)
            .paginate()
            .build_full_result()[key]
        ]
        return sorted(name for name in names if self.name in name)


def refusal(call: Callable[..., object], *arguments: object) -> str:
    """Return the line with which a call refuses."""
    with pytest.raises(Refusal) as refused:
        call(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def git(folder: Path, *arguments: str) -> None:
    """Run git, which must succeed, with a made-up identity."""
    somebody = ("-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *somebody, *arguments], cwd=folder, check=True, capture_output=True)
