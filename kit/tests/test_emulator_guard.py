"""Who may send requests to the emulated AWS: no page of another site in this machine's browsers."""

import http.client
import socket
from urllib.parse import urlsplit

import pytest

from tests.emulated import client, deploy_echo

OWN, FIREFOX = "http://127.0.0.1:{port}", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"
CREATE_STACK = "/?Action=CreateStack&Version=2010-05-15&StackName=evil&TemplateBody=%7B%7D"
ADMIN = "/_ministack/reset"


def port_of(url: str) -> int:
    """Return the port of an emulated AWS."""
    return urlsplit(url).port or 0


def status(aws: str, path: str, headers: dict[str, str], method: str = "POST") -> int:
    """Send a request with these headers, in which `{port}` is replaced; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(aws), timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value.format(port=port_of(aws)))
    connection.endheaders()
    with connection.getresponse() as response:
        connection.close()
        return response.status


# The request reaches this machine by another name or port
HOSTS = [
    "evil.example",  # DNS rebinding
    "127.0.0.1.evil.example:{port}",  # a name of theirs that begins as this machine's
    "a1.execute-api.localhost.evil.example:{port}",  # or as an API's
    "evil.localhost:{port}",  # no name of the emulated AWS
    "0.0.0.0:{port}",  # this machine, for some browsers
    "[::1]:{port}",  # the emulated AWS has IPv4 only
    "127.0.0.1:1",  # another program of this machine
    "",
]
# Of a page that uses fetch, a form or a WebSocket; the request is for 127.0.0.1
ORIGINS = ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost:{port}"]


@pytest.mark.parametrize(
    "headers",
    [
        *[{"Host": host} for host in HOSTS],
        *[{"Origin": origin} for origin in ORIGINS],
        # A page that uses an image, a frame, a link or a form
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of localhost
        {"Referer": "https://evil.example/page"},
        {"User-Agent": FIREFOX},  # a browser that does not say for whom
    ],
)
@pytest.mark.parametrize("path", ["/", CREATE_STACK, ADMIN])
def test_another_site_is_refused(aws: str, path: str, headers: dict[str, str]) -> None:
    assert {status(aws, path, headers, method) for method in ("GET", "POST", "OPTIONS")} == {403}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "127.0.0.1:{port}"},
        {"Host": "LocalHost:{port}"},
        {"Host": "localhost"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"User-Agent": FIREFOX, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"User-Agent": FIREFOX, "Sec-Fetch-Site": "same-origin", "Referer": OWN + "/page"},
    ],
)
def test_this_machine_and_an_address_that_is_typed_are_served(
    aws: str, headers: dict[str, str]
) -> None:
    assert status(aws, "/_ministack/health", headers, "GET") == 200


def test_a_page_calls_a_deployed_api_on_either_of_its_addresses(aws: str) -> None:
    api = deploy_echo(aws)
    page = {"Origin": "https://page.example", "Sec-Fetch-Site": "cross-site", "User-Agent": FIREFOX}
    assert status(aws, f"/_aws/execute-api/{api.id}/dev/", page, "GET") == 200
    named = page | {"Host": f"{api.id}.execute-api.localhost:{{port}}"}
    assert status(aws, "/dev/", named, "GET") == 200


@pytest.mark.parametrize("path", ["/", CREATE_STACK, ADMIN, "/health"])
def test_an_api_s_name_leads_to_the_api_only(aws: str, path: str) -> None:
    api, stacks = deploy_echo(aws), client(aws, "cloudformation")
    headers = {"Host": f"{api.id}.execute-api.localhost:{{port}}", "Sec-Fetch-Site": "cross-site"}
    assert status(aws, path, headers) in (403, 404)
    assert status(aws, f"/_aws/execute-api/{api.id}/dev/", {}, "GET") == 200  # no reset
    assert "evil" not in {stack["StackName"] for stack in stacks.list_stacks()["StackSummaries"]}


@pytest.mark.parametrize(
    "path",
    [
        "/_aws/execute-api/",
        "/_aws/execute-api/a1b2c3d4?Action=CreateStack",
        "/_aws/execute-api//dev/?Action=CreateStack",
        "/_aws/execute-api/%2e%2e/%2e%2e/?Action=CreateStack",
        "/_aws/sqs/messages",
    ],
)
def test_a_path_that_resembles_an_api_s_is_refused_to_another_site(aws: str, path: str) -> None:
    assert status(aws, path, {"Sec-Fetch-Site": "cross-site"}) == 403


def test_a_page_opens_no_websocket(aws: str) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": "https://evil.example",
    }
    assert status(aws, "/", headers, "GET") == 403


def test_a_request_without_a_host_is_refused(aws: str) -> None:
    with socket.create_connection(("127.0.0.1", port_of(aws)), timeout=60) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_boto3_uses_buckets_and_queues_by_either_name(aws: str, name: str) -> None:
    url = aws.replace("127.0.0.1", name)
    client(url, "s3").create_bucket(Bucket="guarded")
    client(url, "s3").put_object(Bucket="guarded", Key="key", Body="text")
    queue = client(url, "sqs").create_queue(QueueName="guarded")["QueueUrl"]
    assert client(url, "sqs").send_message(QueueUrl=queue, MessageBody="text")["MessageId"]
