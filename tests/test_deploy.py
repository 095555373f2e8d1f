"""The service deployed: the real CLI and package, over HTTP through API Gateway and Lambda."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from emulated.events import proxy_event
from emulated.faulty_endpoint import Fault, faulty_endpoint
from tests.processes import REPOSITORY
from tests.project import Project, client


def get(url: str) -> requests.Response:
    """Return the answer to a GET."""
    return requests.get(url, timeout=60)


def test_chalice_invoke_answers(project: Project) -> None:
    project.deploy()
    event = json.dumps(proxy_event("/"))
    invoke = ["--project-dir", "build/dev", "invoke", "--name", "api_handler"]
    assert json.loads(project.chalice(*invoke, stdin=event))["body"] == "a sample"


def test_a_second_deploy_changes_the_answer_and_not_the_address(project: Project) -> None:
    url = project.deploy()
    assert get(url).text == "a sample"
    project.change("a sample", "a change")
    assert project.deploy() == url
    assert get(url).text == "a change"
    assert project.make("url").strip("\n/") == url


def test_dev_and_prod_stand_side_by_side(project: Project) -> None:
    dev, prod = project.deploy("dev"), project.deploy("prod")
    config = json.loads((project.folder / ".chalice" / "config.json").read_text())
    for stage, settings in config["stages"].items():
        name = f"{project.name}-{stage}"
        function = client("lambda").get_function(FunctionName=name)
        assert function["Configuration"]["MemorySize"] == settings["lambda_memory_size"]
        assert function["Configuration"]["Timeout"] == settings["lambda_timeout"]
        variables = function["Configuration"].get("Environment", {}).get("Variables", {})
        assert variables == settings.get("environment_variables", {})
        assert function["Tags"]["stage"] == stage
    project.make("delete", "dev")
    assert get(prod).text == "a sample"
    assert get(dev).status_code != 200


def test_an_error_is_a_plain_500_and_its_traceback_is_in_the_logs(project: Project) -> None:
    answer = get(project.deploy() + "/error")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    logs = project.make("logs")
    assert "Traceback" in logs
    assert "ValueError: a secret" in logs


def test_delete_leaves_nothing_but_logs(project: Project) -> None:
    url = project.deploy()
    assert get(url).status_code == 200
    project.make("delete")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 0}
    project.make("delete")  # nothing left to do is no error


def test_chalice_alone_deploys_too(project: Project) -> None:
    project.chalice("deploy", "--stage", "dev")
    assert get(project.make("url").strip("\n/")).text == "a sample"


def break_off(project: Project, fault: Fault, request: str) -> str:
    """Deploy, with a fault at a request; return what is printed."""
    with faulty_endpoint(project.environment["AWS_ENDPOINT_URL"], fault, request) as endpoint:
        deploy = subprocess.Popen(
            [sys.executable, "-m", "tools.deploy", "deploy", "dev"],
            cwd=project.folder,
            env=project.environment | {"AWS_ENDPOINT_URL": endpoint.url, "AWS_MAX_ATTEMPTS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        end = signal.SIGKILL if fault is Fault.KILLED else signal.SIGINT
        endpoint.on_fault = lambda: os.killpg(deploy.pid, end)
        printed, _ = deploy.communicate(timeout=60)
    assert deploy.returncode != 0
    return printed


@pytest.mark.parametrize(
    ("fault", "request_name", "message"),
    [
        (Fault.KILLED, "Action=CreateRole", ""),
        (Fault.KILLED, "POST /2015-03-31/functions ", ""),
        (Fault.KILLED, "POST /restapis", ""),  # the API is there, and nobody knows its id
        (Fault.CTRL_C, "POST /restapis/.*/deployments", "Stopped. To go on, run it again."),
        (Fault.REFUSED, "Action=PutRolePolicy", "AWS refuses: An error occurred (403)"),
        (Fault.ENDPOINT_DOWN, "POST /2015-03-31/functions/.*/policy", "does not answer"),
    ],
)
def test_a_deploy_that_breaks_off_can_be_run_again(
    project: Project, fault: Fault, request_name: str, message: str
) -> None:
    printed = break_off(project, fault, request_name)
    assert message in printed
    assert "Traceback" not in printed
    assert requests.get(project.deploy(), timeout=60).text == "a sample"
    assert project.left_in_aws() == {"apis": 1, "functions": 1, "roles": 1}


def test_lambda_scales_with_the_load(project: Project, record_property: Any) -> None:
    url = project.deploy() + "/process"

    def instances(requests: int, connections: int) -> int:
        with ThreadPoolExecutor(connections) as threads:
            responses = list(threads.map(lambda _: get(url), range(requests)))
        assert {response.status_code for response in responses} == {200}
        return len({response.text for response in responses})

    one, many = instances(20, 1), instances(1000, 32)
    record_property("shown", f"Scaling: 1 connection met {one} Lambda instance, 32 met {many}.")
    assert one == 1
    assert 4 < many < 100


def test_the_cloudformation_template_makes_a_stack_that_answers(project: Project) -> None:
    package = project.package()
    client("s3").create_bucket(Bucket=project.name)
    client("s3").put_object(
        Bucket=project.name, Key="deployment.zip", Body=(package / "deployment.zip").read_bytes()
    )
    template = (package / "sam.json").read_text()
    stacks = client("cloudformation")
    stacks.create_stack(
        StackName=project.name,
        TemplateBody=template.replace("./deployment.zip", f"s3://{project.name}/deployment.zip"),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stacks.get_waiter("stack_create_complete").wait(
        StackName=project.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    outputs = stacks.describe_stacks(StackName=project.name)["Stacks"][0]["Outputs"]
    api = next(it["OutputValue"] for it in outputs if it["OutputKey"] == "RestAPIId")
    endpoint = project.environment["AWS_ENDPOINT_URL"]
    assert get(f"{endpoint}/_aws/execute-api/{api}/dev/").text == "a sample"


@pytest.mark.parametrize(
    ("environment", "stage", "message"),
    [
        ({}, "prd", "STAGE=prd is not in .chalice/config.json: choose dev or prod."),
        ({"AWS_DEFAULT_REGION": ""}, "dev", "No region is set: choose one"),
        ({"AWS_PROFILE": "nobody"}, "dev", "The AWS settings are not usable: The config profile"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "dev", "http://127.0.0.1:9 does not answer"),
        ({"AWS_ACCESS_KEY_ID": ""}, "dev", "No AWS credentials are set: run `aws configure`"),
    ],
)
@pytest.mark.parametrize("command", ["deploy", "url", "logs", "delete"])
def test_what_a_user_can_mend_is_said_in_one_line(
    project: Project, command: str, environment: dict[str, str], stage: str, message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.deploy", command, stage],
        cwd=project.folder,
        env={k: v for k, v in (project.environment | environment).items() if v},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_function_may_write_the_logs_of_its_stage_and_nothing_else(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", app=REPOSITORY)
    project.deploy("prod")
    role = {"RoleName": f"{project.name}-prod-api_handler"}
    (policy,) = client("iam").list_role_policies(**role)["PolicyNames"]
    document = client("iam").get_role_policy(**role, PolicyName=policy)["PolicyDocument"]
    (statement,) = document["Statement"]
    assert {action.partition(":")[0] for action in statement["Action"]} == {"logs"}
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{project.name}-prod"
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
    """Make a role for the functions of dev, and let its deploys make none."""
    role = client("iam").create_role(RoleName=project.name, AssumeRolePolicyDocument="{}")
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
    project.make("deploy", **recorded)
    project.change('"stage": "dev"', '"team": "blue"', ".chalice/config.json")
    for command in ("deploy", "url", "logs", "delete"):
        project.make(command, **recorded)
    called = set((tmp_path / "recorded").read_text().split())
    actions = [statement["Action"] for statement in deployer_policy(policy)]
    granted = {
        name for action in actions for name in ([action] if isinstance(action, str) else action)
    }
    assert granted == called - NOT_GRANTED | NOT_CALLED
