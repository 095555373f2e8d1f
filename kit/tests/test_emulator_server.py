"""The process of the emulated AWS: it leaves nothing behind, however it ends."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chalicekit.emulator import on_demand
from chalicekit.emulator.on_demand import EmulatorProcess
from chalicekit.variables import client_variables
from tests.emulated import client, deploy_echo, make_function, send
from tests.processes import free_port, is_listening, serving, wait_until

EMULATOR = Path(on_demand.__file__).parent


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
        ('exec "$@"', signal.SIGTERM),
        ('exec "$@"', signal.SIGHUP),
        ("trap '' INT; exec \"$@\"", signal.SIGINT),  # as in a script's background job
        ('"$@" & wait', signal.SIGKILL),  # ends the parent only
    ],
)
def test_nothing_is_left_behind(tmp_path: Path, start: str, end: signal.Signals) -> None:
    port = free_port()
    aws = f"http://127.0.0.1:{port}"
    shell = ["sh", "-c", start, "sh", *command(port)]
    folder = tmp_path / "temporary"
    folder.mkdir()
    with serving(shell, tmp_path / "log", {"TMPDIR": str(folder)}) as server:
        function = json.loads(send("GET", deploy_echo(aws).url + "/event/a").body)["process"]
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
    with serving(command(free_port()), tmp_path / "log", environment, is_ready=False) as server:
        wait_until(lambda: any(folder.iterdir()))
        server.process.terminate()
        server.process.wait(timeout=30)
    assert not any(folder.iterdir())


def test_the_banner_names_what_to_type_and_what_is_different(tmp_path: Path) -> None:
    port = free_port()
    with serving(command(port), tmp_path / "log", {}) as server:
        assert server.port == port
        assert f"chalicekit deploy --emulated --emulator-port {port} " in server.printed()
        assert '"What the emulated AWS does not do"' in server.printed()


def test_the_readme_has_what_the_banner_points_to() -> None:
    readme = EMULATOR.parents[2] / "README.md"
    assert "\n## What the emulated AWS does not do\n" in readme.read_text(encoding="utf-8")


def test_an_emulated_aws_on_demand_starts_with_the_first_request() -> None:
    with EmulatorProcess() as aws:
        assert aws.process is None
        assert client(aws.url, "sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert aws.process
        process = aws.process
    assert process.returncode == 0
    assert client_variables(aws.url)["AWS_ENDPOINT_URL"] == aws.url


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


def test_no_other_port_is_open(aws: str) -> None:
    """MiniStack would listen for devices, files and containers."""
    client(aws, "iot").list_things()
    with suppress(FileNotFoundError):  # not on macOS
        listening = [
            line.split()[1]
            for name in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
            if line.split()[3] == "0A"
        ]
        assert f":{8883:04X}" not in " ".join(listening)
