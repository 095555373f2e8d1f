"""The service deployed: the real CLI and package, over HTTP through API Gateway and Lambda."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from emulated.events import proxy_event
from emulated.faulty_endpoint import Fault, faulty_endpoint
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


# A first deploy is 16 requests: then the role is there, the function, the API, all but its stage.
@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("after", [6, 8, 12, 15])
def test_a_deploy_that_breaks_off_can_be_run_again(
    project: Project, fault: Fault, after: int
) -> None:
    with faulty_endpoint(project.environment["AWS_ENDPOINT_URL"], fault, after) as endpoint:
        first = subprocess.Popen(
            [sys.executable, "-m", "tools.deploy", "deploy", "dev"],
            cwd=project.folder,
            env=project.environment | {"AWS_ENDPOINT_URL": endpoint.url, "AWS_MAX_ATTEMPTS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        end = signal.SIGKILL if fault is Fault.KILLED else signal.SIGINT
        endpoint.on_fault = lambda: os.killpg(first.pid, end)
        said, _ = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "Traceback" not in said
    assert get(project.deploy()).text == "a sample"
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
