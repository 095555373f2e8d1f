"""What production asks for: the stack of `make package`, and who may deploy."""

import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from botocore.exceptions import ClientError
from botocore.session import Session
from cfnlint.decode import decode
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform

from tests.processes import REPOSITORY
from tests.project import Project, client, copy

Template = dict[str, Any]
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
ADDED = ".chalice/template.json"
BOOTSTRAP = REPOSITORY / ".chalice" / "bootstrap.yaml"
ALARM_EMAIL = {"AlarmEmail": "you@example.com"}
CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
ONE_SECOND = {"Delay": 1, "MaxAttempts": 60}
A_SCHEDULE = '''
@app.schedule("rate(1 hour)")
def tick(event):
    """Run each hour."""
'''
LISTS_BUCKETS = '''
import boto3


@app.route("/buckets")
def buckets():
    """List the account's buckets."""
    s3 = boto3.client("s3")
    return s3.list_buckets()
'''


def new_project(folder: Path) -> Project:
    """Return the tests' own app, with what `make package` adds to its template."""
    project = Project(folder)
    copy(REPOSITORY / ADDED, project.folder / ADDED)
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project to change or to deploy."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The template of prod, for tests that change nothing."""
    return packaged(new_project(tmp_path_factory.mktemp("prod") / "project"))


@pytest.fixture
def stack(template: Template) -> Template:
    """The same after the SAM transform."""
    return transformed(template)


def read(name: str) -> str:
    """Return a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def packaged(project: Project, stage: str = "prod") -> Template:
    """Return the template that `make package` writes, as `aws cloudformation package` leaves it."""
    text = (project.package(stage) / "sam.json").read_text(encoding="utf-8")
    template: Template = json.loads(text.replace("./deployment.zip", "s3://bucket/deployment.zip"))
    return template


def transformed(template: Template) -> Template:
    """Return the template after the SAM transform, as CloudFormation makes the stack from it."""
    loader = ManagedPolicyLoader(Session().create_client("iam"))
    stack: Template = transform(deepcopy(template), ALARM_EMAIL, loader)
    return stack


def found(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of each resource of a kind by its name."""
    resources = template["Resources"].items()
    return {name: it["Properties"] for name, it in resources if it["Type"] == f"AWS::{kind}"}


def one(template: Template, kind: str) -> Any:
    """Return the properties of the only resource of a kind."""
    (properties,) = found(template, kind).values()
    return properties


def cfn_lint(template: Path) -> tuple[int, str]:
    """Return how cfn-lint ends and what it prints."""
    # W2531: the runtime is that of the Python at work, and AWS has begun to retire 3.10.
    command = [CFN_LINT, "--ignore-checks", "W2531", "--template", str(template)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


@pytest.mark.parametrize("stage", ["before the transform", "after the transform"])
def test_cfn_lint_finds_nothing_in_your_stack(tmp_path: Path, stage: str) -> None:
    template = packaged(Project(tmp_path / "project", app=REPOSITORY))
    if stage == "after the transform":
        template = transformed(template)
    (tmp_path / "template.json").write_text(json.dumps(template), encoding="utf-8")
    assert cfn_lint(tmp_path / "template.json") == (0, "")


def test_cfn_lint_finds_nothing_in_the_bootstrap_template() -> None:
    assert cfn_lint(BOOTSTRAP) == (0, "")


def test_unknown_paths_and_methods_are_404(stack: Template) -> None:
    body = one(stack, "ApiGateway::RestApi")["Body"]
    assert body["x-amazon-apigateway-gateway-responses"] == {
        "MISSING_AUTHENTICATION_TOKEN": {
            "statusCode": "404",
            "responseTemplates": {"application/json": '{"message":"Not Found"}'},
            "responseParameters": {},
        }
    }


def test_each_method_is_throttled(stack: Template) -> None:
    assert one(stack, "ApiGateway::Stage")["MethodSettings"] == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "ThrottlingRateLimit": 500,
            "ThrottlingBurstLimit": 500,
        }
    ]


def test_the_access_log_names_a_request_as_the_function_s_log_does(stack: Template) -> None:
    log = one(stack, "ApiGateway::Stage")["AccessLogSetting"]
    assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLog", "Arn"]}
    assert json.loads(log["Format"]) == {
        "extendedRequestId": "$context.extendedRequestId",
        "requestId": "$context.integration.requestId",
        "apiRequestId": "$context.requestId",
        "method": "$context.httpMethod",
        "path": "$context.resourcePath",
        "status": "$context.status",
        "error": "$context.error.responseType",
        "latencyMs": "$context.responseLatency",
        "bytes": "$context.responseLength",
    }


def test_only_the_stage_of_the_settings_is_made(stack: Template) -> None:
    assert one(stack, "ApiGateway::Stage")["StageName"] == "prod"
    assert "StageName" not in one(stack, "ApiGateway::Deployment")


def test_each_update_of_the_stack_deploys_the_api(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = set()
    for now in (1, 2):  # without it, a changed minimum_compression_size has no effect
        monkeypatch.setattr("samtranslator.model.apigateway.time.time", lambda now=now: now)
        deployments |= set(found(transformed(template), "ApiGateway::Deployment"))
    assert len(deployments) == 2


def test_logs_are_kept_for_thirty_days_and_listed_in_the_outputs(template: Template) -> None:
    tags = found(template, "Serverless::Function")["APIHandler"]["Tags"]
    app_name = tags["aws-chalice"].rpartition("app=")[2]
    assert found(template, "Logs::LogGroup") == {
        "AccessLog": {"RetentionInDays": 30},
        "FunctionLog": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/{app_name}-prod-${{AWS::StackName}}"},
            "RetentionInDays": 30,
        },
    }
    for name in ("AccessLog", "FunctionLog"):
        assert template["Outputs"][name] == {"Value": {"Ref": name}}


def test_every_function_has_the_log_and_the_alarms_of_the_api_s(project: Project) -> None:
    project.append(A_SCHEDULE)
    template = packaged(project)
    functions = found(template, "Serverless::Function")
    assert set(functions) == {"APIHandler", "Tick"}
    log = {"LogGroup": {"Ref": "FunctionLog"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
    assert [function["LoggingConfig"] for function in functions.values()] == [log, log]
    watched = [
        (alarm["MetricName"], dimension["Value"]["Ref"])
        for alarm in found(template, "CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "FunctionName"
    ]
    metrics = ("Errors", "Throttles")
    assert sorted(watched) == sorted((metric, name) for metric in metrics for name in functions)


def test_alarms_watch_this_stack_s_errors_throttles_and_slow_answers(stack: Template) -> None:
    (stage,) = found(stack, "ApiGateway::Stage")
    name = one(stack, "ApiGateway::RestApi")["Name"]
    assert name == {"Ref": "AWS::StackName"}
    api = [{"Name": "ApiName", "Value": name}, {"Name": "Stage", "Value": {"Ref": stage}}]
    function = [{"Name": "FunctionName", "Value": {"Ref": "APIHandler"}}]
    alarms = found(stack, "CloudWatch::Alarm").values()
    assert {alarm["MetricName"]: alarm["Dimensions"] for alarm in alarms} == {
        "5XXError": api,
        "Latency": api,
        "Errors": function,
        "Throttles": function,
    }
    assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms)


def test_each_stage_has_them(project: Project) -> None:
    project.change('"prod": {', '"staging": {', ".chalice/config.json")
    policy = project.folder / ".chalice" / "policy-prod.json"
    policy.rename(policy.with_name("policy-staging.json"))
    project.change("-prod", "-staging", ".chalice/policy-staging.json")
    template = packaged(project, "staging")
    assert len(found(template, "CloudWatch::Alarm")) == 4
    assert "-prod" not in json.dumps(template)


ANOTHER_RIGHT = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}


@pytest.mark.parametrize("statements", [[], [ANOTHER_RIGHT]], ids=["as it is", "with another"])
def test_the_roles_may_do_what_the_stage_s_policy_says_and_nothing_else(
    project: Project, statements: list[Any]
) -> None:
    project.append(A_SCHEDULE)
    path = project.folder / ".chalice" / "policy-prod.json"
    policy = json.loads(path.read_text(encoding="utf-8"))
    policy["Statement"] += statements
    path.write_text(json.dumps(policy), encoding="utf-8")
    roles = found(transformed(packaged(project)), "IAM::Role")
    assert set(roles) == {"ApiHandlerRole", "TickRole"}
    for role in roles.values():
        assert [it["PolicyDocument"] for it in role["Policies"]] == [policy]
        assert "ManagedPolicyArns" not in role


def test_what_autogen_policy_finds_reaches_the_role(project: Project) -> None:
    project.change('"autogen_policy": false', '"autogen_policy": true', ".chalice/config.json")
    project.append(LISTS_BUCKETS)
    role = one(transformed(packaged(project)), "IAM::Role")
    assert "s3:ListAllMyBuckets" in json.dumps(role["Policies"])


def test_the_policy_covers_the_stack_s_log(stack: Template) -> None:
    name = found(stack, "Logs::LogGroup")["FunctionLog"]["LogGroupName"]["Fn::Sub"]
    stream = f"arn:aws:logs:eu-west-1:1:log-group:{name}:log-stream:a"
    (statement,) = one(stack, "IAM::Role")["Policies"][0]["PolicyDocument"]["Statement"]
    assert any(fnmatch(stream, resource) for resource in statement["Resource"])


def test_the_function_runs_on_arm(stack: Template) -> None:
    assert one(stack, "Lambda::Function")["Architectures"] == ["arm64"]


def deploy_stack(
    name: str, template: str, parameters: dict[str, str], update: bool = False
) -> dict[str, str]:
    """Make a stack, or update it; return its outputs."""
    stacks = client("cloudformation")
    act, done = (
        (stacks.update_stack, "stack_update_complete")
        if update
        else (stacks.create_stack, "stack_create_complete")
    )
    act(
        StackName=name,
        TemplateBody=template,
        Capabilities=CAPABILITIES,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    stacks.get_waiter(done).wait(StackName=name, WaiterConfig=ONE_SECOND)
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def delete_stack(name: str) -> None:
    """Delete a stack."""
    stacks = client("cloudformation")
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=ONE_SECOND)


def test_the_emulated_aws_makes_updates_and_deletes_two_stacks_that_share_nothing(
    project: Project,
) -> None:
    package = project.package("prod")
    client("s3").create_bucket(Bucket=project.name)
    code = (package / "deployment.zip").read_bytes()
    client("s3").put_object(Bucket=project.name, Key="deployment.zip", Body=code)
    template = (package / "sam.json").read_text(encoding="utf-8")
    template = template.replace("./deployment.zip", f"s3://{project.name}/deployment.zip")
    changed = template.replace('"Timeout": 5', '"Timeout": 6')
    blue = deploy_stack(f"{project.name}-blue", template, ALARM_EMAIL)
    green = deploy_stack(f"{project.name}-green", template, ALARM_EMAIL)
    assert not set(blue.values()) & set(green.values())
    assert deploy_stack(f"{project.name}-blue", changed, ALARM_EMAIL, update=True) == blue
    function = client("lambda").get_function_configuration(FunctionName=blue["APIHandlerName"])
    assert function["Timeout"] == 6
    assert function["LoggingConfig"]["LogGroup"] == blue["FunctionLog"]
    delete_stack(f"{project.name}-blue")
    url = f"{project.environment['AWS_ENDPOINT_URL']}/_aws/execute-api/{green['RestAPIId']}"
    assert requests.get(f"{url}/prod/", timeout=60).text == "a sample"
    unknown = requests.get(f"{url}/prod/nothing", timeout=60)
    assert (unknown.status_code, unknown.json()) == (404, {"message": "Not Found"})
    delete_stack(f"{project.name}-green")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}


@pytest.mark.parametrize("parameters", [{}, {"AlarmEmail": ""}], ids=["absent", "empty"])
def test_a_stack_whose_alarms_would_reach_nobody_is_refused(
    template: Template, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="AlarmEmail"):
        deploy_stack("refused", json.dumps(template), parameters)


def role_of(outputs: dict[str, str], name: str) -> tuple[Any, list[Any]]:
    """Return the trust policy and the policies of a role that a stack has in its outputs."""
    iam, role = client("iam"), outputs[name].rpartition("/")[2]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role, PolicyName=policy) for policy in names]
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    return trust, [policy["PolicyDocument"] for policy in policies]


one_at_a_time = pytest.mark.xdist_group("bootstrap")  # an account has one such stack


@pytest.fixture
def bootstrap() -> Iterator[dict[str, str]]:
    """The outputs of the bootstrap stack, in an account that has GitHub's OIDC provider."""
    template, _ = decode(str(BOOTSTRAP))
    del template["Resources"]["OidcProvider"]  # MiniStack has no such type
    parameters = {
        "Repository": "OWNER@1/NAME@2",
        "OidcProviderArn": "arn:aws:iam::000000000000:oidc-provider/github",
        "DeployerPolicy": read(".chalice/deployer-policy-makes-roles.json"),
        "DevPolicy": read(".chalice/policy-dev.json"),
    }
    yield deploy_stack("hello-chalice-bootstrap", json.dumps(template), parameters)
    delete_stack("hello-chalice-bootstrap")


@one_at_a_time
def test_the_bootstrap_stack_trusts_one_environment_each_of_one_repository(
    bootstrap: dict[str, str],
) -> None:
    for stage, name in {"dev": "DevRoleArn", "prod": "ProdRoleArn"}.items():
        (statement,) = role_of(bootstrap, name)[0]["Statement"]
        assert statement["Condition"]["StringEquals"] == {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:OWNER@1/NAME@2:environment:{stage}",
        }
    of_deployer = read(".chalice/deployer-policy-makes-roles.json")
    of_dev = json.loads(of_deployer.replace("hello-chalice-*", "hello-chalice-dev*"))
    assert role_of(bootstrap, "DevRoleArn")[1] == [of_dev] != [json.loads(of_deployer)]
    of_function = json.loads(read(".chalice/policy-dev.json"))
    assert role_of(bootstrap, "DevFunctionRoleArn")[1] == [of_function]


@one_at_a_time
def test_the_bootstrap_stack_goes_but_for_the_packages_and_the_account_s_log_role(
    bootstrap: dict[str, str],
) -> None:
    delete_stack("hello-chalice-bootstrap")
    assert client("s3").get_bucket_encryption(Bucket=bootstrap["Bucket"])
    assert client("apigateway").get_account()["cloudwatchRoleArn"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        role_of(bootstrap, "DevRoleArn")


def test_only_jobs_that_call_aws_can_ask_for_credentials_and_prod_runs_no_code_of_ours() -> None:
    jobs = yaml.safe_load(read(".github/workflows/deploy.yml"))["jobs"]
    asking = {name for name, job in jobs.items() if "id-token" in job["permissions"]}
    calling = {name for name, job in jobs.items() if "configure-aws-credentials" in str(job)}
    assert asking == calling == {"dev", "prod"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["prod"]["steps"])
    assert jobs["prod"]["needs"] == ["package", "dev"]
