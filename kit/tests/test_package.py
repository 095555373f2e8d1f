"""`chalicekit package`: what it writes, where, and how it ends."""

import json
import signal
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest

from chalicekit.build.bytecode import bytecode_of
from tests.processes import wait_until
from tests.sample import Sample


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A project; nothing here needs an emulated AWS."""
    return Sample(tmp_path / "project")


def test_the_package_holds_what_lambda_needs_and_nothing_else(sample: Sample) -> None:
    with zipfile.ZipFile(sample.package() / "deployment.zip") as package:
        names = package.namelist()
    sources = ["app.py", "chalice/__init__.py", "chalice/app.py"]
    assert sorted(names) == sorted([*sources, *map(bytecode_of, sources)])


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ([], {"deployment.zip", "sam.json"}),
        (["--template-format", "yaml"], {"deployment.zip", "sam.yaml"}),
        (["--pkg-format", "terraform"], {"deployment.zip", "chalice.tf.json"}),
    ],
)
def test_the_formats_are_those_of_chalice(
    sample: Sample, arguments: list[str], written: set[str]
) -> None:
    assert {path.name for path in sample.package(*arguments).iterdir()} == written


def test_a_single_file_holds_both(sample: Sample) -> None:
    with zipfile.ZipFile(sample.package("--single-file")) as archive:
        assert set(archive.namelist()) == {"deployment.zip", "sam.json"}


def test_a_template_of_yours_is_merged(sample: Sample) -> None:
    template = {"Resources": {"RestAPI": {"Properties": {"Name": "APP-STAGE"}}}}
    yours = sample.write("template.json", json.dumps(template))
    out = sample.package("--merge-template", str(yours))
    api = json.loads((out / "sam.json").read_text())["Resources"]["RestAPI"]
    assert api["Properties"]["Name"] == f"{sample.name}-dev"


def test_a_managed_layer_that_would_be_empty_is_not_made(sample: Sample) -> None:
    sample.configure(automatic_layer=True)
    out = sample.package()
    assert {path.name for path in out.iterdir()} == {"deployment.zip", "sam.json"}
    assert "Layer" not in (out / "sam.json").read_text()


def test_a_template_that_does_not_exist_is_refused(sample: Sample) -> None:
    line = sample.refusal("package", "out", "--merge-template", "nothing.json")
    assert line == "nothing.json does not exist: choose a template to merge."


def test_a_failure_keeps_the_previous_package(sample: Sample) -> None:
    before = (sample.package() / "deployment.zip").read_bytes()
    sample.append("\n1 / 0\n")
    assert "ZeroDivisionError" in sample.refusal("package", str(sample.folder / "out"))
    assert (sample.folder / "out" / "deployment.zip").read_bytes() == before


def test_ctrl_c_ends_packaging_quietly(sample: Sample, tmp_path: Path) -> None:
    started = tmp_path / "started"
    sample.append(f"\nimport pathlib, time\npathlib.Path({str(started)!r}).touch()\n")
    sample.append("time.sleep(60)\n")
    command = sample.command("package", str(tmp_path / "out"), emulated=False)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_until(started.exists)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_packaging_does_not_look_for_credentials(sample: Sample) -> None:
    with socket.create_server(("127.0.0.1", 0)) as metadata:
        url = f"http://127.0.0.1:{metadata.getsockname()[1]}"
        service = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": "false"}
        sample.package(**service)
        metadata.setblocking(False)
        with pytest.raises(BlockingIOError):
            metadata.accept()
