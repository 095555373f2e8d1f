"""What reaches a function in the emulated AWS besides HTTP: a topic's and a WebSocket's messages.

Queues, buckets and tables are in test_product.py.
"""

import socket
from urllib.parse import urlsplit

import pytest

from chalicekit.variables import client_variables
from tests.emulated import client, log_of
from tests.processes import wait_until
from tests.sample import CHALICE, Sample

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
def app(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """An app with a topic and a WebSocket, which Chalice has deployed."""
    sample = Sample(tmp_path_factory.mktemp("app") / "project", aws, APP)
    sample.environment |= client_variables(aws)
    client(aws, "sns").create_topic(Name=f"{sample.name}-news")
    sample.allow({"Effect": "Allow", "Action": "execute-api:ManageConnections", "Resource": "*"})
    done = sample.execute(CHALICE, "--project-dir", str(sample.folder), "deploy")
    assert done.returncode == 0, done.stderr
    return sample


def has_logged(sample: Sample, function: str, line: str) -> bool:
    """Tell whether a function has written a line."""
    try:
        return line in log_of(sample.aws, f"{sample.name}-dev-{function}")
    except client(sample.aws, "logs").exceptions.ResourceNotFoundException:
        return False


def test_a_topic_invokes_a_function(app: Sample) -> None:
    topic = f"arn:aws:sns:us-east-1:000000000000:{app.name}-news"
    client(app.aws, "sns").publish(TopicArn=topic, Message="hi")
    wait_until(lambda: has_logged(app, "told", "told: hi None"))


def open_websocket(url: str) -> socket.socket:
    """Return a connection after the handshake of a WebSocket (RFC 6455, 4.1)."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port or 80), timeout=60)
    connection.sendall(
        f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert connection.recv(1000).startswith(b"HTTP/1.1 101 ")
    return connection


def test_a_function_sends_to_a_websocket(app: Sample) -> None:
    apis = client(app.aws, "apigatewayv2").get_apis()["Items"]
    api = next(api["ApiId"] for api in apis if app.name in api["Name"])
    with open_websocket(f"{app.aws}/_aws/execute-api/{api}/dev") as connection:
        connection.sendall(b"\x81\x85" + bytes(4) + b"hello")  # RFC 6455, 5.2
        assert connection.recv(100) == b"\x81\x05HELLO"
    wait_until(lambda: has_logged(app, "websocket_message", "message: hello"))
