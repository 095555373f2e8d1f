"""Deploying, and what depends on it: addresses, logs, rights, and what is refused."""

import fcntl
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from emulated.events import proxy_event
from tests.processes import REPOSITORY
from tests.project import Project, client


def get(url: str) -> requests.Response:
    """Return the answer to a GET."""
    return requests.get(url, timeout=60)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is deployed, and that tests leave so."""
    project = Project(tmp_path_factory.mktemp("deployed") / "project")
    project.deploy()
    return project


def address(project: Project) -> str:
    """Return what `make url` prints, with no slash at its end."""
    return project.make("url").strip("\n/")


@pytest.mark.xdist_group("deployed")
def test_chalice_invoke_answers(deployed: Project) -> None:
    event = json.dumps(proxy_event("/"))
    invoke = ["--project-dir", "build/dev", "invoke", "--name", "api_handler"]
    assert json.loads(deployed.chalice(*invoke, stdin=event))["body"] == "a sample"


@pytest.mark.xdist_group("deployed")
def test_an_error_is_a_plain_500_and_its_traceback_is_in_the_logs(deployed: Project) -> None:
    answer = get(address(deployed) + "/error")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    logs = deployed.make("logs")
    assert "Traceback" in logs
    assert "ValueError: a secret" in logs


@pytest.mark.xdist_group("deployed")
def test_logs_are_those_of_the_last_ten_minutes(deployed: Project) -> None:
    get(address(deployed))
    group = {"logGroupName": f"/aws/lambda/{deployed.name}-dev"}
    stream = client("logs").describe_log_streams(**group)["logStreams"][0]["logStreamName"]
    events = [
        {"timestamp": int((time.time() - 60 * minutes) * 1000), "message": f"{minutes} minutes ago"}
        for minutes in (11, 9)
    ]
    client("logs").put_log_events(**group, logStreamName=stream, logEvents=events)
    logs = deployed.make("logs")
    assert "9 minutes ago" in logs
    assert "11 minutes ago" not in logs


@pytest.mark.xdist_group("deployed")
def test_a_record_that_is_cut_is_recovered(deployed: Project) -> None:
    record = deployed.folder / "build" / "emulated" / "dev.json"
    content = record.read_text(encoding="utf-8")
    url = address(deployed)
    for cut in (content[: len(content) // 2], "", "{}"):
        record.write_text(cut, encoding="utf-8")
        assert address(deployed) == url


@pytest.mark.xdist_group("deployed")
def test_lambda_scales_with_the_load(deployed: Project, record_property: Any) -> None:
    url = address(deployed) + "/process"

    def instances(requests: int, connections: int) -> int:
        with ThreadPoolExecutor(connections) as threads:
            responses = list(threads.map(lambda _: get(url), range(requests)))
        assert {response.status_code for response in responses} == {200}
        return len({response.text for response in responses})

    one, many = instances(20, 1), instances(1000, 32)
    record_property("shown", f"Scaling: 1 connection met {one} Lambda instance, 32 met {many}.")
    assert one == 1
    assert 4 < many < 100


def test_a_second_deploy_changes_the_answer_and_not_the_address(project: Project) -> None:
    url = project.deploy()
    assert get(url).text == "a sample"
    project.change("a sample", "a change")
    assert project.deploy() == url == address(project)
    assert get(url).text == "a change"


def test_dev_and_prod_stand_side_by_side_until_they_are_deleted(project: Project) -> None:
    dev, prod = project.deploy("dev"), project.deploy("prod")
    folder = project.folder / ".chalice"
    config = json.loads((folder / "config.json").read_text())
    for stage, settings in config["stages"].items():
        name = f"{project.name}-{stage}"
        function = client("lambda").get_function(FunctionName=name)
        assert function["Configuration"]["MemorySize"] == settings["lambda_memory_size"]
        assert function["Configuration"]["Timeout"] == settings["lambda_timeout"]
        variables = function["Configuration"].get("Environment", {}).get("Variables", {})
        assert variables == settings.get("environment_variables", {})
        assert function["Tags"]["stage"] == stage
        role = {"RoleName": f"{name}-api_handler"}
        (policy,) = client("iam").list_role_policies(**role)["PolicyNames"]
        document = client("iam").get_role_policy(**role, PolicyName=policy)["PolicyDocument"]
        assert document == json.loads((folder / f"policy-{stage}.json").read_text())
    project.make("delete", "dev")
    assert get(prod).text == "a sample"
    assert get(dev).status_code != 200
    for _ in range(2):  # nothing left to do is no error
        deleted = project.make("delete", "prod")
        assert deleted.endswith("Nothing of it is left in AWS but the logs.\n")
        assert "{" not in deleted  # no line of a log
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}


def test_chalice_alone_deploys_too(project: Project) -> None:
    project.chalice("deploy", "--stage", "dev")
    assert get(address(project)).text == "a sample"


def refusal(project: Project, command: str, stage: str = "dev", **environment: str) -> str:
    """Run a command that must fail and say so in one line; return the line."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.deploy", command, stage],
        cwd=project.folder,
        env={k: v for k, v in (project.environment | environment).items() if v},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    return done.stderr


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_DEFAULT_REGION": ""}, "No region is set: choose one"),
        ({"AWS_PROFILE": "nobody"}, "The AWS settings are not usable: The config profile"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1"}, "The AWS settings are not usable: Invalid endpoint"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer"),
        ({"AWS_ACCESS_KEY_ID": ""}, "No AWS credentials are set: run `aws configure`"),
    ],
)
def test_what_is_wrong_with_the_environment_is_said_in_one_line(
    project: Project, environment: dict[str, str], message: str
) -> None:
    assert refusal(project, "deploy", **environment).startswith(message)


@pytest.mark.parametrize("command", ["deploy", "url", "logs", "delete"])
def test_every_command_refuses_a_stage_that_is_not_configured(
    project: Project, command: str
) -> None:
    message = "STAGE=prd is not in .chalice/config.json: choose dev or prod.\n"
    assert refusal(project, command, "prd") == message


@pytest.mark.parametrize("body", ["<!doctype html><p>hello</p>", '{"hello": "world"}', "\0\xff"])
def test_a_server_that_is_not_aws_is_named(project: Project, body: str) -> None:
    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        url = f"http://127.0.0.1:{server.server_port}"
        message = refusal(project, "deploy", AWS_ENDPOINT_URL=url)
        server.shutdown()
    assert message == f"{url} does not answer as AWS does: is it another server?\n"


def test_an_endpoint_of_the_aws_configuration_is_an_emulated_aws(
    project: Project, tmp_path: Path
) -> None:
    endpoint = project.environment.pop("AWS_ENDPOINT_URL")
    (tmp_path / "config").write_text(f"[default]\nendpoint_url = {endpoint}\n")
    command = [sys.executable, "-m", "tools.deploy", "deploy", "dev"]
    printed = project.run(*command, AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_ENDPOINT_URL="")
    assert get(printed.split()[-1]).text == "a sample"
    assert not (project.folder / ".chalice" / "deployed").exists()


def test_a_stage_without_a_policy_is_refused(project: Project) -> None:
    (project.folder / ".chalice" / "policy-dev.json").unlink()
    message = refusal(project, "deploy")
    assert message.startswith(".chalice/policy-dev.json is missing: copy another stage's policy")


def test_a_policy_that_was_copied_from_another_stage_is_refused(project: Project) -> None:
    folder = project.folder / ".chalice"
    shutil.copy(folder / "policy-prod.json", folder / "policy-dev.json")
    message = f".chalice/policy-dev.json does not let {project.name}-dev write its log: allow"
    assert refusal(project, "deploy").startswith(message)


def test_one_command_at_a_time_works_on_a_stage(project: Project) -> None:
    (project.folder / "build").mkdir()
    with (project.folder / "build" / "dev.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        message = "Another command is at work on dev: try again when it has ended.\n"
        assert refusal(project, "deploy") == message
        assert "is not deployed: run `make deploy STAGE=dev`" in refusal(project, "url")


def test_a_stage_that_is_a_stack_shows_its_logs_and_is_not_deployed_over(project: Project) -> None:
    function = {
        "FunctionName": f"{project.name}-prod-APIHandler-1A2B3C",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/role",
        "Runtime": "python3.13",
        "Code": {"ZipFile": "def handler(event, context): pass"},
        "Tags": [{"Key": "aws-chalice", "Value": f"version=1:stage=prod:app={project.name}"}],
    }
    template = {"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": function}}}
    stacks = client("cloudformation")
    stacks.create_stack(StackName=project.name, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(
        StackName=project.name, WaiterConfig={"Delay": 1}
    )
    for command in ("deploy", "url", "delete"):
        message = f"STAGE=prod is the CloudFormation stack {project.name}: use `aws cloudformation`"
        assert refusal(project, command, "prod").startswith(message)
    assert f"/aws/lambda/{function['FunctionName']}:" in project.make("logs", "prod")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_function_may_write_the_logs_of_its_stage_and_nothing_else(stage: str) -> None:
    policy = json.loads((REPOSITORY / ".chalice" / f"policy-{stage}.json").read_text())
    (statement,) = policy["Statement"]
    assert {action.partition(":")[0] for action in statement["Action"]} == {"logs"}
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/hello-chalice-{stage}"
    assert statement["Resource"] == [group, f"{group}:*", f"{group}-*"]


# Put where Python runs it at each start, it writes down what AWS is asked to do.
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
# What needs no statement, and what is no call: IAM asks for it when a function gets its role
NOT_GRANTED, NOT_CALLED = {"sts:GetCallerIdentity"}, {"iam:PassRole"}


def deployer_policy(name: str) -> list[dict[str, Any]]:
    """Return the statements of one of the two policies for who deploys."""
    text = (REPOSITORY / ".chalice" / f"deployer-policy-{name}.json").read_text()
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def give_role(project: Project) -> None:
    """Make a role for the functions of dev, named as Chalice names its own, and configure it."""
    name = f"{project.name}-dev-api_handler"
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    given = {"manage_iam_role": False, "iam_role_arn": role["Role"]["Arn"]}
    settings = json.dumps(given)[1:-1]
    project.change('"dev": {', f'"dev": {{{settings}, ', ".chalice/config.json")


@pytest.mark.parametrize("policy", ["makes-roles", "given-role"])
def test_a_deployer_may_do_what_a_deploy_does_and_nothing_else(
    project: Project, tmp_path: Path, policy: str
) -> None:
    if policy == "given-role":
        give_role(project)
    (tmp_path / "sitecustomize.py").write_text(RECORD)
    recorded = {"PYTHONPATH": str(tmp_path), "RECORDED": str(tmp_path / "recorded")}
    for command in ("deploy", "url", "logs", "deploy", "delete"):
        project.run(sys.executable, "-m", "tools.deploy", command, "dev", **recorded)
        if command == "url":  # so that the second deploy takes a tag away and adds one
            project.change('"stage": "dev"', '"team": "blue"', ".chalice/config.json")
    assert project.left_in_aws()["roles"] == (1 if policy == "given-role" else 0)
    called = set((tmp_path / "recorded").read_text().split())
    actions = [statement["Action"] for statement in deployer_policy(policy)]
    granted = {
        name for action in actions for name in ([action] if isinstance(action, str) else action)
    }
    assert granted == called - NOT_GRANTED | NOT_CALLED


def test_the_deployer_of_dev_who_is_given_a_role_cannot_touch_prod() -> None:
    arns = [
        "arn:aws:lambda:us-east-1:123456789012:function:hello-chalice-prod",
        "arn:aws:iam::123456789012:role/hello-chalice-prod-function",
        "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/hello-chalice-prod",
    ]
    for statement in deployer_policy("given-role"):
        resources = statement["Resource"]
        allowed = [resources] if isinstance(resources, str) else resources
        reached = [arn for arn in arns for resource in allowed if fnmatch(arn, resource)]
        assert reached == [] or statement["Action"] == "lambda:ListFunctions"
