"""The policies in `production/` for who deploys: enough for every command, and no more."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.iam import allows, as_list

Policy = dict[str, Any]
PROJECT = Path(__file__).parent.parent
APP = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["app_name"]
IN_PLACE = "arn:aws:{}:us-east-1:123456789012:{}"


def read(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


def deployer_policy(name: str) -> Policy:
    """Return one of the two policies for who deploys."""
    policy: Policy = json.loads(read(f"production/deployer-policy-{name}.json"))
    return policy


def test_the_policy_with_a_given_role_is_the_other_one_for_dev_without_roles() -> None:
    text = read("production/deployer-policy-makes-roles.json")
    text = text.replace(f"{APP}-*-", f"{APP}-dev-").replace(f"{APP}-*", f"{APP}-dev*")
    expected = json.loads(text)
    statements = {item["Sid"]: item for item in expected["Statement"]}
    expected["Statement"].remove(statements["Roles"])
    statements["PassRoleToLambda"]["Resource"] = f"arn:*:iam::*:role/{APP}-dev-function-*"
    assert deployer_policy("given-role") == expected


@pytest.mark.parametrize("name", ["makes-roles", "given-role"])
def test_a_deployer_policy_fits_into_a_parameter_and_a_role(name: str) -> None:
    compact = re.sub(r"[ \n]", "", read(f"production/deployer-policy-{name}.json"))
    assert json.loads(compact) == deployer_policy(name)
    assert len(compact) <= 4096  # CloudFormation's limit for a parameter


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("lambda:UpdateFunctionCode", IN_PLACE.format("lambda", f"function:{APP}-prod")),
        ("iam:PassRole", f"arn:aws:iam::123456789012:role/{APP}-prod-function-us-east-1"),
        ("iam:CreateRole", f"arn:aws:iam::123456789012:role/{APP}-dev-api_handler"),
        ("logs:FilterLogEvents", IN_PLACE.format("logs", f"log-group:/aws/lambda/{APP}-prod")),
        ("events:PutRule", IN_PLACE.format("events", f"rule/{APP}-prod-tick-event")),
        ("dynamodb:DeleteTable", IN_PLACE.format("dynamodb", f"table/{APP}-prod-links")),
        ("cloudformation:DeleteStack", IN_PLACE.format("cloudformation", f"stack/{APP}-prod/1")),
        ("dynamodb:GetItem", IN_PLACE.format("dynamodb", f"table/{APP}-dev-links")),
        ("s3:GetObject", f"arn:aws:s3:::{APP}-dev-files/a"),
        ("sqs:ReceiveMessage", IN_PLACE.format("sqs", f"{APP}-dev-jobs")),
    ],
)
def test_a_deployer_with_a_given_role_reaches_neither_prod_nor_data(
    action: str, resource: str
) -> None:
    assert not allows(deployer_policy("given-role"), action, resource)


@pytest.mark.parametrize("name", ["makes-roles", "given-role"])
def test_a_deployer_may_only_read_an_api_with_prod_s_tag(name: str) -> None:
    statements = {item["Sid"]: item for item in deployer_policy(name)["Statement"]}
    denied, allowed = statements["NotProdsApi"], statements["Apis"]
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"StringEquals": {"aws:ResourceTag/stage": "prod"}}
    assert set(allowed["Action"]) - set(denied["Action"]) == {"apigateway:GET"}
    assert denied["Resource"] == "arn:*:apigateway:*::/restapis/*"


# An app with a function of each kind. Streams are like queues; each has the same calls.
EVERY_KIND = f"""
from chalice import Chalice

app = Chalice("{APP}")

@app.authorizer()
def guard(request):
    pass

@app.route("/", authorizer=guard)
def index():
    return "hello"

@app.schedule("rate(1 day)")
def tick(event):
    pass

@app.on_cw_event({{"source": ["aws.s3"]}})
def arrived(event):
    pass

@app.on_sqs_message(queue="{APP}-dev-jobs")
def work(event):
    pass

@app.on_sns_message(topic="{APP}-dev-news")
def told(event):
    pass

@app.on_s3_event(bucket="{APP}-dev-files")
def stored(event):
    pass
"""
RESOURCES = {
    "Jobs": ("AWS::SQS::Queue", "QueueName", "jobs"),
    "News": ("AWS::SNS::Topic", "TopicName", "news"),
    "Files": ("AWS::S3::Bucket", "BucketName", "files"),
}
READS_THE_QUEUE = {
    "Effect": "Allow",
    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
    "Resource": f"arn:*:sqs:*:*:{APP}-dev-jobs",
}

# Put where Python runs it at each start, it writes down what AWS is asked to do.
RECORD = """
import os
from botocore.client import BaseClient

call = BaseClient._make_api_call

def recording(self, operation, parameters):
    service = self.meta.service_model.signing_name
    method = self.meta.service_model.operation_model(operation).http["method"]
    name = method if service == "apigateway" else operation
    with open(os.environ["RECORDED"], "a") as file:
        file.write(f"{service}:{name}\\n")
    return call(self, operation, parameters)

BaseClient._make_api_call = recording
"""
RENAMED = {  # actions that are not named like their calls
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
}
NOT_GRANTED = {"sts:GetCallerIdentity"}  # what needs no statement
FOR_CLOUDFORMATION = {"ResourcesStack", "TablesQueuesTopicsAndBuckets"}
NOT_CALLED = {"iam:PassRole"}  # IAM asks for it when a function gets its role


@pytest.fixture
def aws() -> Iterator[str]:
    """The URL of an emulated AWS of its own: other tests deploy an app of the same name."""
    with EmulatorProcess() as emulated:
        yield emulated.url


@pytest.fixture
def every_kind(tmp_path: Path) -> Path:
    """A project with a function of each kind and its resources."""
    (tmp_path / "app.py").write_text(EVERY_KIND, encoding="utf-8")
    settings = tmp_path / ".chalice"
    settings.mkdir()
    config = {
        "version": "2.0",
        "app_name": APP,
        "autogen_policy": False,
        "minimum_compression_size": 1024,
        "stages": {"dev": {"api_gateway_stage": "dev", "tags": {"stage": "dev"}}},
    }
    (settings / "config.json").write_text(json.dumps(config), encoding="utf-8")
    policy = json.loads(read(".chalice/policy-dev.json"))
    policy["Statement"].append(READS_THE_QUEUE)
    (settings / "policy-dev.json").write_text(json.dumps(policy), encoding="utf-8")
    resources = {
        name: {"Type": kind, "Properties": {key: f"{APP}-dev-{value}"}}
        for name, (kind, key, value) in RESOURCES.items()
    }
    (settings / "resources.json").write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    return tmp_path


def give_role(project: Path, aws: str) -> None:
    """Create a role for the functions of dev, as the bootstrap stack does, and configure it."""
    iam, name = boto3.client("iam", endpoint_url=aws), f"{APP}-dev-function-us-east-1"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    policy = (project / ".chalice" / "policy-dev.json").read_text(encoding="utf-8")
    iam.put_role_policy(RoleName=name, PolicyName="Dev", PolicyDocument=policy)
    path = project / ".chalice" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["stages"]["dev"] |= {"manage_iam_role": False, "iam_role_arn": role["Role"]["Arn"]}
    path.write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize("name", ["makes-roles", "given-role"])
def test_a_deployer_may_do_only_what_the_commands_do(
    every_kind: Path, aws: str, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    if name == "given-role":
        give_role(every_kind, aws)
    recorder = tmp_path_factory.mktemp("recorder")
    (recorder / "sitecustomize.py").write_text(RECORD, encoding="utf-8")
    record = recorder / "recorded"
    kit = [sys.executable, "-m", "chalicekit", "--project-dir", str(every_kind)]
    port = aws.rpartition(":")[2]
    for command in ("deploy", "logs", "deploy", "delete"):
        subprocess.run(
            [*kit, command, "--emulated", "--emulator-port", port],
            env=os.environ | {"PYTHONPATH": str(recorder), "RECORDED": str(record)},
            check=True,
        )
        if command == "logs":  # so that the second deploy takes a tag away and adds one
            config = every_kind / ".chalice" / "config.json"
            text = config.read_text(encoding="utf-8")
            config.write_text(text.replace('"stage": "dev"', '"team": "blue"'), encoding="utf-8")
    calls = set(record.read_text().split())
    called = {RENAMED.get(call, call) for call in calls} - NOT_GRANTED
    stack = {call for call in called if call.startswith("cloudformation:")}
    granted = {
        action
        for statement in deployer_policy(name)["Statement"]
        if statement["Effect"] == "Allow" and statement["Sid"] not in FOR_CLOUDFORMATION
        for action in as_list(statement["Action"])
    }
    assert granted == called - stack | NOT_CALLED
    for call in stack:
        place = IN_PLACE.format("cloudformation", f"stack/{APP}-dev-resources/1")
        assert allows(deployer_policy(name), call, place)
