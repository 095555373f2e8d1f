"""Raw HTTP requests: most clients would normalize the path."""

import http.client
from email.message import Message
from typing import NamedTuple
from urllib.parse import urlsplit


class Reply(NamedTuple):
    """A server's response."""

    status: int
    headers: Message
    body: bytes


def send(
    method: str, url: str, headers: dict[str, str] | None = None, body: str | bytes | None = None
) -> Reply:
    """Send a request and return the reply."""
    host = urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request(method, url.removeprefix(f"http://{host}"), body, headers or {})
    response = connection.getresponse()
    reply = Reply(response.status, response.headers, response.read())
    connection.close()
    return reply
