"""`requirements.txt` is packaged as pip reads it, for the machine that will run it."""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicekit.build.requirements import install, key_of, left_out
from chalicekit.errors import Refusal
from tests.wheels import (
    BACKEND,
    PYPROJECT,
    make_compiled_wheels,
    make_source,
    make_source_distribution,
    make_wheel,
    tag_of,
)

CACHE = Path("build", "requirements")
BROKEN = "raise RuntimeError('no compiler')\n"
BROKEN_METADATA = f"def build_wheel(*_):\n    {BROKEN}"
BROKEN_WHEEL = f"""
import pathlib

def prepare_metadata_for_build_wheel(folder, *_):
    information = pathlib.Path(folder, "broken-1.0.dist-info")
    information.mkdir()
    metadata = "Metadata-Version: 2.1\\nName: broken\\nVersion: 1.0"
    (information / "METADATA").write_text(metadata)
    return information.name

{BROKEN_METADATA}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that has a wheel of `extra`, and its source in lib/."""
    for place in ("wheels", "lib"):
        make_wheel(tmp_path / place, "extra", {"extra.py": "VERSION = 1"})
    make_source(tmp_path / "lib")
    return tmp_path


def installed(folder: Path, requirements: str, architecture: str | None = None) -> Path:
    """Install requirements that are found in `folder`/wheels; return where they are."""
    text = f"--no-index\n--find-links wheels\n{requirements}\n"
    (folder / "requirements.txt").write_text(text)
    return install(folder, architecture)


def names_in(folder: Path) -> set[str]:
    """Return the names of what is in a folder."""
    return {path.name for path in folder.iterdir()}


def modules_in(folder: Path) -> set[str]:
    """Return the names of the modules in a folder."""
    return {path.stem for path in folder.glob("*.py")}


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
    modules = installed(tmp_path, WAYS).glob("*.py")
    assert {module.stem: module.read_text() for module in modules} == {
        "newest": "VERSION = 2",
        **dict.fromkeys(["below", "pinned", "constrained", "file", "marked"], "VERSION = 1"),
        **dict.fromkeys(["source", "editable"], "VERSION = 1"),
    }


@pytest.mark.parametrize(
    ("architecture", "machine"),
    [("arm64", "aarch64"), ("x86_64", "x86_64"), (None, platform.machine())],
)
def test_compiled_packages_are_for_the_machine_that_runs_them(
    folder: Path, architecture: str | None, machine: str
) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("fast",))
    found = installed(folder, "needs_fast\n-e ./lib", architecture)
    assert modules_in(found) == {"needs_fast", "fast", "extra"}
    assert f"'{machine}')" in (found / "fast.py").read_text()


def test_markers_are_those_of_lambda(folder: Path) -> None:
    for name in ("arm", "intel", "linux", "windows"):
        make_wheel(folder / "wheels", name, {f"{name}.py": ""})
    text = """
arm; platform_machine == 'aarch64'
intel; platform_machine == 'x86_64'
linux; sys_platform == 'linux' and platform_system == 'Linux'
windows; sys_platform == 'win32'
"""
    assert modules_in(installed(folder, text, "arm64")) == {"arm", "linux"}


def test_lambda_s_glibc_decides(folder: Path) -> None:
    for version, glibc in (("1.0", "2_17"), ("2.0", "2_26"), ("3.0", "2_34"), ("4.0", "2_35")):
        tag = tag_of(f"manylinux_{glibc}_aarch64")
        make_wheel(folder / "wheels", "fast", {"fast.py": ""}, version=version, tag=tag)
    version = "3.0" if sys.version_info >= (3, 12) else "2.0"
    assert f"fast-{version}.dist-info" in names_in(installed(folder, "fast", "arm64"))


def test_scripts_data_records_and_chalice_itself_are_left_out(folder: Path) -> None:
    data = "extra-3.0.data"
    files = {f"{data}/purelib/module.py": "", f"{data}/scripts/run": "", f"{data}/data/share/a": ""}
    files["extra-3.0.dist-info/entry_points.txt"] = "[console_scripts]\nprogram = module:main\n"
    files |= {"__pycache__/module.pyc": "", "own/its-1.0.dist-info/RECORD": ""}
    make_wheel(folder / "wheels", "extra", files, version="3.0")
    make_wheel(folder / "wheels", "chalice", {"chalice/cli.py": ""})
    found = installed(folder, "extra\nchalice")
    information = {"extra-3.0.dist-info", "chalice-1.0.dist-info"}
    assert names_in(found) == {"module.py", "own"} | information
    assert names_in(found / "extra-3.0.dist-info") == {"METADATA", "entry_points.txt"}
    assert (found / "own" / "its-1.0.dist-info" / "RECORD").exists()


def test_nothing_replaces_the_standard_library(folder: Path) -> None:
    make_wheel(folder / "wheels", "typing", {"typing.py": "1 / 0"})
    make_wheel(folder / "wheels", "enum34", {"enum/__init__.py": "1 / 0", "enum34.py": ""})
    found = names_in(installed(folder, "typing\nenum34"))
    assert found == {"typing-1.0.dist-info", "enum34-1.0.dist-info", "enum34.py"}


@pytest.mark.parametrize("outside", ["../../../outside", "/{folder}/outside"])
def test_a_wheel_that_writes_elsewhere_is_refused(folder: Path, outside: str) -> None:
    make_wheel(folder / "wheels", "zzslip", {outside.format(folder=folder): "#!/bin/sh"})
    with pytest.raises(Refusal, match=r"zzslip.*outside.* outside the target directory"):
        installed(folder, "zzslip", "arm64")
    assert not list(folder.rglob("outside"))
    assert names_in(folder / CACHE) == {"lock"}


@pytest.mark.parametrize(
    ("requirements", "encoding"),
    [("extra\npkg-resources==0.0.0", "utf-8"), ("extra", "utf-8-sig"), ("extra", "utf-16")],
    ids=["of pip freeze on Debian", "of Notepad", "of PowerShell"],
)
def test_a_list_of_another_program_is_read(folder: Path, requirements: str, encoding: str) -> None:
    text = f"--no-index\r\n--find-links wheels\r\n{requirements}\r\n"
    (folder / "requirements.txt").write_text(text, encoding=encoding)
    assert modules_in(install(folder, "arm64")) == {"extra"}


@pytest.mark.parametrize("text", [None, "", "\ufeff# nothing\r\n\r\n"])
def test_without_requirements_there_are_no_modules(
    folder: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (folder / "requirements.txt").write_text(text, encoding="utf-8")
    assert names_in(install(folder, "arm64")) == set()
    assert capsys.readouterr().err == ""  # pip does not run


def test_pip_s_own_settings_apply(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(folder / "more", "more", {"more.py": ""})
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder / "more"))
    assert modules_in(installed(folder, "more", "arm64")) == {"more"}


def test_settings_that_lead_pip_elsewhere_are_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["[install]", "user=1", "dry-run=1"]
    for name in ("target", "prefix", "root"):
        lines.append(f"{name}=elsewhere")
        monkeypatch.setenv(f"PIP_{name.upper()}", "elsewhere")
    (folder / "pip.ini").write_text("\n".join(lines))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / "pip.ini"))
    (folder / "lib" / "pyproject.toml").write_text(PYPROJECT.replace("[]", '["needed"]'))
    make_wheel(folder / "wheels", "needed", {"needed.py": ""})
    assert modules_in(installed(folder, "./lib", "arm64")) == {"extra"}
    assert not (folder / "elsewhere").exists()


def test_a_module_beside_app_py_does_not_disturb_pip(folder: Path) -> None:
    for name in ("pip", "platform", "requests", "files"):
        (folder / f"{name}.py").write_text("raise RuntimeError")
    assert modules_in(installed(folder, "extra", "arm64")) == {"extra"}


@pytest.mark.parametrize(
    "path", ["requirements.txt", "lists/base.in", "lists/pins.txt", "lib/more.py", "wheels/new.whl"]
)
def test_requirements_are_installed_anew_when_a_file_changes(folder: Path, path: str) -> None:
    (folder / "lists").mkdir()
    (folder / "lists" / "base.in").write_text("--constraint=pins.txt")
    (folder / "requirements.txt").write_text("-r lists/base.in\n-e ./lib[cli]\n-f wheels")
    before = key_of(folder, None)
    with (folder / path).open("a") as file:
        file.write("\n")
    assert key_of(folder, None) != before


@pytest.mark.parametrize("path", ["app.py", "lib/build/a.py", "lib/extra.egg-info/PKG-INFO"])
def test_requirements_are_kept_when_another_file_changes(folder: Path, path: str) -> None:
    (folder / "requirements.txt").write_text("./lib  # used in app.py")
    before = key_of(folder, None)
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).touch()
    assert key_of(folder, None) == before


def test_requirements_are_installed_for_each_machine_and_each_setting_of_pip(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = key_of(folder, None), key_of(folder, "arm64")
    monkeypatch.setenv("PIP_PRE", "1")
    assert len({here, there, key_of(folder, None)}) == 3


def test_an_interrupted_installation_leaves_nothing_behind(folder: Path) -> None:
    found = installed(folder, "extra")
    found.parent.rename(folder / CACHE / "tmp123")  # as if the process had been killed
    assert installed(folder, "extra") == found
    assert names_in(folder / CACHE) == {"lock", found.parent.name}


def test_what_is_not_used_for_a_month_is_removed(folder: Path) -> None:
    unused, used = installed(folder, ""), installed(folder, "# nothing")
    os.utime(unused.parent, (1, 1))
    os.utime(used.parent, (1, 1))
    installed(folder, "# nothing")
    assert names_in(folder / CACHE) == {"lock", used.parent.name}


def test_two_commands_at_a_time_install_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "requirements.txt").write_text("./lib")
    with ThreadPoolExecutor() as executor:
        first, second = executor.map(lambda _: install(folder), range(2))
    assert first == second
    assert capsys.readouterr().err == "Installing requirements.txt for this machine ...\n"


@pytest.mark.parametrize(
    ("vendored", "is_found"), [("fast", False), ("fast-1.0.dist-info", False), ("fast.py", True)]
)
def test_what_pip_cannot_get_is_taken_from_vendor(
    folder: Path, vendored: str, is_found: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("Fast>=1.0",))
    (folder / "vendor" / vendored).mkdir(parents=True)
    if is_found:
        make_source_distribution(folder / "wheels", make_source(folder / "fast", BROKEN))
    found = installed(folder, "needs_fast\nextra", "arm64")
    assert modules_in(found) == {"needs_fast", "extra"}
    assert "fast is taken from vendor/. pip says: " in capsys.readouterr().err
    assert left_out(found) == {}


@pytest.mark.parametrize(("architecture", "has_compiler"), [("x86_64", True), ("arm64", False)])
def test_a_source_is_built_without_its_compiled_part_if_it_has_to_be(
    folder: Path, architecture: str, has_compiler: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicekit.build.wheels.can_run", lambda _: has_compiler)
    source = make_source(folder / "half")
    tag = tag_of("linux_x86_64")
    make_wheel(source, "half", {"half.py": "", "half.so": "GLIBC_2.2"}, tag=tag)
    make_wheel(source / "pure", "half", {"half.py": ""}, tag=tag)
    make_source_distribution(folder / "wheels", source)
    found = installed(folder, "half", architecture)
    assert modules_in(found) == {"half"}
    assert (found / "half.so").exists() == has_compiler


@pytest.mark.parametrize(
    ("architecture", "backend"),
    [(None, BROKEN), ("arm64", BROKEN_METADATA), ("x86_64", BROKEN_WHEEL)],
)
def test_what_cannot_be_built_is_left_out_with_the_reason(
    folder: Path, architecture: str | None, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_QUIET", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    make_source_distribution(folder / "wheels", make_source(folder / "broken", backend))
    make_wheel(folder / "wheels", "needs", {"needs.py": ""}, requires=("Broken>=1.0,<2",))
    found = installed(folder, "needs\nextra", architecture)
    assert modules_in(found) == {"needs", "extra"}
    assert left_out(found)["broken"].endswith(": RuntimeError: no compiler")


@pytest.mark.parametrize(
    ("architecture", "code"),
    [("arm64", ""), ("x86_64", "GLIBC_2.99")],
)
def test_what_is_compiled_here_is_left_out_if_lambda_cannot_load_it(
    folder: Path, architecture: str, code: str
) -> None:
    source = make_source(folder / "compiled")
    make_wheel(source, "compiled", {"compiled.so": code}, tag=tag_of("linux_x86_64"))
    make_source_distribution(folder / "wheels", source)
    found = installed(folder, "compiled\nextra", architecture)
    assert left_out(found).keys() == {"compiled"}
    assert names_in(found) == {"extra.py", "extra-1.0.dist-info"}


def test_what_only_a_compiler_can_build_is_not_left_out_for_another_s_sake(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicekit.build.wheels.can_run", lambda _: True)
    monkeypatch.delenv("CC", raising=False)
    source = make_source(folder / "needy", f"import os\nif 'CC' in os.environ: {BROKEN}{BACKEND}")
    make_wheel(source, "needy", {"needy.py": ""})
    make_source_distribution(folder / "wheels", source)
    make_source_distribution(folder / "wheels", make_source(folder / "broken", BROKEN_WHEEL))
    found = installed(folder, "broken\nneedy", "x86_64")
    assert modules_in(found) == {"needy"}
    assert left_out(found).keys() == {"broken"}


@pytest.mark.parametrize(
    ("requirements", "architecture", "reason"),
    [
        ("nowhere", None, "this machine. .*No matching distribution found for nowhere"),
        ("broken\nnowhere", None, "No matching distribution found for nowhere"),
        ("./compiled", "arm64", "arm64. .*compiled 1.0 has no wheel for Lambda"),
        ("./broken", None, "./broken.*: RuntimeError: no compiler"),
        ("./lib", None, "lib' when installing build dependencies: RuntimeError"),
        ("-r nowhere.txt", None, "nowhere.txt"),
        ("-r requirements.txt", None, "recursively"),
        ("what is this?", None, "what is this"),
    ],
)
def test_a_requirement_that_cannot_be_packaged_is_refused_with_pip_s_reason(
    folder: Path, requirements: str, architecture: str | None, reason: str
) -> None:
    source = make_source(folder / "compiled")
    make_wheel(source, "compiled", {"compiled.so": ""}, tag=tag_of("linux_x86_64"))
    broken = make_source(folder / "broken", BROKEN_METADATA)
    make_source_distribution(folder / "wheels", broken)
    (folder / "lib" / "pyproject.toml").write_text(PYPROJECT.replace("[]", '["broken"]'))
    with pytest.raises(Refusal, match=reason) as refusal:
        installed(folder, requirements, architecture)
    assert "\n" not in str(refusal.value)
