"""The policy in `production/` for who deploys: enough for every command, and no more."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.model import OperationModel

from chalicekit.deploy import delete, deploy
from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.iam import allows, as_list
from chalicekit.logs import logs
from chalicekit.project import Project
from production.shared import APP, PROJECT, read

Policy = dict[str, Any]
IN_PLACE = "arn:aws:{}:us-east-1:123456789012:{}"
ROLE = "arn:aws:iam::123456789012:role/{}"


def narrower() -> Policy:
    """Return the policy that the command of docs/deploying.md prints.

    In the text of the other one, it deletes the statement Roles and puts dev for all stages.
    """
    (command,) = re.findall(r"```sh\n(sed .*?)```", read("docs/deploying.md"), re.DOTALL)
    printed = subprocess.check_output(["bash", "-c", command], cwd=PROJECT, text=True)
    policy: Policy = json.loads(printed)
    return policy


POLICY: Policy = json.loads(read("production/deployer-policy.json"))
NARROWER = narrower()


def statements(policy: Policy) -> dict[str, Any]:
    """Return the statements of a policy by their names."""
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_the_policy_fits_into_a_parameter_of_a_stack() -> None:
    compact = re.sub(r"[ \n]", "", read("production/deployer-policy.json"))
    assert json.loads(compact) == POLICY
    assert len(compact) <= 4096


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("lambda:UpdateFunctionCode", IN_PLACE.format("lambda", f"function:{APP}-prod")),
        ("logs:FilterLogEvents", IN_PLACE.format("logs", f"log-group:/aws/lambda/{APP}-prod")),
        ("events:PutRule", IN_PLACE.format("events", f"rule/{APP}-prod-tick-event")),
        ("dynamodb:DeleteTable", IN_PLACE.format("dynamodb", f"table/{APP}-prod-links")),
        ("cloudformation:DeleteStack", IN_PLACE.format("cloudformation", f"stack/{APP}-prod/1")),
        ("iam:PassRole", ROLE.format(f"{APP}-prod-function-us-east-1")),
        ("iam:PassRole", ROLE.format(f"{APP}-dev-api_handler")),
        ("iam:CreateRole", ROLE.format(f"{APP}-dev-function-us-east-1")),
        ("dynamodb:GetItem", IN_PLACE.format("dynamodb", f"table/{APP}-dev-links")),
        ("s3:GetObject", f"arn:aws:s3:::{APP}-dev-files/a"),
        ("sqs:ReceiveMessage", IN_PLACE.format("sqs", f"{APP}-dev-jobs")),
    ],
)
def test_the_narrower_policy_reaches_neither_prod_nor_roles_nor_data(
    action: str, resource: str
) -> None:
    assert not allows(NARROWER, action, resource)


def test_a_deployer_may_only_read_an_api_with_prod_s_tag() -> None:
    allowed, denied = statements(POLICY)["Apis"], statements(POLICY)["NotProdsApi"]
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"StringEquals": {"aws:ResourceTag/stage": "prod"}}
    assert set(allowed["Action"]) - set(denied["Action"]) == {"apigateway:GET"}
    assert denied["Resource"] == "arn:*:apigateway:*::/restapis/*"


# A function of each kind. Streams are like queues; each has the same calls.
EVERY_KIND = f"""
from chalice import Chalice
app = Chalice("{APP}")

@app.authorizer()
def guard(request): ...

@app.route("/", authorizer=guard)
def index(): ...

@app.schedule("rate(1 day)")
def tick(event): ...

@app.on_cw_event({{"source": ["aws.s3"]}})
def arrived(event): ...

@app.on_sqs_message(queue="{APP}-dev-jobs")
def work(event): ...

@app.on_sns_message(topic="{APP}-dev-news")
def told(event): ...

@app.on_s3_event(bucket="{APP}-dev-files")
def stored(event): ...
"""
RESOURCES = {
    "Jobs": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{APP}-dev-jobs"}},
    "News": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{APP}-dev-news"}},
    "Files": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"{APP}-dev-files"}},
}
DEV = {"api_gateway_stage": "dev", "autogen_policy": True, "minimum_compression_size": 1024}
GIVEN_ROLE = {
    "manage_iam_role": False,
    "iam_role_arn": ROLE.format(f"{APP}-dev-function-us-east-1"),
}


def calls_of_the_commands(folder: Path, own_settings: dict[str, Any]) -> set[str]:
    """Run every command in a project with these settings of dev; return what they call."""
    (folder / ".chalice").mkdir()
    resources = json.dumps({"Resources": RESOURCES})
    (folder / ".chalice" / "resources.json").write_text(resources, encoding="utf-8")
    (folder / "app.py").write_text(EVERY_KIND, encoding="utf-8")
    calls = set()

    def record(model: OperationModel, **_: Any) -> None:
        calls.add(action_of(model))

    def dev(aws: str, **tags: str) -> Project:
        stages = {"dev": DEV | own_settings | {"tags": tags}}
        config = {"version": "2.0", "app_name": APP, "stages": stages}
        (folder / ".chalice" / "config.json").write_text(json.dumps(config), encoding="utf-8")
        project = Project(folder, "dev", aws)
        project.session.register("before-call", record)
        return project

    with EmulatorProcess() as aws:  # other tests deploy an app of the same name to theirs
        project = dev(aws.url, stage="dev")
        deploy(project)
        logs(project)
        project = dev(aws.url, team="blue")  # takes a tag away and adds one
        deploy(project)
        delete(project)
    return calls


def action_of(call: OperationModel) -> str:
    """Return the name of IAM's action for a call."""
    service = call.service_model.signing_name
    if service == "apigateway":
        return f"apigateway:{call.http['method']}"
    if service == "s3":  # Get and PutBucketNotificationConfiguration
        return f"s3:{call.name.removesuffix('Configuration')}"
    return f"{service}:{call.name}"


PASS_ROLE = "iam:PassRole"  # no call: IAM asks for it when a function gets its role
WHO_AM_I = "sts:GetCallerIdentity"  # needs no permission
# CloudFormation's calls for the stack of resources: they need the permissions of who deploys.
FOR_CLOUDFORMATION = {"ResourcesStack", "WhatCloudFormationDoesForResourcesStack"}


@pytest.mark.parametrize(
    ("policy", "settings"), [(POLICY, {}), (NARROWER, GIVEN_ROLE)], ids=["every stage", "dev only"]
)
def test_a_deployer_may_do_only_what_the_commands_do(
    tmp_path: Path, policy: Policy, settings: dict[str, Any]
) -> None:
    calls = calls_of_the_commands(tmp_path, settings)
    calls_of_stacks = {call for call in calls if call.startswith("cloudformation:")}
    other_calls = calls - calls_of_stacks - {WHO_AM_I}
    granted = {
        action
        for name, statement in statements(policy).items()
        if name not in FOR_CLOUDFORMATION and statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }
    assert granted == other_calls | {PASS_ROLE}
    for call in calls_of_stacks:
        place = IN_PLACE.format("cloudformation", f"stack/{APP}-dev-resources/1")
        assert allows(policy, call, place)
