"""What reaches a function in the emulated AWS besides HTTP, and what a stack cannot make.

Queues, buckets and tables are in test_product.py.
"""

import json
import socket
import uuid
from typing import Any

import pytest

from chalicekit.variables import client_variables
from tests.emulated import PYTHON, client, log_of, make_role
from tests.processes import wait_until
from tests.project import CHALICE, TestProject

ACCOUNT = "us-east-1:000000000000"
APP = """
import boto3
from chalice import Chalice

app = Chalice(app_name="NAME")
app.experimental_feature_flags.update(["WEBSOCKETS"])
app.websocket_api.session = boto3.Session()

@app.on_sns_message(topic="NAME-news")
def told(event):
    print("told:", event.message, event.subject)

@app.on_ws_message()
def message(event):
    print("message:", event.body)
    app.websocket_api.send(event.connection_id, event.body.upper())
"""


@pytest.fixture(scope="module")
def app(aws: str, tmp_path_factory: pytest.TempPathFactory) -> TestProject:
    """An app with a topic and a WebSocket, which Chalice has deployed."""
    project = TestProject(tmp_path_factory.mktemp("app") / "project", aws, APP)
    project.environment |= client_variables(aws)
    client(aws, "sns").create_topic(Name=f"{project.name}-news")
    project.allow({"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": "*"})
    done = project.start(CHALICE, "--project-dir", str(project.folder), "deploy")
    assert done.returncode == 0, done.stderr
    return project


def has_logged(project: TestProject, function: str, line: str) -> bool:
    """Tell whether a function has written a line."""
    try:
        return line in log_of(project.aws, f"{project.name}-dev-{function}")
    except client(project.aws, "logs").exceptions.ResourceNotFoundException:
        return False


def test_a_topic_invokes_a_function(app: TestProject) -> None:
    client(app.aws, "sns").publish(TopicArn=f"arn:aws:sns:{ACCOUNT}:{app.name}-news", Message="hi")
    wait_until(lambda: has_logged(app, "told", "told: hi None"))


def test_a_function_sends_to_a_websocket(app: TestProject) -> None:
    apis = client(app.aws, "apigatewayv2").get_apis()["Items"]
    api = next(api["ApiId"] for api in apis if app.name in api["Name"])
    host = app.aws.removeprefix("http://")
    with socket.create_connection(host.split(":"), timeout=60) as connection:  # type: ignore[arg-type]
        connection.sendall(
            f"GET /_aws/execute-api/{api}/dev HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"\x81\x85" + bytes(4) + b"hello")  # RFC 6455, 5.2
        assert connection.recv(100) == b"\x81\x05HELLO"
    wait_until(lambda: has_logged(app, "websocket_message", "message: hello"))


def make_stack(aws: str, **resources: Any) -> tuple[str, str]:
    """Make a stack; return its status in the end and the reason of its first failure."""
    stacks, name = client(aws, "cloudformation"), f"stack-{uuid.uuid4().hex[:8]}"
    template = json.dumps({"Resources": resources})
    stacks.create_stack(StackName=name, TemplateBody=template)
    stack: dict[str, str] = {}

    def is_finished() -> bool:
        stack.update(stacks.describe_stacks(StackName=name)["Stacks"][0])
        return stack["StackStatus"] in ("CREATE_COMPLETE", "ROLLBACK_COMPLETE", "CREATE_FAILED")

    wait_until(is_finished)
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    failures = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    return stack["StackStatus"], failures[-1]["ResourceStatusReason"] if failures else ""


def function_of_a_stack(aws: str, **variables: str) -> dict[str, Any]:
    """Return the resource of a function without permissions."""
    role = f"arn:aws:iam::000000000000:role/{make_role(aws)}"
    code = {"ZipFile": "def handler(*_): return 1"}
    properties = {"Runtime": PYTHON, "Handler": "index.handler", "Role": role, "Code": code}
    environment = {"Environment": {"Variables": variables}}
    return {"Type": "AWS::Lambda::Function", "Properties": properties | environment}


def test_a_stack_with_a_reserved_variable_fails(aws: str) -> None:
    status, reason = make_stack(aws, Function=function_of_a_stack(aws, AWS_REGION="eu-west-1"))
    assert status != "CREATE_COMPLETE"
    assert "Reserved keys used in this request: AWS_REGION" in reason


def test_a_stack_with_a_queue_that_its_function_may_not_read_fails(aws: str) -> None:
    properties = {
        "FunctionName": {"Ref": "Function"},
        "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
    }
    source = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}
    queue, function = {"Type": "AWS::SQS::Queue"}, function_of_a_stack(aws)
    status, reason = make_stack(aws, Queue=queue, Function=function, Source=source)
    assert status != "CREATE_COMPLETE"
    assert "does not have permissions to call ReceiveMessage on SQS" in reason


def test_a_stack_with_two_variables_in_one_path_segment_fails(aws: str) -> None:
    body = {"swagger": "2.0", "info": {"title": "api"}, "paths": {"/{a}": {}, "/{b}/c": {}}}
    api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": body}}
    status, reason = make_stack(aws, Api=api)
    assert status != "CREATE_COMPLETE"
    assert "A sibling ({a}) of this resource already has a variable path part" in reason
