"""The process of the emulated AWS: it leaves nothing behind, however it ends."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.ports import free_port
from tests.emulated import client, deploy_echo, make_function, send
from tests.processes import is_listening, serving, wait_until


def command(port: int) -> list[str]:
    """Return the command line that users type."""
    return [sys.executable, "-m", "chalicekit", "emulator", "--port", str(port)]


@pytest.fixture
def terminal() -> Iterator[None]:
    """A terminal that can be closed: nohup ignores SIGHUP, and so do the processes in it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ('exec "$@"', signal.SIGTERM),  # the command takes the shell's place
        ('exec "$@"', signal.SIGHUP),
        ("trap '' INT; exec \"$@\"", signal.SIGINT),  # as in a script's background job
        ('"$@" & wait', signal.SIGKILL),  # ends the shell, which is the parent, only
    ],
)
def test_nothing_is_left_behind(tmp_path: Path, start: str, end: signal.Signals) -> None:
    port = free_port()
    aws = f"http://127.0.0.1:{port}"
    shell = ["sh", "-c", start, "sh", *command(port)]
    folder = tmp_path / "temporary"
    folder.mkdir()
    with serving(shell, tmp_path / "log", {"TMPDIR": str(folder)}) as server:
        function = json.loads(send("GET", deploy_echo(aws).url).body)["process"]
        slow = make_function(aws, "import time\ndef handler(*_): time.sleep(900)", Timeout=900)
        client(aws, "lambda").invoke(FunctionName=slow, InvocationType="Event", Payload="{}")
        server.process.send_signal(end)
        wait_until(lambda: not is_listening(port) and not any(folder.iterdir()))
    with pytest.raises(ProcessLookupError):
        os.kill(function, 0)


def test_nothing_is_left_behind_after_an_end_during_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {"TMPDIR": str(folder)}
    with serving(command(free_port()), tmp_path / "log", environment, wait=False) as server:
        wait_until(lambda: any(folder.iterdir()))
        server.process.terminate()
        server.process.wait(timeout=30)
    assert not any(folder.iterdir())


def test_the_banner_names_what_to_type_and_where_the_differences_are(tmp_path: Path) -> None:
    port = free_port()
    with serving(command(port), tmp_path / "log", {}) as server:
        assert server.port == port
        assert f"chalicekit deploy --emulated --emulator-port {port} " in server.printed()
        assert '"What the emulated AWS does not do"' in server.printed()
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\n## What the emulated AWS does not do\n" in readme


def test_an_emulated_aws_on_demand_starts_with_the_first_request() -> None:
    with EmulatorProcess() as aws:
        assert aws.process is None
        assert client(aws.url, "sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert aws.process
        process = aws.process
    assert process.returncode == 0


def test_an_emulated_aws_on_demand_that_nobody_uses_starts_nothing() -> None:
    with EmulatorProcess() as aws:
        pass
    assert aws.process is None


def test_an_emulated_aws_on_demand_shows_why_it_has_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with EmulatorProcess() as aws:
        client(aws.url, "sqs").list_queues()
        assert aws.process
        aws.process.kill()
        aws.process.wait()
    assert "The emulated AWS has failed" in capsys.readouterr().out
    assert not Path(aws.folder.name).exists()
