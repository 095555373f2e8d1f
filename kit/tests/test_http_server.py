"""The local server: what a client on this machine gets."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
import requests
from chalice import Chalice, Response
from chalice.config import Config

from chalicekit.http_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of an app with one method for each kind of response."""
    app: Any = Chalice("app")
    app.barrier = threading.Barrier(2, timeout=10)

    def wait(name: str) -> str:
        app.barrier.wait()
        return f"{name} {app.current_request.uri_params['name']}"

    views = {
        "GET": lambda: "hello",
        "HEAD": lambda: "hello",
        "PUT": lambda: app.current_request.raw_body.decode(),
        "DELETE": lambda: Response("gone", status_code=204),
        "PATCH": lambda: Response("", {"X-Name": "日本", "X-Two": ["1", "2"]}, 304),
    }
    for method, view in views.items():
        app.route("/", methods=[method], content_types=[])(view)
    app.route("/wait/{name}")(wait)
    with Server(app, Config.create(), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        yield server
        server.shutdown()


@pytest.fixture
def connection(server: Server) -> Iterator[HTTPConnection]:
    """A connection to it."""
    connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    yield connection
    connection.close()


def exchange(connection: HTTPConnection, method: str, **request: Any) -> tuple[HTTPResponse, bytes]:
    """Return the response to a request and its body."""
    connection.request(method, "/", **request)
    response = connection.getresponse()
    return response, response.read()


def test_requests_share_a_connection(connection: HTTPConnection) -> None:
    exchange(connection, "GET")
    used = connection.sock
    for _ in range(2):
        assert exchange(connection, "GET")[1] == b"hello"
        assert exchange(connection, "HEAD")[1] == b""
        assert exchange(connection, "DELETE")[1] == b""
        assert exchange(connection, "PATCH")[1] == b""
        assert exchange(connection, "PUT", body=b"in one piece")[1] == b"in one piece"
        assert exchange(connection, "PUT", body=iter([b"in ", b"chunks"]))[1] == b"in chunks"
        assert exchange(connection, "OPTIONS")[0].status == 403
    assert connection.sock is used is not None


def test_a_response_has_each_header_in_utf_8(connection: HTTPConnection) -> None:
    response, _ = exchange(connection, "PATCH")
    assert response.headers["X-Name"].encode("latin-1").decode() == "日本"
    assert response.headers.get_all("X-Two") == ["1", "2"]
    assert response.headers.get_all("Content-Type") == ["application/json"]
    assert "Content-Length" not in response.headers


@pytest.mark.parametrize(
    "header", ["Content-Length: x", "Content-Length: -1", "Transfer-Encoding: chunked"]
)
def test_a_malformed_body_is_a_400(server: Server, header: str) -> None:
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=10) as client:
        client.sendall(f"PUT / HTTP/1.1\r\n{header}\r\n\r\nx\r\n".encode())
        response = b"".join(iter(lambda: client.recv(4096), b""))
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1") == 1


def test_threads_have_their_own_request(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}/wait"
    with ThreadPoolExecutor() as pool:
        bodies = pool.map(lambda name: requests.get(f"{url}/{name}", timeout=10).text, "ab")
        assert list(bodies) == ["a a", "b b"]
