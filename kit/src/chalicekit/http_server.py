"""The HTTP server of `local`, with a thread for each connection."""

import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from chalice import Chalice
from chalice.config import Config
from chalice.local import LocalChalice

from chalicekit.gateway import Gateway, event_for


class Server(ThreadingTCPServer):
    """Listens for requests for an app; `serve_forever` responds to them.

    It is no `HTTPServer`, which looks up this machine's name: that may take seconds.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, app: Chalice, config: Config, host: str, port: int) -> None:
        """Listen for an app with its stage's settings; raises OSError if that is not possible."""
        # The app becomes one of Chalice's class for threads, too, as `chalice local` does it: each
        # client has a thread, and each thread an `app.current_request`.
        app.__class__ = type(type(app).__name__, (LocalChalice, type(app)), {})
        self.gateway = Gateway(app, config)
        super().__init__((host, port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that closes its connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Passes the requests of a connection on to the gateway."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits for the client to acknowledge the headers

    def respond(self) -> None:
        """Respond to a request."""
        headers = {name: self.headers.get_all(name, "") for name in self.headers}
        event = event_for(self.command, self.path, headers, self.client_address[0])
        try:
            body = self.read_body()
        except ValueError:
            self.send_error(400)  # and close the connection
            return
        response = self.server.gateway.respond(event, body)
        self.send_response(response.status)
        for name, values in response.headers.items():
            for value in values:  # in UTF-8, of which http.server knows nothing
                self.send_header(name, value.encode(errors="replace").decode("latin-1"))
        self.end_headers()
        self.wfile.write(response.body)

    # http.server's names, for the methods of API Gateway
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond  # noqa: N815

    def read_body(self) -> bytes:
        """Read a request's body (RFC 9112, 6 and 7.1); raises ValueError if it is malformed."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            length = int(self.headers.get("Content-Length", "0"))
            if length < 0:
                raise ValueError("a length is not negative")
            return self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # a trailer
        return body
