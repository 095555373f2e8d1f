"""An emulated AWS in a process of its own, which starts when the first request arrives."""

import os
import socket
import subprocess
import sys
import tempfile
from select import select
from threading import Thread


class EmulatorProcess:
    """An emulated AWS in a process of its own, at `url`; a context manager that stops it.

    Its socket listens from the beginning. The first connection waits until the server has started
    and taken the socket over, as in systemd's socket activation. Without a connection, no process
    is started.
    """

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        # The server's temporary files: it deletes them itself, unless it is killed.
        self.folder = tempfile.TemporaryDirectory(prefix="chalicekit-aws-")
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping, self.stopped = socket.socketpair()  # wakes the thread if nobody connects
        self.waiting = Thread(target=self.start_on_demand, daemon=True)
        self.waiting.start()

    def start_on_demand(self) -> None:
        """Wait for the first connection and start the server."""
        requested, _, _ = select([self.listener, self.stopped], [], [])
        if self.stopped in requested:
            return
        descriptor = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chalicekit.emulator.server", str(descriptor)],
            cwd="/",  # `-m` imports from here
            env=os.environ | {"TMPDIR": self.folder.name},
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        self.listener.close()  # from now on, a dead server refuses connections

    def stop(self) -> None:
        """Stop the server and delete what was deployed. If it has failed, print its output."""
        self.stopping.send(b"stop")
        self.waiting.join()
        if self.process:
            failed = self.process.poll() is not None
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            if failed:
                self.output.seek(0)
                print(f"The emulated AWS has failed:\n{self.output.read().decode()}")
        self.folder.cleanup()
        for file in (self.listener, self.output, self.stopping, self.stopped):
            file.close()

    def __enter__(self) -> "EmulatorProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
