"""Servers that tests start and always stop."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Return once `condition` holds; fail if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    """Tell whether a server accepts connections on `port` of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A program that has been started, without a terminal, and what it prints to `log`."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        """Start it."""
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def printed(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        """The first URL that it has printed, or "" if there is none yet."""
        return "".join(re.findall(r"http://[\d.]+:\d+", self.printed())[:1])

    @property
    def port(self) -> int:
        """The port of its URL."""
        return int(self.url.rpartition(":")[2])

    def get(self, path: str = "/") -> str:
        """Return the response to a request, or "" while it restarts."""
        try:
            return requests.get(self.url + path, timeout=10).text
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return ""


@contextmanager
def serving(
    command: list[str], log: Path, environment: dict[str, str], wait: bool = True
) -> Iterator[Server]:
    """Run a server until the block ends, which starts when it has printed its URL.

    Without `wait`, the block starts at once.
    """
    server = Server(command, log, environment)
    try:
        if wait:
            wait_until(lambda: server.url or server.process.poll() is not None)
            assert server.url, server.printed()
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
