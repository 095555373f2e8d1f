"""`requirements.txt` is packaged as pip reads it, for the machine that will run it."""

import hashlib
import sys
from pathlib import Path

import pytest

from tests.wheels import make_compiled_wheels, make_wheel
from tools.requirements import add_requirements

BACKEND = """
import shutil

def build_wheel(folder, *_):
    return shutil.copy("extra-1.0-py3-none-any.whl", folder).rpartition("/")[2]

build_editable = build_wheel
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has wheels of `extra` 1.0 and 2.0, and the source of 1.0 in lib/."""
    make_wheel(tmp_path / "wheels", "extra", {"extra.py": "VERSION = 2"}, version="2.0")
    for place in ("wheels", "lib"):
        make_wheel(tmp_path / place, "extra", {"extra.py": "VERSION = 1"})
    (tmp_path / "lib" / "backend.py").write_text(BACKEND)
    (tmp_path / "lib" / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "pinned.txt").write_text("extra==1.0")
    return tmp_path


def vendored(folder: Path, requirements: str, architecture: str | None = None) -> Path:
    """Package requirements that are found in `folder`/wheels; return where they are."""
    text = f"--no-index\n--find-links wheels\n{requirements}\n"
    (folder / "requirements.txt").write_text(text)
    add_requirements(folder, folder / "staged", architecture)
    return folder / "staged" / "vendor"


@pytest.mark.parametrize(
    ("requirements", "version"),
    [
        ("extra", 2),
        ("extra<2  # for a reason", 1),
        ("-r pinned.txt", 1),
        ("-c pinned.txt\nextra", 1),
        ("./wheels/extra-1.0-py3-none-any.whl", 1),
        ("./lib", 1),
        ("-e ./lib", 1),
        ("extra==1.0; python_version > '3'", 1),
    ],
)
def test_each_way_to_require_is_followed(folder: Path, requirements: str, version: int) -> None:
    text = (vendored(folder, requirements) / "extra.py").read_text()
    assert text == f"VERSION = {version}"


def test_hashes_are_checked(folder: Path) -> None:
    wheel = folder / "wheels" / "extra-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    vendored(folder, f"extra==1.0 --hash=sha256:{digest}")
    with pytest.raises(SystemExit, match="DO NOT MATCH THE HASHES"):
        vendored(folder, f"extra==1.0 --hash=sha256:{'0' * 64}")


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_compiled_packages_are_those_for_lambda(folder: Path, architecture: str) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("fast",))
    vendor = vendored(folder, "needs_fast\n-e ./lib", architecture)
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    assert f"('linux', '{machine}')" in (vendor / "fast.py").read_text()
    assert {"needs_fast.py", "extra.py"} < {path.name for path in vendor.iterdir()}


def test_in_the_emulated_aws_they_are_those_for_this_machine(folder: Path) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    vendor = vendored(folder, "fast")
    exec((vendor / "fast.py").read_text())  # which fails elsewhere


@pytest.mark.parametrize(
    ("requirements", "architecture", "reason"),
    [
        ("nowhere", None, "this machine. .*No matching distribution found for nowhere"),
        ("extra==3", "arm64", "No matching distribution found for extra==3"),
        ("only_here", "arm64", "arm64. .*No matching distribution found for only_here"),
        ("./wheels/{only_here}", "arm64", "arm64"),
        ("-r nowhere.txt", None, "nowhere.txt"),
        ("what is this?", None, "what is this"),
        ("./broken", None, "./broken.*: RuntimeError: no compiler"),
    ],
)
def test_what_cannot_be_packaged_ends_it_with_pips_reason(
    folder: Path, requirements: str, architecture: str | None, reason: str
) -> None:
    tag = f"cp3{sys.version_info.minor}-cp3{sys.version_info.minor}-linux_x86_64"
    only_here = make_wheel(folder / "wheels", "only_here", {"only_here.py": ""}, tag=tag)
    (folder / "broken").mkdir()
    (folder / "broken" / "pyproject.toml").write_text(PYPROJECT)
    (folder / "broken" / "backend.py").write_text("raise RuntimeError('no compiler')")
    with pytest.raises(SystemExit, match=reason) as refusal:
        vendored(folder, requirements.format(only_here=only_here.name), architecture)
    assert "\n" not in str(refusal.value)
