"""Servers that tests start and always stop."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from threading import Thread

REPOSITORY = Path(__file__).parent.parent


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return once `condition` holds; fail if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    """Tell whether a server accepts connections on `port` of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a process with Ctrl-C, or by force after ten seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(
    command: list[str], port: int, folder: Path = REPOSITORY, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server in `folder` until the block ends, which starts when it listens on `port`."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: is_listening(port) or process.poll() is not None)
            output.seek(0)
            assert process.poll() is None, output.read().decode()
            yield process
        finally:
            end(process)


class EmulatedAws:
    """An emulated AWS that starts when the first request arrives.

    Its socket listens from the beginning. The first connection waits until the server has started
    and takes the socket over, as in systemd's socket activation.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        self.process: subprocess.Popen[bytes] | None = None
        Thread(target=self.start_on_demand, daemon=True).start()

    def start_on_demand(self) -> None:
        """Wait for the first connection and start the server."""
        select([self.listener], [], [])
        descriptor = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chalicekit.emulator.server", f"fd:{descriptor}"],
            cwd=REPOSITORY,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.listener.close()  # from now on, a dead server refuses connections

    def stop(self) -> None:
        """Stop the server. If it failed, print its output."""
        if self.process:
            failed = self.process.poll() is not None
            end(self.process)
            if failed:
                self.output.seek(0)
                print(f"The emulated AWS has failed:\n{self.output.read().decode()}")
        self.output.close()
        self.listener.close()
