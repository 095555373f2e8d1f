"""What production asks for: the stack, the bootstrap, who may deploy, and the pipeline."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml
from cfnlint.decode import decode
from samtranslator.translator.transform import transform

from chalicekit.iam import allows

Template = dict[str, Any]
Policy = dict[str, Any]
PROJECT = Path(__file__).parent.parent
PRODUCTION = PROJECT / "production"
APP = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))["app_name"]
IN_PLACE = "arn:aws:{}:us-east-1:123456789012:{}"


def read(name: str) -> str:
    """Return a file of the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of prod, as `make package STAGE=prod` writes it."""
    folder, build = tmp_path_factory.mktemp("prod"), str(tmp_path_factory.mktemp("build"))
    kit = [sys.executable, "-m", "chalicekit", "--project-dir", str(PROJECT), "--build-dir", build]
    merged = ["--merge-template", str(PRODUCTION / "template.json")]
    subprocess.run([*kit, "package", "--stage", "prod", *merged, str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def template(package: Path) -> Template:
    """The template of prod, as `aws cloudformation package` leaves it."""
    text = (package / "sam.json").read_text(encoding="utf-8")
    template: Template = json.loads(text.replace("./deployment.zip", "s3://bucket/deployment.zip"))
    return template


def transformed(template: Template) -> Template:
    """Return the template after the SAM transform, as CloudFormation makes the stack from it."""
    no_managed_policies = SimpleNamespace(load=dict)
    parameters = {"AlarmEmail": "you@example.com"}
    stack: Template = transform(deepcopy(template), parameters, no_managed_policies)
    return stack


@pytest.fixture(scope="module")
def stack(template: Template) -> Template:
    """The template of prod after the SAM transform."""
    return transformed(template)


def found(template: Template, kind: str) -> dict[str, Any]:
    """Return the properties of each resource of a kind by its name."""
    resources = template["Resources"].items()
    return {name: item["Properties"] for name, item in resources if item["Type"] == f"AWS::{kind}"}


def only(template: Template, kind: str) -> Any:
    """Return the properties of the only resource of a kind."""
    (properties,) = found(template, kind).values()
    return properties


def test_cfn_lint_accepts_the_stack_the_bootstrap_and_the_resources(
    template: Template, stack: Template, tmp_path: Path
) -> None:
    for name, content in (("template", template), ("stack", stack)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    # W2531: the runtime is that of the Python at work, and AWS has begun to retire 3.10.
    command = [
        cfn_lint,
        "--ignore-checks",
        "W2531",
        "--template",
        str(PRODUCTION / "bootstrap.yaml"),
    ]
    command += [*map(str, tmp_path.glob("*.json")), *map(str, PROJECT.glob(".chalice/resources.*"))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_api_takes_no_tls_before_1_2(stack: Template) -> None:
    api = only(stack, "ApiGateway::RestApi")
    assert (api["SecurityPolicy"], api["EndpointAccessMode"]) == (
        "SecurityPolicy_TLS13_1_2_2021_06",
        "BASIC",
    )


def test_an_unknown_path_or_method_gets_404(stack: Template) -> None:
    body = only(stack, "ApiGateway::RestApi")["Body"]
    response = body["x-amazon-apigateway-gateway-responses"]["MISSING_AUTHENTICATION_TOKEN"]
    assert response["statusCode"] == "404"
    assert response["responseTemplates"] == {"application/json": '{"message":"Not Found"}'}


def test_the_api_throttles_every_method(stack: Template) -> None:
    assert only(stack, "ApiGateway::Stage")["MethodSettings"] == [
        {
            "ResourcePath": "/*",
            "HttpMethod": "*",
            "ThrottlingRateLimit": 500,
            "ThrottlingBurstLimit": 500,
        }
    ]


def test_the_access_log_has_the_ids_of_the_function_s_log_and_who_calls(stack: Template) -> None:
    log = only(stack, "ApiGateway::Stage")["AccessLogSetting"]
    assert log["DestinationArn"] == {"Fn::GetAtt": ["AccessLog", "Arn"]}
    assert json.loads(log["Format"]) == {
        "extendedRequestId": "$context.extendedRequestId",
        "requestId": "$context.integration.requestId",
        "apiRequestId": "$context.requestId",
        "method": "$context.httpMethod",
        "path": "$context.resourcePath",
        "status": "$context.status",
        "sourceIp": "$context.identity.sourceIp",
        "error": "$context.error.responseType",
        "latencyMs": "$context.responseLatency",
        "bytes": "$context.responseLength",
    }


def test_sam_creates_no_extra_stage(stack: Template) -> None:
    assert only(stack, "ApiGateway::Stage")["StageName"] == "prod"
    assert "StageName" not in only(stack, "ApiGateway::Deployment")


def test_each_update_of_the_stack_deploys_the_api(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployments = set()
    for now in (1, 2):  # without it, a changed minimum_compression_size has no effect
        monkeypatch.setattr("samtranslator.model.apigateway.time.time", lambda now=now: now)
        deployments |= set(found(transformed(template), "ApiGateway::Deployment"))
    assert len(deployments) == 2


def test_logs_are_kept_for_thirty_days_and_listed_in_the_outputs(template: Template) -> None:
    assert found(template, "Logs::LogGroup") == {
        "AccessLog": {"RetentionInDays": 30},
        "FunctionLog": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/{APP}-prod-${{AWS::StackName}}"},
            "RetentionInDays": 30,
        },
    }
    for name in ("AccessLog", "FunctionLog"):
        assert template["Outputs"][name] == {"Value": {"Ref": name}}


def test_the_api_and_every_function_have_a_log_and_alarms(stack: Template) -> None:
    functions = found(stack, "Lambda::Function")
    log = {"LogGroup": {"Ref": "FunctionLog"}, "LogFormat": "JSON", "SystemLogLevel": "WARN"}
    assert [function["LoggingConfig"] for function in functions.values()] == [log] * len(functions)
    (stage,) = found(stack, "ApiGateway::Stage")
    name = only(stack, "ApiGateway::RestApi")["Name"]
    api = [{"Name": "ApiName", "Value": name}, {"Name": "Stage", "Value": {"Ref": stage}}]
    watched = [("5XXError", api), ("Latency", api)]
    for function in functions:
        dimensions = [{"Name": "FunctionName", "Value": {"Ref": function}}]
        watched += [("Errors", dimensions), ("Throttles", dimensions)]
    alarms = found(stack, "CloudWatch::Alarm").values()
    watching = [(alarm["MetricName"], alarm["Dimensions"]) for alarm in alarms]
    assert sorted(map(json.dumps, watching)) == sorted(map(json.dumps, watched))
    assert all(alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}] for alarm in alarms)


def test_each_role_has_only_the_stage_s_policy_which_lets_it_write_the_log(stack: Template) -> None:
    policy = json.loads(read(".chalice/policy-prod.json"))
    for role in found(stack, "IAM::Role").values():
        assert [attached["PolicyDocument"] for attached in role["Policies"]] == [policy]
        assert "ManagedPolicyArns" not in role
    stream = f"log-group:/aws/lambda/{APP}-prod-{APP}-prod:log-stream:a"
    assert allows(policy, "logs:PutLogEvents", IN_PLACE.format("logs", stream))


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_may_write_only_the_logs_of_its_stage(stage: str) -> None:
    policy = json.loads(read(f".chalice/policy-{stage}.json"))
    (statement,) = (item for item in policy["Statement"] if "logs:" in str(item["Action"]))
    assert {action.partition(":")[0] for action in statement["Action"]} == {"logs"}
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{APP}-{stage}"
    assert statement["Resource"] == [group, f"{group}:*", f"{group}-*"]


# The bootstrap stack


@pytest.fixture(scope="module")
def parameters() -> dict[str, str]:
    """The parameters of the bootstrap stack, in an account that has GitHub's OIDC provider."""
    compact = {
        "DevPolicy": ".chalice/policy-dev.json",
        "ProdPolicy": ".chalice/policy-prod.json",
        "DeployerPolicy": "production/deployer-policy-makes-roles.json",
    }
    return {
        "Repository": "OWNER@1/NAME@2",
        "OidcProviderArn": "any",
        **{name: re.sub(r"[ \n]", "", read(file)) for name, file in compact.items()},
    }


@pytest.fixture
def bootstrap(emulated_aws: Any, parameters: dict[str, str]) -> Iterator[Callable[..., Any]]:
    """Deploys the bootstrap stack with more parameters; returns its outputs."""
    stacks = emulated_aws.client("cloudformation")

    def deploy(**more: str) -> dict[str, str]:
        given = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in {**parameters, **more}.items()
        ]
        stacks.create_stack(
            StackName="bootstrap",
            TemplateBody=read("production/bootstrap.yaml"),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=given,
        )
        each_second = {"Delay": 1, "MaxAttempts": 60}
        stacks.get_waiter("stack_create_complete").wait(
            StackName="bootstrap", WaiterConfig=each_second
        )
        (stack,) = stacks.describe_stacks(StackName="bootstrap")["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    yield deploy
    stacks.delete_stack(StackName="bootstrap")


def role_of(emulated_aws: Any, outputs: dict[str, str], name: str) -> tuple[Policy, list[Policy]]:
    """Return the trust policy and the policies of a role that a stack has in its outputs."""
    iam, role = emulated_aws.client("iam"), outputs[name].rpartition("/")[2]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    policies = [iam.get_role_policy(RoleName=role, PolicyName=policy) for policy in names]
    trust = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    return trust, [policy["PolicyDocument"] for policy in policies]


def test_the_bootstrap_stack_trusts_one_environment_per_stage(
    emulated_aws: Any, bootstrap: Callable[..., Any]
) -> None:
    outputs = bootstrap()
    for stage, name in {"dev": "DevRoleArn", "prod": "ProdRoleArn"}.items():
        (statement,) = role_of(emulated_aws, outputs, name)[0]["Statement"]
        assert statement["Condition"]["StringEquals"] == {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:OWNER@1/NAME@2:environment:{stage}",
        }
        (policy,) = role_of(emulated_aws, outputs, f"{stage.title()}FunctionRoleArn")[1]
        assert policy == json.loads(read(f".chalice/policy-{stage}.json"))
    (deployer,) = role_of(emulated_aws, outputs, "DevRoleArn")[1]
    everywhere = read("production/deployer-policy-makes-roles.json")
    assert deployer == json.loads(everywhere.replace(f"{APP}-*", f"{APP}-dev*"))
    assert not allows(deployer, "iam:CreateRole", f"arn:aws:iam::1:role/{APP}-prod-api_handler")


@pytest.mark.parametrize(("roles", "makes_them"), [("made", True), ("given", False)])
def test_prod_s_deployer_makes_roles_only_if_the_administrator_lets_it(
    emulated_aws: Any, bootstrap: Callable[..., Any], roles: str, makes_them: bool
) -> None:
    (policy,) = role_of(emulated_aws, bootstrap(ProdRoles=roles), "ProdExecutionRoleArn")[1]
    role = f"arn:aws:iam::1:role/{APP}-prod-function-us-east-1"
    assert allows(policy, "iam:PassRole", role)
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert allows(policy, action, role) == makes_them


def test_deleting_the_bootstrap_stack_keeps_the_bucket_and_the_log_role(
    emulated_aws: Any, bootstrap: Callable[..., Any]
) -> None:
    outputs = bootstrap()
    emulated_aws.client("cloudformation").delete_stack(StackName="bootstrap")
    assert emulated_aws.client("s3").get_bucket_encryption(Bucket=outputs["Bucket"])
    assert emulated_aws.client("apigateway").get_account()["cloudwatchRoleArn"]
    with pytest.raises(Exception, match="NoSuchEntity"):
        role_of(emulated_aws, outputs, "DevRoleArn")


def test_a_second_region_s_bootstrap_has_other_names_and_retains_what_the_account_has_once() -> (
    None
):
    template, _ = decode(str(PRODUCTION / "bootstrap.yaml"))
    resources = template["Resources"]
    names = [
        resource["Properties"].get("RoleName", {"Fn::Sub": "${AWS::Region}"})
        for resource in resources.values()
        if resource["Type"] == "AWS::IAM::Role"
    ]
    assert all("${AWS::Region}" in name["Fn::Sub"] for name in names)
    assert resources["OidcProvider"]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_the_budget_writes_to_the_alarm_s_address() -> None:
    template, _ = decode(str(PRODUCTION / "bootstrap.yaml"))
    (notification,) = only(template, "Budgets::Budget")["NotificationsWithSubscribers"]
    assert notification["Subscribers"] == [
        {"SubscriptionType": "EMAIL", "Address": {"Ref": "AlarmEmail"}}
    ]


# The pipeline and the commands of docs/production.md

WORKFLOW = yaml.safe_load(read(".github/workflows/deploy.yml"))
needs_aws_cli = pytest.mark.skipif(
    not shutil.which("aws")
    or bool(subprocess.run(["aws", "--version"], capture_output=True).returncode),
    reason="the AWS CLI is not installed",
)


def test_only_the_jobs_that_call_aws_get_credentials_and_prod_runs_no_repository_code() -> None:
    jobs = WORKFLOW["jobs"]
    asking = {name for name, job in jobs.items() if "id-token" in job["permissions"]}
    calling = {name for name, job in jobs.items() if "configure-aws-credentials" in str(job)}
    assert asking == calling == {"dev", "prod"}
    assert not any("checkout" in step.get("uses", "") for step in jobs["prod"]["steps"])
    assert jobs["prod"]["needs"] == ["package", "dev"]


def run(script: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash as GitHub does, in the emulated AWS."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def prod_job(emulated_aws: Any, package: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Runs the pipeline's job for prod, up to the question to the API, with a changed package.

    It takes a function that changes the package's template; returns whether the job succeeds, and
    what it prints.
    """
    emulated_aws.client("s3").create_bucket(Bucket="prod-packages")
    environment = {
        "STACK": WORKFLOW["jobs"]["prod"]["env"]["STACK"],
        "BUCKET": "prod-packages",
        "EXECUTION_ROLE_ARN": "arn:aws:iam::000000000000:role/execution",
        "ALARM_EMAIL": "you@example.com",
    }
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    for file in PROJECT.glob(".chalice/resources.*"):
        shutil.copy(file, tmp_path)

    def job(change: Callable[[Template], object]) -> tuple[bool, str]:
        template = json.loads((package / "sam.json").read_text(encoding="utf-8"))
        change(template["Resources"])
        (tmp_path / "sam.json").write_text(json.dumps(template), encoding="utf-8")
        succeeds, printed = True, ""
        for step in WORKFLOW["jobs"]["prod"]["steps"]:
            condition = step.get("if", "")
            wanted = succeeds != ("failure()" in condition)
            if "hashFiles" in condition:
                wanted = wanted and any(tmp_path.glob("resources.*"))
            if wanted and "run" in step and step["name"] != "Ask the API":
                done = run(step["run"], tmp_path, **environment)
                succeeds, printed = succeeds and not done.returncode, printed + done.stdout
        return succeeds, printed

    yield job
    # The resources stay: deleting their stack keeps the data, and a new stack would not take it.
    emulated_aws.client("cloudformation").delete_stack(StackName=environment["STACK"])


def break_it(resources: Template) -> None:
    """Add a resource that cannot be made."""
    nobody = {"TargetFunctionArn": "nobody", "AuthType": "NONE"}
    resources["Broken"] = {"Type": "AWS::Lambda::Url", "Properties": nobody}


def stack_of(emulated_aws: Any) -> dict[str, Any]:
    """Return the stack of prod."""
    stacks = emulated_aws.client("cloudformation").describe_stacks(StackName=f"{APP}-prod")
    found: dict[str, Any] = stacks["Stacks"][0]
    return found


@needs_aws_cli
def test_the_pipeline_says_why_a_first_deploy_failed_and_the_next_run_recovers(
    emulated_aws: Any, prod_job: Callable[..., Any]
) -> None:
    succeeds, printed = prod_job(break_it)
    assert not succeeds
    assert re.search(r"Broken.*not found: nobody", printed)
    assert stack_of(emulated_aws)["StackStatus"] == "ROLLBACK_COMPLETE"
    succeeds, printed = prod_job(lambda resources: None)
    assert succeeds, printed
    assert stack_of(emulated_aws)["StackStatus"] == "CREATE_COMPLETE"
    assert {"Key": "stage", "Value": "prod"} in stack_of(emulated_aws)["Tags"]


@needs_aws_cli
def test_the_pipeline_deploys_resources_that_may_not_have_changed(
    prod_job: Callable[..., Any], tmp_path: Path
) -> None:
    template = {
        "Parameters": {"App": {"Type": "String"}, "Stage": {"Type": "String"}},
        "Resources": {"Jobs": {"Type": "AWS::SQS::Queue"}},
    }
    if not any(tmp_path.glob("resources.*")):
        (tmp_path / "resources.json").write_text(json.dumps(template), encoding="utf-8")
    for _ in range(2):
        succeeds, printed = prod_job(lambda resources: None)
        assert succeeds, printed


@needs_aws_cli
def test_running_the_job_of_an_earlier_package_again_rolls_back(
    emulated_aws: Any, prod_job: Callable[..., Any]
) -> None:
    def memory() -> int:
        outputs = {
            item["OutputKey"]: item["OutputValue"] for item in stack_of(emulated_aws)["Outputs"]
        }
        functions = emulated_aws.client("lambda")
        name = outputs["APIHandlerName"]
        size: int = functions.get_function_configuration(FunctionName=name)["MemorySize"]
        return size

    assert prod_job(lambda resources: None)[0]
    before = memory()
    assert prod_job(lambda made: made["APIHandler"]["Properties"].update(MemorySize=before + 64))[0]
    assert memory() == before + 64
    assert prod_job(lambda resources: None)[0]
    assert memory() == before


@needs_aws_cli
def test_the_commands_of_the_production_page_work_in_the_emulated_aws(
    emulated_aws: Any, tmp_path: Path
) -> None:
    for name in ("app.py", "chalicelib", ".chalice", "production", "requirements.txt", "Makefile"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    queue = {
        "Type": "AWS::SQS::Queue",
        "Properties": {"QueueName": {"Fn::Sub": "${App}-${Stage}-q"}},
    }
    text = {"Type": "String"}
    resources = {"Parameters": {"App": text, "Stage": text}, "Resources": {"Queue": queue}}
    (tmp_path / ".chalice" / "resources.json").write_text(json.dumps(resources), encoding="utf-8")
    page = read("docs/production.md").partition("## The pipeline")[0]
    page = page.replace("AlarmEmail=you@example.com MonthlyBudget=50", "OidcProviderArn=any")
    port = emulated_aws.url.rpartition(":")[2]
    page = page.replace(
        "make logs STAGE=prod", f"make logs STAGE=prod AWS=emulated AWS_PORT={port}"
    )
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    account, data, deploy, look, delete, endpoint = blocks
    assert endpoint.startswith("export AWS_ENDPOINT_URL")
    for commands in (account, data, deploy, deploy, look):
        done = run(commands, tmp_path, MAKEFLAGS=f"VENV={sys.prefix}")
        assert done.returncode == 0, done.stdout
    outputs = {item["OutputKey"]: item["OutputValue"] for item in stack_of(emulated_aws)["Outputs"]}
    api = outputs["RestAPIId"]
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


def test_every_python_that_the_kit_accepts_is_tested() -> None:
    accepted = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', read("kit/pyproject.toml"))
    assert accepted
    matrix = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(accepted[1]), int(accepted[2]))]
