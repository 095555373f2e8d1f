"""A deploy that is interrupted, or that has no record, loses no resource."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import requests
from botocore.session import Session

from tests.faulty_endpoint import Fault, faulty_endpoint
from tests.project import Project, client
from chalicekit.inventory import StageInAws, resource

SCHEDULE = """

@app.schedule("rate(1 hour)")
def tick(event):
    pass
"""
QUEUE = """

@app.on_sqs_message(queue="NAME")
def queue_reader(event):
    pass
"""
WEBSOCKET = """

app.experimental_feature_flags.update(["WEBSOCKETS"])

@app.on_ws_message()
def message(event):
    pass
"""
EVERYTHING_ELSE = """

from chalice import AuthResponse

@app.authorizer()
def allow(request):
    return AuthResponse(routes=["*"], principal_id="somebody")

@app.route("/guarded", authorizer=allow)
def guarded():
    return {}

@app.lambda_function()
def plain(event, context):
    pass

@app.on_s3_event(bucket="NAME")
def bucket_reader(event):
    pass

@app.on_sns_message(topic="NAME")
def topic_reader(event):
    pass
"""
# What AWS lists, and how that is named
LISTS = [
    ("lambda", "list_functions", "Functions", "FunctionArn"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"),
    ("iam", "list_roles", "Roles", "Arn"),
    ("events", "list_rules", "Rules", "Arn"),
    ("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    ("apigateway", "get_rest_apis", "items", "name"),
    ("apigateway", "get_domain_names", "items", "domainName"),
    ("apigatewayv2", "get_apis", "Items", "Name"),
]


def resources_in_aws(project: Project) -> list[str]:
    """Return the names of all that AWS has of a project."""
    names = [
        item[name]
        for service, operation, key, name in LISTS
        for item in client(service).get_paginator(operation).paginate().build_full_result()[key]
    ]
    return sorted(name for name in names if project.name in name)


def forget(project: Project) -> None:
    """Remove the record, as a fresh clone has none."""
    (project.folder / "build" / "emulated" / "dev.json").unlink()


def interrupted(project: Project, fault: Fault, request: str, command: str = "deploy") -> str:
    """Run a command that a fault at a request interrupts; return what is printed."""
    with faulty_endpoint(project.environment["AWS_ENDPOINT_URL"], fault, request) as endpoint:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.deploy", command, "dev"],
            cwd=project.folder,
            env=project.environment | {"AWS_ENDPOINT_URL": endpoint.url, "AWS_MAX_ATTEMPTS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        end = signal.SIGKILL if fault is Fault.KILLED else signal.SIGINT
        endpoint.on_fault = lambda: os.killpg(process.pid, end)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    return printed


def test_an_interrupted_deploy_can_be_rerun(project: Project) -> None:
    project.append(QUEUE.replace("NAME", project.name))
    client("sqs").create_queue(QueueName=project.name)
    for fault, request, message in [
        (Fault.REFUSED, "Action=PutRolePolicy", "AWS refused: An error occurred (403)"),
        (Fault.KILLED, "POST /2015-03-31/functions ", ""),
        (Fault.KILLED, "POST /2015-03-31/event-source-mappings", ""),
        (Fault.KILLED, "POST /restapis", ""),  # the API is there, and nobody knows its id
        (Fault.CTRL_C, "POST /restapis/.*/deployments", "Stopped. To continue, run the command"),
    ]:
        printed = interrupted(project, fault, request)
        assert message in printed
        assert "Traceback" not in printed
    assert requests.get(project.deploy(), timeout=60).text == "a sample"
    assert project.left_in_aws() == {"apis": 1, "functions": 2, "roles": 2}


def test_delete_finds_a_role_whose_function_was_not_created(project: Project) -> None:
    interrupted(project, Fault.ENDPOINT_DOWN, "POST /2015-03-31/functions ")
    assert project.left_in_aws() == {"apis": 0, "functions": 0, "roles": 1}
    project.make("delete")
    assert resources_in_aws(project) == []


def create_by_hand(project: Project) -> list[str]:
    """Create a role and a function whose names begin as the stage's do; return their ARNs."""
    name = f"{project.name}-dev-by-hand"
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", "")
    settings = {"Runtime": "python3.13", "Handler": "app.app", "Role": role}
    function = client("lambda").create_function(
        FunctionName=name, Code={"ZipFile": code.getvalue()}, **settings
    )
    return sorted([role, function["FunctionArn"]])


def test_deploy_and_delete_find_every_kind_of_resource_without_a_record(project: Project) -> None:
    by_hand = create_by_hand(project)
    code = SCHEDULE + QUEUE + WEBSOCKET + EVERYTHING_ELSE
    project.append(code.replace("NAME", project.name))
    client("sqs").create_queue(QueueName=project.name)
    client("s3").create_bucket(Bucket=project.name)
    client("sns").create_topic(Name=project.name)
    domain = {"domain_name": f"{project.name}.example.com", "certificate_arn": "arn:aws:acm:::1"}
    setting = f'"api_gateway_custom_domain": {json.dumps(domain)}, "stages"'
    project.change('"stages"', setting, ".chalice/config.json")
    websocket = project.make("deploy").split()[-1]
    assert websocket.startswith(project.environment["AWS_ENDPOINT_URL"].replace("http", "ws"))
    deployed = resources_in_aws(project)
    assert len(deployed) == len(by_hand) + 2 * 8 + 6  # functions, their roles, callers, APIs
    forget(project)
    project.change(SCHEDULE, "")
    project.make("deploy")
    assert resources_in_aws(project) == [name for name in deployed if "-tick" not in name]
    forget(project)
    project.make("delete")
    assert resources_in_aws(project) == by_hand
    bucket = client("s3").get_bucket_notification_configuration(Bucket=project.name)
    assert not bucket.get("LambdaFunctionConfigurations")


def test_an_incomplete_websocket_api_is_completed(project: Project) -> None:
    project.append(WEBSOCKET)
    interrupted(project, Fault.KILLED, "POST /v2/apis/.*/stages")
    project.make("deploy")
    apis = client("apigatewayv2").get_apis()["Items"]
    (api,) = (api["ApiId"] for api in apis if project.name in api["Name"])
    assert client("apigatewayv2").get_stages(ApiId=api)["Items"]


def second_api(project: Project) -> str:
    """Create another API that calls the function; return its id."""
    apis = client("apigateway")
    api = apis.create_rest_api(name=project.name)["id"]
    (root,) = apis.get_resources(restApiId=api)["items"]
    method = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    apis.put_method(**method, authorizationType="NONE")
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{project.name}-dev"
    path = f"lambda:path/2015-03-31/functions/{function}/invocations"
    apis.put_integration(
        **method,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:us-east-1:{path}",
    )
    return str(api)


def test_the_recorded_api_is_used_and_delete_removes_both(project: Project) -> None:
    first = project.deploy().split("/")[-2]
    second = second_api(project)
    stage = StageInAws(project.settings(), Session(), deleting=False)
    for api in (first, second):
        used = stage.resources([resource("rest_api", "rest_api", rest_api_id=api)])
        assert [item["rest_api_id"] for item in used if "rest_api_id" in item] == [api]
    printed = interrupted(project, Fault.IGNORED, "DELETE /restapis/", "delete")
    assert re.search(
        r"\nStill in AWS: rest_api, rest_api-\w+\. To continue, run the command again\.\n$", printed
    )
    project.make("delete")
    assert resources_in_aws(project) == []


def test_a_record_of_an_older_name_is_kept(project: Project) -> None:
    record = project.folder / "build" / "emulated" / "dev.json"
    record.parent.mkdir(parents=True)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:older-name-dev"
    content = {"resources": [resource("lambda_function", "api_handler", lambda_arn=arn)]}
    record.write_text(json.dumps(content))
    message = "build/emulated/dev.json is about older-name-dev, a previous name of the app: run"
    assert project.refusal("deploy").startswith(message)
    assert json.loads(record.read_text()) == content


def test_an_interrupted_change_of_a_queue_leaves_the_new_one(project: Project) -> None:
    old, new = (f"{project.name}-{name}" for name in ("old", "new"))
    for name in (old, new):
        client("sqs").create_queue(QueueName=name)
    project.append(QUEUE.replace("NAME", old))
    project.deploy()
    function = f"{project.name}-dev-queue_reader"
    arn = f"arn:aws:sqs:us-east-1:000000000000:{new}"
    client("lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=arn)
    project.change(old, new)
    project.deploy()
    left = client("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    assert [mapping["EventSourceArn"] for mapping in left] == [arn]
