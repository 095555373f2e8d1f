"""The process of the emulated AWS: it leaves nothing behind, however it ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from chalicekit.emulator import on_demand
from chalicekit.emulator.on_demand import EmulatedAws, client_environment
from tests.emulated import client, deploy_echo, make_function
from tests.processes import free_port, is_listening, serving, wait_until
from tests.replies import send

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
    with serving(shell, port, TMPDIR=str(tmp_path)) as process:
        function = json.loads(send("GET", deploy_echo(aws).url + "/event/a").body)["process"]
        slow = make_function(aws, "import time\ndef handler(*_): time.sleep(900)", Timeout=900)
        client(aws, "lambda").invoke(FunctionName=slow, InvocationType="Event", Payload="{}")
        process.send_signal(end)
        wait_until(lambda: not is_listening(port) and not any(tmp_path.iterdir()))
    with pytest.raises(ProcessLookupError):
        os.kill(function, 0)


def test_nothing_is_left_behind_after_an_end_during_the_start(tmp_path: Path) -> None:
    port = free_port()
    with serving(command(port), port, TMPDIR=str(tmp_path)) as process:
        wait_until(lambda: any(tmp_path.iterdir()))
        process.terminate()
        process.wait(timeout=30)
    assert not any(tmp_path.iterdir())


def test_the_banner_names_what_to_type_and_what_is_different() -> None:
    port = free_port()
    process = subprocess.Popen(command(port), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with closing(process.stdout) as output:
        lines = [output.readline() for _ in range(7)]
        process.terminate()
        process.wait(timeout=30)
    assert f"http://127.0.0.1:{port}" in lines[0]
    assert f"chalicekit deploy --emulated --emulator-port {port} " in "".join(lines)
    assert '"What the emulated AWS does not do"' in "".join(lines)


def test_the_readme_has_what_the_banner_points_to() -> None:
    readme = EMULATOR.parents[2] / "README.md"
    assert "\n## What the emulated AWS does not do\n" in readme.read_text(encoding="utf-8")


def test_an_emulated_aws_on_demand_starts_with_the_first_request() -> None:
    with EmulatedAws() as aws:
        assert aws.process is None
        assert client(aws.url, "sqs").list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert aws.process
        process = aws.process
    assert process.returncode == 0
    assert client_environment(aws.url)["AWS_ENDPOINT_URL"] == aws.url


def test_an_emulated_aws_on_demand_that_nobody_uses_starts_nothing() -> None:
    with EmulatedAws() as aws:
        pass
    assert aws.process is None


def test_an_emulated_aws_on_demand_shows_why_it_has_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with EmulatedAws() as aws:
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


@pytest.mark.parametrize("file", sorted(path.name for path in EMULATOR.glob("*.py")))
def test_the_emulated_aws_fits_this_version_of_ministack(file: str) -> None:
    code = (EMULATOR / file).read_text(encoding="utf-8")
    imports = re.findall(r"^ *from (ministack\S*) import (.+)$", code, re.MULTILINE)
    modules = {}
    for package, names in imports:
        for name, _, alias in (part.partition(" as ") for part in names.split(", ")):
            modules[alias or name] = f"{package}.{name}"
    for alias, module in modules.items():
        with suppress(ModuleNotFoundError):
            imported = import_module(module)
            for name in re.findall(rf"\b{alias}\.(\w+)", code):
                assert hasattr(imported, name), f"MiniStack {version('ministack')}: {module}.{name}"
