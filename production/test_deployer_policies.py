"""The policy in `production/` for who deploys: enough for every command, and no more."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.iam import allows, as_list

Policy = dict[str, Any]
PROJECT = Path(__file__).parent.parent
IN_PLACE = "arn:aws:{}:us-east-1:123456789012:{}"
ROLE = "arn:aws:iam::123456789012:role/{}"


def read(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


APP = json.loads(read(".chalice/config.json"))["app_name"]
POLICY: Policy = json.loads(read("production/deployer-policy.json"))


def narrower() -> Policy:
    """Return the policy that the command of docs/deploying.md prints."""
    (command,) = re.findall(r"```sh\n(sed .*?)```", read("docs/deploying.md"), re.DOTALL)
    printed = subprocess.check_output(["bash", "-c", command], cwd=PROJECT, text=True)
    policy: Policy = json.loads(printed)
    return policy


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
    assert not allows(narrower(), action, resource)


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

# chalicekit, which also prints each call of AWS on stderr, as IAM names it.
RECORDING = """
import sys
from botocore.client import BaseClient
from chalicekit.cli import main

call = BaseClient._make_api_call

def recording(self, operation, parameters):
    model = self.meta.service_model
    method = model.operation_model(operation).http["method"]
    name = method if model.signing_name == "apigateway" else operation
    print(f"called {model.signing_name}:{name}", file=sys.stderr)
    return call(self, operation, parameters)

BaseClient._make_api_call = recording
main()
"""
RENAMED = {  # actions that are not named like their calls
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
}
NOT_CALLED = {"iam:PassRole"}  # IAM asks for it when a function gets its role
NEEDS_NO_STATEMENT = {"sts:GetCallerIdentity"}
FOR_CLOUDFORMATION = {"ResourcesStack", "TablesQueuesTopicsAndBuckets"}


def calls_of_the_commands(folder: Path, own_settings: dict[str, Any]) -> set[str]:
    """Run every command in a project with these settings of dev; return what they call."""

    def configure(tags: dict[str, str]) -> None:
        stages = {"dev": DEV | own_settings | {"tags": tags}}
        config = {"version": "2.0", "app_name": APP, "stages": stages}
        (folder / ".chalice" / "config.json").write_text(json.dumps(config), encoding="utf-8")

    (folder / ".chalice").mkdir()
    resources = json.dumps({"Resources": RESOURCES})
    (folder / ".chalice" / "resources.json").write_text(resources, encoding="utf-8")
    (folder / "app.py").write_text(EVERY_KIND, encoding="utf-8")
    printed = ""
    with EmulatorProcess() as aws:  # other tests deploy an app of the same name to theirs
        emulated = ["--emulated", "--emulator-port", aws.url.rpartition(":")[2]]
        configure({"stage": "dev"})
        for command in ("deploy", "logs", "deploy", "delete"):
            arguments = ["--project-dir", str(folder), command, *emulated]
            kit = [sys.executable, "-c", RECORDING, *arguments]
            printed += subprocess.run(kit, check=True, stderr=subprocess.PIPE, text=True).stderr
            configure({"team": "blue"})  # so that the second deploy takes a tag away and adds one
    calls = re.findall(r"^called (.*)$", printed, re.MULTILINE)
    return {RENAMED.get(call, call) for call in calls}


@pytest.mark.parametrize("is_narrower", [False, True])
def test_a_deployer_may_do_only_what_the_commands_do(tmp_path: Path, is_narrower: bool) -> None:
    policy = narrower() if is_narrower else POLICY
    calls = calls_of_the_commands(tmp_path, GIVEN_ROLE if is_narrower else {})
    stack = {call for call in calls if call.startswith("cloudformation:")}
    granted = {
        action
        for name, statement in statements(policy).items()
        if name not in FOR_CLOUDFORMATION and statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }
    assert granted == calls - stack - NEEDS_NO_STATEMENT | NOT_CALLED
    for call in stack:
        place = IN_PLACE.format("cloudformation", f"stack/{APP}-dev-resources/1")
        assert allows(policy, call, place)
