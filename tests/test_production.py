"""What production asks for: the stack of `make package STAGE=prod`, and who may deploy."""

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.session import Session
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from tests.processes import REPOSITORY
from tests.project import Project, client

Template = dict[str, Any]
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of your project: what is tested here is what your stages say."""
    return Project(tmp_path / "project", app=REPOSITORY)


@pytest.fixture
def template(project: Project) -> Template:
    """The template of `make package STAGE=prod`."""
    text = (project.package("prod") / "sam.json").read_text()
    template: Template = json.loads(text.replace("./deployment.zip", "s3://bucket/deployment.zip"))
    return template


@pytest.fixture
def stack(template: Template) -> Template:
    """The same as CloudFormation sees it, after the SAM transform."""
    loader = ManagedPolicyLoader(Session().create_client("iam"))
    result: Template = transform(deepcopy(template), {}, loader)
    return result


def one(template: Template, kind: str) -> Any:
    """Return the properties of the one resource of a kind."""
    (found,) = (it for it in template["Resources"].values() if it["Type"] == kind)
    return found["Properties"]


def test_cfn_lint_finds_nothing(template: Template, stack: Template, tmp_path: Path) -> None:
    for name, content in {"before.json": template, "after.json": stack}.items():
        (tmp_path / name).write_text(json.dumps(content))
        # W2531: the runtime is that of the Python at work, and AWS has begun to retire 3.10.
        command = [CFN_LINT, "--ignore-checks", "W2531", "--template", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout) == (0, "")


def test_unknown_paths_and_methods_are_404(stack: Template) -> None:
    responses = one(stack, "AWS::ApiGateway::RestApi")["Body"][
        "x-amazon-apigateway-gateway-responses"
    ]
    refusal = responses["MISSING_AUTHENTICATION_TOKEN"]
    assert refusal["statusCode"] == "404"
    assert json.loads(refusal["responseTemplates"]["application/json"]) == {"message": "Not Found"}


def test_the_stage_is_throttled_and_its_access_log_is_json(stack: Template) -> None:
    stage = one(stack, "AWS::ApiGateway::Stage")
    (method,) = stage["MethodSettings"]
    assert (method["ResourcePath"], method["HttpMethod"]) == ("/*", "*")
    assert method["ThrottlingRateLimit"] > 0
    assert method["ThrottlingBurstLimit"] > 0
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert line["requestId"] == "$context.requestId"
    assert not any("identity" in value for value in line.values())


def test_no_stage_is_there_that_nobody_asked_for(stack: Template) -> None:
    assert one(stack, "AWS::ApiGateway::Deployment").get("StageName") is None


def test_logs_are_kept_for_a_while_and_not_for_ever(stack: Template) -> None:
    groups = [it for it in stack["Resources"].values() if it["Type"] == "AWS::Logs::LogGroup"]
    assert [group["Properties"]["RetentionInDays"] for group in groups] == [30, 30]
    logging = one(stack, "AWS::Lambda::Function")["LoggingConfig"]
    assert logging == {"LogGroup": {"Ref": "FunctionLog"}}


def test_the_function_may_write_its_own_log_and_nothing_else(stack: Template) -> None:
    role = stack["Resources"]["ApiHandlerRole"]["Properties"]
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == {"Fn::GetAtt": ["FunctionLog", "Arn"]}
    assert "ManagedPolicyArns" not in role


def test_alarms_watch_errors_throttles_and_slow_answers(stack: Template) -> None:
    alarms = [
        it["Properties"]
        for it in stack["Resources"].values()
        if it["Type"] == "AWS::CloudWatch::Alarm"
    ]
    name = one(stack, "AWS::ApiGateway::RestApi")["Body"]["info"]["title"]
    stage = one(stack, "AWS::ApiGateway::Stage")["StageName"]
    api = [{"Name": "ApiName", "Value": name}, {"Name": "Stage", "Value": stage}]
    function = [{"Name": "FunctionName", "Value": {"Ref": "APIHandler"}}]
    watched = {"5XXError": api, "Latency": api, "Errors": function, "Throttles": function}
    assert {it["MetricName"]: it["Dimensions"] for it in alarms} == watched
    for alarm in alarms:
        assert alarm["AlarmActions"]["Fn::If"][:2] == ["HasAlarmEmail", [{"Ref": "AlarmTopic"}]]


def test_the_function_runs_on_arm(stack: Template) -> None:
    assert one(stack, "AWS::Lambda::Function")["Architectures"] == ["arm64"]


def test_the_emulated_aws_creates_updates_and_deletes_the_stack(project: Project) -> None:
    package = project.package("prod")
    client("s3").create_bucket(Bucket=project.name)
    code = (package / "deployment.zip").read_bytes()
    client("s3").put_object(Bucket=project.name, Key="deployment.zip", Body=code)
    template = (package / "sam.json").read_text()
    template = template.replace("./deployment.zip", f"s3://{project.name}/deployment.zip")
    changed = template.replace('"Timeout": 5', '"Timeout": 6')
    stacks = client("cloudformation")
    steps: list[tuple[Callable[..., Any], str, str]] = [
        (stacks.create_stack, "stack_create_complete", template),
        (stacks.update_stack, "stack_update_complete", changed),
    ]
    for act, done, body in steps:
        capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
        act(StackName=project.name, TemplateBody=body, Capabilities=capabilities)
        waits = {"Delay": 1, "MaxAttempts": 60}
        stacks.get_waiter(done).wait(StackName=project.name, WaiterConfig=waits)
        (stack,) = stacks.describe_stacks(StackName=project.name)["Stacks"]
        outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
        url = f"{project.environment['AWS_ENDPOINT_URL']}/_aws/execute-api/{outputs['RestAPIId']}"
        assert requests.get(f"{url}/prod/test", timeout=60).text == "test"
    name = outputs["APIHandlerName"]
    assert client("lambda").get_function_configuration(FunctionName=name)["Timeout"] == 6
    stacks.delete_stack(StackName=project.name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=project.name, WaiterConfig=waits)
    assert project.left_in_aws()["functions"] == 0


def test_the_deployed_role_may_write_its_own_log_and_nothing_else(project: Project) -> None:
    project.deploy("prod")
    role = f"{project.name}-prod-api_handler"
    (policy,) = client("iam").list_role_policies(RoleName=role)["PolicyNames"]
    document = client("iam").get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    (statement,) = document["Statement"]
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{project.name}-prod"
    assert statement["Resource"] == [group, f"{group}:*"]


RECORD = """
import os
from botocore.client import BaseClient

call = BaseClient._make_api_call

def recording(self, operation, parameters):
    service = self.meta.service_model.signing_name
    method = self.meta.service_model.operation_model(operation).http["method"]
    name = method if service == "apigateway" else operation.rstrip("0123456789")
    with open(os.environ["RECORDED"], "a") as file:
        file.write(f"{service}:{name}\\n")
    return call(self, operation, parameters)

BaseClient._make_api_call = recording
"""


def test_the_deployer_may_do_what_a_deploy_does_and_nothing_else(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(RECORD)
    recorded = {"PYTHONPATH": str(tmp_path), "RECORDED": str(tmp_path / "recorded")}
    project.make("deploy", **recorded)
    project.change('"stage": "dev"', '"team": "blue"', ".chalice/config.json")
    for command in ("deploy", "url", "logs", "delete"):
        project.make(command, **recorded)
    called = set((tmp_path / "recorded").read_text().split())
    policy = json.loads((REPOSITORY / ".chalice" / "deployer-policy.json").read_text())
    allowed = [it["Action"] for it in policy["Statement"]]
    granted = {it for action in allowed for it in ([action] if isinstance(action, str) else action)}
    # No call of its own: IAM asks for it when a function gets its role.
    assert granted == called | {"iam:PassRole"}
