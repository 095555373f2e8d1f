"""The pipeline, and the commands of docs/production.md, in the emulated AWS."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from chalicekit.pytest_plugin import EmulatedAws
from production.shared import APP, PROJECT, Template, outputs_of, read

WORKFLOW = yaml.safe_load(read(".github/workflows/deploy.yml"))
JOBS = WORKFLOW["jobs"]
SCRIPTS = {step["name"]: step["run"] for step in JOBS["prod"]["steps"] if "run" in step}
WHY = "Print why the deploy failed, the newest first"
STACK = f"{APP}-prod"
needs_aws_cli = pytest.mark.skipif(
    subprocess.run("aws --version", shell=True, capture_output=True).returncode != 0,
    reason="the AWS CLI does not run",
)


def test_only_the_jobs_that_call_aws_get_credentials_and_prod_runs_no_repository_code() -> None:
    asking = {name for name, job in JOBS.items() if "id-token" in job["permissions"]}
    calling = {name for name, job in JOBS.items() if "configure-aws-credentials" in str(job)}
    assert asking == calling == {"dev", "prod"}
    assert not any("checkout" in step.get("uses", "") for step in JOBS["prod"]["steps"])
    assert JOBS["prod"]["needs"] == ["package", "dev"]


def test_every_python_that_the_kit_accepts_is_tested() -> None:
    strategy = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["test"]["strategy"]
    assert strategy["matrix"]["python"] == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.10,<3.15"' in read("kit/pyproject.toml")


def run(script: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash as GitHub does, in the emulated AWS; all that it prints is in stdout."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


TEXT = {"Type": "String"}
QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${App}-${Stage}-q"}}}
RESOURCES = {"Parameters": {"App": TEXT, "Stage": TEXT}, "Resources": {"Queue": QUEUE}}


class ProdJob:
    """The pipeline's job for prod, up to `Deploy`. A test may change the package's template."""

    def __init__(self, package: Path, folder: Path) -> None:
        """Put into `folder` what the job downloads: the package and the app's resources."""
        self.folder = folder
        shutil.copytree(package, folder, dirs_exist_ok=True)
        (folder / "resources.json").write_text(json.dumps(RESOURCES), encoding="utf-8")
        for own in PROJECT.glob(".chalice/resources.*"):
            (folder / "resources.json").unlink(missing_ok=True)
            shutil.copy(own, folder)
        self.template: Template = json.loads((folder / "sam.json").read_text(encoding="utf-8"))

    def run(self) -> tuple[bool, str]:
        """Run the job; return whether it succeeds, and what its last step prints."""
        template = json.dumps(self.template)
        (self.folder / "sam.json").write_text(template, encoding="utf-8")
        variables = {
            "STACK": STACK,
            "BUCKET": "prod-packages",
            "EXECUTION_ROLE_ARN": "arn:aws:iam::000000000000:role/execution",
            "ALARM_EMAIL": "you@example.com",
        }
        for name, script in SCRIPTS.items():
            done = run(script, self.folder, **variables)
            if done.returncode:
                return False, done.stdout + run(SCRIPTS[WHY], self.folder, **variables).stdout
            if name == "Deploy":
                return True, done.stdout
        raise ValueError("The job has no step Deploy.")


@pytest.fixture
def prod_job(emulated_aws: EmulatedAws, package: Path, tmp_path: Path) -> Iterator[ProdJob]:
    """The job for prod; its stack is deleted after the test."""
    emulated_aws.client("s3").create_bucket(Bucket="prod-packages")
    yield ProdJob(package, tmp_path)
    # The resources stay: deleting their stack keeps the data, and a new stack would not take it.
    emulated_aws.client("cloudformation").delete_stack(StackName=STACK)


@needs_aws_cli
def test_the_pipeline_says_why_a_first_deploy_failed_and_the_next_run_recovers(
    emulated_aws: EmulatedAws, prod_job: ProdJob
) -> None:
    def stack() -> Any:
        stacks = emulated_aws.client("cloudformation")
        return stacks.describe_stacks(StackName=STACK)["Stacks"][0]

    resources = prod_job.template["Resources"]
    url_of_nobody = {"TargetFunctionArn": "nobody", "AuthType": "NONE"}
    resources["Broken"] = {"Type": "AWS::Lambda::Url", "Properties": url_of_nobody}
    succeeds, printed = prod_job.run()
    assert not succeeds
    assert re.search(r"Broken.*not found: nobody", printed)
    assert stack()["StackStatus"] == "ROLLBACK_COMPLETE"
    del resources["Broken"]
    succeeds, printed = prod_job.run()
    assert succeeds, printed
    assert stack()["StackStatus"] == "CREATE_COMPLETE"
    assert {"Key": "stage", "Value": "prod"} in stack()["Tags"]


@needs_aws_cli
def test_running_the_job_of_an_earlier_package_again_rolls_back(
    emulated_aws: EmulatedAws, prod_job: ProdJob
) -> None:
    for memory in (256, 1024, 256):
        prod_job.template["Resources"]["APIHandler"]["Properties"]["MemorySize"] = memory
        succeeds, printed = prod_job.run()
        assert succeeds, printed
        name = outputs_of(emulated_aws, STACK)["APIHandlerName"]
        function = emulated_aws.client("lambda").get_function_configuration(FunctionName=name)
        assert function["MemorySize"] == memory


def commands_below(sentence: str) -> str:
    """Return the first commands of the production page below what is in a sentence or heading."""
    (below,) = read("docs/production.md").split(sentence)[1:]
    return below.split("```sh\n")[1].split("```")[0]


@needs_aws_cli
def test_the_commands_of_the_production_page_work_in_the_emulated_aws(
    emulated_aws: EmulatedAws, tmp_path: Path
) -> None:
    for name in ("app.py", "chalicelib", ".chalice", "production", "requirements.txt", "Makefile"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    resources = tmp_path / ".chalice" / "resources.json"
    resources.write_text(json.dumps(RESOURCES), encoding="utf-8")
    account = commands_below("## The account\n")
    data = commands_below("deploy the resources first")
    deploy = commands_below("Then package and deploy:")
    look = commands_below("The outputs list the")
    delete = commands_below("Deleting a stack deletes its logs.")
    # What the page says about trying all this on your machine
    account = account.replace("AlarmEmail=you@example.com MonthlyBudget=50", "OidcProviderArn=any")
    emulated = f"AWS=emulated AWS_PORT={emulated_aws.url.rpartition(':')[2]}"
    look = look.replace("make logs STAGE=prod", f"make logs STAGE=prod {emulated}")
    for commands in (account, data, deploy, deploy, look):
        done = run(commands, tmp_path, MAKEFLAGS=f"VENV={sys.prefix}")
        assert done.returncode == 0, done.stdout
    assert emulated_aws.client("sqs").get_queue_url(QueueName=f"{STACK}-q")
    api = outputs_of(emulated_aws, STACK)["RestAPIId"]
    url = f"{emulated_aws.url}/_aws/execute-api/{api}/prod"
    assert requests.get(url + WORKFLOW["env"]["CHECKED_PATH"], timeout=60).status_code == 200
    unknown = requests.get(f"{url}/nothing-is-here", timeout=60)
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    tags = emulated_aws.client("apigateway").get_rest_api(restApiId=api)["tags"]
    assert tags["stage"] == "prod"  # what the deployers' policies deny
    assert run(delete, tmp_path).returncode == 0
    stacks = emulated_aws.client("cloudformation")
    for name in ("prod-resources", "bootstrap"):
        assert stacks.describe_stacks(StackName=f"{APP}-{name}")
        stacks.delete_stack(StackName=f"{APP}-{name}")
