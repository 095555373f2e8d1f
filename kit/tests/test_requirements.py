"""`requirements.txt` is packaged as pip reads it, for the machine that will run it."""

import hashlib
import os
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.wheels import make_compiled_wheels, make_wheel
from chalicekit.build.requirements import add_requirements, unpack

BACKEND = """
import pathlib, shutil

def build_wheel(folder, *_):
    wheel, = pathlib.Path().glob("*.whl")
    return pathlib.Path(shutil.copy(wheel, folder)).name

build_editable = build_wheel
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def make_source(folder: Path, backend: str = BACKEND) -> Path:
    """Make `folder` a source, from which pip builds the wheel that lies in it; return it."""
    folder.mkdir(exist_ok=True)
    (folder / "backend.py").write_text(backend)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def make_source_distribution(wheels: Path, source: Path, name: str) -> None:
    """Pack a source, so that pip finds it by its name."""
    with tarfile.open(wheels / f"{name}-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, f"{name}-1.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has a wheel of `extra`, and its source in lib/."""
    for place in ("wheels", "lib"):
        make_wheel(tmp_path / place, "extra", {"extra.py": "VERSION = 1"})
    make_source(tmp_path / "lib")
    return tmp_path


def vendored(folder: Path, requirements: str, architecture: str | None = None) -> Path:
    """Package requirements that are found in `folder`/wheels; return where they are."""
    text = f"--no-index\n--find-links wheels\n{requirements}\n"
    (folder / "requirements.txt").write_text(text)
    add_requirements(folder, folder / "staged", architecture)
    return folder / "staged" / "vendor"


WAYS = """
newest
below<2  # for a reason
-r pinned.txt
-c constraints.txt
constrained
./wheels/file-1.0-py3-none-any.whl
./source
-e ./editable
marked==1.0; python_version > '3'
unmarked==1.0; python_version < '3'
"""


def test_each_way_to_require_is_followed(tmp_path: Path) -> None:
    for name in ("newest", "below", "pinned", "constrained", "file", "marked", "unmarked"):
        for version in (1, 2):
            files = {f"{name}.py": f"VERSION = {version}"}
            make_wheel(tmp_path / "wheels", name, files, version=f"{version}.0")
    for name in ("source", "editable"):
        make_wheel(tmp_path / name, name, {f"{name}.py": "VERSION = 1"})
        make_source(tmp_path / name)
    (tmp_path / "pinned.txt").write_text("pinned==1.0")
    (tmp_path / "constraints.txt").write_text("constrained==1.0")
    modules = vendored(tmp_path, WAYS).glob("*.py")
    assert {module.stem: module.read_text() for module in modules} == {
        "newest": "VERSION = 2",
        **dict.fromkeys(["below", "pinned", "constrained", "file", "marked"], "VERSION = 1"),
        **dict.fromkeys(["source", "editable"], "VERSION = 1"),
    }


def test_hashes_are_checked(folder: Path) -> None:
    wheel = folder / "wheels" / "extra-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    vendored(folder, f"extra==1.0 --hash=sha256:{digest}")
    with pytest.raises(SystemExit, match="DO NOT MATCH THE HASHES"):
        vendored(folder, f"extra==1.0 --hash=sha256:{'0' * 64}")


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_lambda_gets_compiled_packages_for_its_architecture(
    folder: Path, architecture: str
) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("fast",))
    make_wheel(folder / "pure", "pure", {"pure.py": ""})
    make_source_distribution(folder / "wheels", make_source(folder / "pure"), "pure")
    vendor = vendored(folder, "needs_fast\npure\n-e ./lib", architecture)
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    assert f"('linux', '{machine}')" in (vendor / "fast.py").read_text()
    assert {"needs_fast.py", "pure.py", "extra.py"} < {path.name for path in vendor.iterdir()}


def test_the_emulated_aws_gets_compiled_packages_for_this_machine(folder: Path) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    vendor = vendored(folder, "fast")
    exec((vendor / "fast.py").read_text())  # which fails elsewhere


def test_scripts_and_chalice_itself_are_left_out(folder: Path) -> None:
    files = {"extra.data/purelib/module.py": "", "extra.data/scripts/program": "", "chalice.py": ""}
    make_wheel(folder / "wheels", "extra", files, version="3.0")
    make_wheel(folder / "wheels", "chalice", {"chalice/cli.py": ""})
    (folder / "staged" / "vendor").mkdir(parents=True)
    (folder / "staged" / "vendor" / "chalice.py").write_text("# vendored")
    vendor = vendored(folder, "extra\nchalice")
    assert {path.name for path in vendor.iterdir()} == {
        "chalice.py",
        "extra-3.0.dist-info",
        "module.py",
    }
    assert (vendor / "chalice.py").read_text() == "# vendored"


def test_a_program_in_a_package_stays_executable(folder: Path) -> None:
    wheel = make_wheel(folder / "wheels", "extra", {"extra.py": ""}, version="3.0")
    program = zipfile.ZipInfo("program")
    program.external_attr = 0o100755 << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(program, "")
    unpack([wheel], folder / "vendor")
    assert os.access(folder / "vendor" / "program", os.X_OK)


@pytest.mark.parametrize(
    ("requirements", "architecture", "reason"),
    [
        ("nowhere", None, "this machine. .*No matching distribution found for nowhere"),
        ("compiled", "arm64", "arm64. .*No matching distribution found for compiled"),
        ("./compiled", "arm64", "arm64: no wheel of compiled"),
        ("-r nowhere.txt", None, "nowhere.txt"),
        ("what is this?", None, "what is this"),
        ("./broken", None, "./broken.*: RuntimeError: no compiler"),
    ],
)
def test_a_requirement_that_cannot_be_packaged_is_refused_with_pip_s_reason(
    folder: Path, requirements: str, architecture: str | None, reason: str
) -> None:
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    python = f"cp3{sys.version_info.minor}"
    tag = f"{python}-{python}-{platform}"
    make_wheel(folder / "compiled", "compiled", {"compiled.py": ""}, tag=tag)
    make_source_distribution(folder / "wheels", make_source(folder / "compiled"), "compiled")
    make_source(folder / "broken", "raise RuntimeError('no compiler')")
    with pytest.raises(SystemExit, match=reason) as refusal:
        vendored(folder, requirements, architecture)
    assert "\n" not in str(refusal.value)
