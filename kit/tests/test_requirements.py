"""`requirements.txt` is packaged as pip reads it, for the machine that will run it."""

import os
import re
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicekit.build.requirements import install, left_out
from chalicekit.errors import Refusal
from tests.wheels import make_compiled_wheels, make_wheel

BACKEND = """
import pathlib, shutil

def build_wheel(folder, *_):
    wheel, = pathlib.Path().glob("*.whl")
    return pathlib.Path(shutil.copy(wheel, folder)).name

build_editable = build_wheel
"""
# Builds a wheel that says that it is compiled, and is so if a compiler can be found.
OPTIONAL = """
import os, pathlib, sys, zipfile
name = f"half-1.0-cp3{{sys.version_info.minor}}-cp3{{sys.version_info.minor}}-linux_x86_64.whl"

def build_wheel(folder, *_):
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("half.py", "")
        if {is_compiled} and not os.environ.get("CC"):
            wheel.writestr("half.so", "GLIBC_2.2")
        metadata = "Metadata-Version: 2.1\\nName: half\\nVersion: 1.0"
        files = {{"METADATA": metadata, "WHEEL": "Wheel-Version: 1.0", "RECORD": ""}}
        for file, text in files.items():
            wheel.writestr(f"half-1.0.dist-info/{{file}}", text)
    return name
"""
BROKEN = "raise RuntimeError('no compiler')\n"
PYTHON = f"cp3{sys.version_info.minor}"
HERE = f"{PYTHON}-{PYTHON}-{re.sub('[-.]', '_', sysconfig.get_platform())}"  # a wheel's tag
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


CACHE = Path("build", "requirements")


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


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_lambda_gets_compiled_packages_for_its_architecture(
    folder: Path, architecture: str
) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("fast",))
    make_wheel(folder / "pure", "pure", {"pure.py": ""})
    make_source_distribution(folder / "wheels", make_source(folder / "pure"), "pure")
    vendor = installed(folder, "needs_fast\npure\n-e ./lib", architecture)
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    assert f"('linux', '{machine}')" in (vendor / "fast.py").read_text()
    assert {"needs_fast.py", "pure.py", "extra.py"} < {path.name for path in vendor.iterdir()}


def test_the_emulated_aws_gets_compiled_packages_for_this_machine(folder: Path) -> None:
    make_compiled_wheels(folder / "wheels", "fast")
    vendor = installed(folder, "fast")
    exec((vendor / "fast.py").read_text())  # which fails elsewhere


def test_scripts_data_records_and_chalice_itself_are_left_out(folder: Path) -> None:
    data = "extra-3.0.data"
    files = {f"{data}/purelib/module.py": "", f"{data}/scripts/run": "", f"{data}/data/share/a": ""}
    files["extra-3.0.dist-info/entry_points.txt"] = "[console_scripts]\nprogram = module:main\n"
    make_wheel(folder / "wheels", "extra", files, version="3.0")
    make_wheel(folder / "wheels", "chalice", {"chalice/cli.py": ""})
    found = installed(folder, "extra\nchalice")
    assert names_in(found) == {"module.py", "extra-3.0.dist-info", "chalice-1.0.dist-info"}
    assert names_in(found / "extra-3.0.dist-info") == {"METADATA", "entry_points.txt"}


def test_nothing_replaces_the_standard_library(folder: Path) -> None:
    make_wheel(folder / "wheels", "typing", {"typing.py": "1 / 0"})
    make_wheel(folder / "wheels", "enum34", {"enum/__init__.py": "1 / 0", "enum34.py": ""})
    found = names_in(installed(folder, "typing\nenum34"))
    assert found == {"typing-1.0.dist-info", "enum34-1.0.dist-info", "enum34.py"}


def test_a_record_cannot_name_a_file_to_remove(folder: Path) -> None:
    (folder / "precious").touch()
    rows = "".join(f"..//{folder}/precious,,\n..{'/..' * 9}{folder}/precious,,\n")
    make_wheel(folder / "wheels", "sly", {"sly.py": ""}, record=rows)
    installed(folder, "sly")
    assert (folder / "precious").exists()


def test_a_program_in_a_package_stays_executable(folder: Path) -> None:
    wheel = make_wheel(folder / "wheels", "extra", {"extra.py": ""}, version="3.0")
    program = zipfile.ZipInfo("program")
    program.external_attr = 0o100755 << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(program, "")
    assert os.access(installed(folder, "extra") / "program", os.X_OK)


@pytest.mark.parametrize("architecture", [None, "arm64", "x86_64"])
@pytest.mark.parametrize("outside", ["../../../outside", "/{folder}/outside"])
def test_a_wheel_that_writes_elsewhere_is_refused(
    folder: Path, architecture: str | None, outside: str
) -> None:
    files = {"zzslip.py": "", outside.format(folder=folder): "#!/bin/sh"}
    make_compiled_wheels(folder / "wheels", "zzslip", files=files)
    with pytest.raises(Refusal, match=r"zzslip.*outside.* outside the target directory"):
        installed(folder, "zzslip", architecture)
    assert not list(folder.rglob("outside"))
    assert names_in(folder / CACHE) == {"lock"}


def test_markers_are_those_of_lambda(folder: Path) -> None:
    for name in ("arm", "intel", "linux", "windows"):
        make_wheel(folder / "wheels", name, {f"{name}.py": ""})
    found = installed(
        folder,
        "arm; platform_machine == 'aarch64'\nintel; platform_machine == 'x86_64'\n"
        "linux; sys_platform == 'linux' and platform_system == 'Linux'\n"
        "windows; sys_platform == 'win32'",
        "arm64",
    )
    assert {path.name for path in found.glob("*.py")} == {"arm.py", "linux.py"}


def test_lambda_s_glibc_decides(folder: Path) -> None:
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for version, glibc in (("1.0", "2_17"), ("2.0", "2_26"), ("3.0", "2_34"), ("4.0", "2_35")):
        tag = f"{python}-{python}-manylinux_{glibc}_aarch64"
        make_wheel(folder / "wheels", "fast", {"fast.py": ""}, version=version, tag=tag)
    version = "3.0" if sys.version_info >= (3, 12) else "2.0"
    assert f"fast-{version}.dist-info" in names_in(installed(folder, "fast", "arm64"))


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_source_is_built_without_its_compiled_part(folder: Path, is_compiled: bool) -> None:
    source = make_source(folder / "half", OPTIONAL.format(is_compiled=is_compiled))
    make_source_distribution(folder / "wheels", source, "half")
    assert names_in(installed(folder, "half", "arm64")) >= {"half.py", "half-1.0.dist-info"}


@pytest.mark.parametrize("vendored", ["fast", "fast-1.0.dist-info", "fast.py"])
def test_what_pip_cannot_get_is_taken_from_vendor(
    folder: Path, vendored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(folder / "wheels", "needs_fast", {"needs_fast.py": ""}, requires=("Fast>=1.0",))
    (folder / "vendor" / vendored).mkdir(parents=True)
    found = installed(folder, "needs_fast\nextra", "arm64")
    assert {path.stem for path in found.glob("*.py")} == {"needs_fast", "extra"}
    assert not list(found.glob("fast*"))
    assert "fast is taken from vendor/. pip says: No matching" in capsys.readouterr().err


@pytest.mark.parametrize("pin", ["chalice", "chalice==1.0", "chalice<2,>=1.0"])
def test_an_old_chalice_may_require_what_pip_cannot_get(
    folder: Path, pin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(folder / "wheels", "chalice", {"chalice/app.py": ""}, requires=("nowhere==1.0",))
    assert "extra.py" in names_in(installed(folder, f"{pin}\nextra", "arm64"))
    said = (
        "chalice comes without what it requires. pip says: No matching distribution found for now"
    )
    assert said in capsys.readouterr().err
    with pytest.raises(Refusal, match=r"for nowhere==1\.0"):
        installed(folder, f"{pin}\nnowhere==1.0", "arm64")


ELSEWHERE = {"target": "elsewhere", "prefix": "elsewhere", "root": "elsewhere"}
ELSEWHERE |= {"user": "1", "dry-run": "1", "require-virtualenv": "1"}


@pytest.mark.parametrize("place", ["environment", "file"])
def test_settings_that_lead_pip_elsewhere_are_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (folder / "pip.ini").write_text(
        "[install]\n" + "".join(f"{k}={v}\n" for k, v in ELSEWHERE.items())
    )
    variables = {f"PIP_{name.upper().replace('-', '_')}": ELSEWHERE[name] for name in ELSEWHERE}
    if place == "file":
        variables = {"PIP_CONFIG_FILE": str(folder / "pip.ini")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    make_source(folder / "lib")
    (folder / "lib" / "pyproject.toml").write_text(PYPROJECT.replace("[]", '["needed"]'))
    make_wheel(folder / "wheels", "needed", {"needed.py": ""})
    assert "extra.py" in names_in(installed(folder, "./lib", "arm64"))
    assert not (folder / "elsewhere").exists()


def test_pip_s_own_settings_apply(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(folder / "more", "more", {"more.py": ""})
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder / "more"))
    assert "more.py" in names_in(installed(folder, "more", "arm64"))


def test_a_module_beside_app_py_does_not_disturb_pip(folder: Path) -> None:
    for name in ("pip", "platform", "requests", "files"):
        (folder / f"{name}.py").write_text("raise RuntimeError")
    assert "extra.py" in names_in(installed(folder, "extra", "arm64"))


CHANGES: dict[str, Callable[[Path], object]] = {
    "the file": lambda folder: None,
    "an included file": lambda folder: (folder / "pinned.txt").write_text("extra==1.0"),
    "a local source": lambda folder: (folder / "lib" / "more.py").write_text("MORE = 1"),
    "a wheel that can be found": lambda folder: make_wheel(folder / "wheels", "other", {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_requirements_are_installed_anew_when_something_changes(folder: Path, change: str) -> None:
    (folder / "pinned.txt").write_text("")
    text = "-r pinned.txt\n-e ./lib\n"
    before = installed(folder, text)
    assert installed(folder, text) == before
    CHANGES[change](folder)
    assert installed(folder, f"{text}extra" if change == "the file" else text) != before


def test_an_interrupted_installation_leaves_nothing_behind(folder: Path) -> None:
    found = installed(folder, "extra")
    found.parent.rename(folder / CACHE / "tmp123")  # as if the process had been killed
    assert installed(folder, "extra") == found
    assert names_in(folder / CACHE) == {"lock", found.parent.name}


def test_what_is_not_used_for_a_month_is_removed(folder: Path) -> None:
    unused, used = installed(folder, "extra"), installed(folder, "extra==1.0")
    os.utime(unused.parent, (1, 1))
    os.utime(used.parent, (1, 1))
    installed(folder, "extra==1.0")
    assert names_in(folder / CACHE) == {"lock", used.parent.name}


def test_two_commands_at_a_time_install_once(folder: Path) -> None:
    (folder / "requirements.txt").write_text("./lib")
    with ThreadPoolExecutor() as executor:
        first, second = executor.map(lambda _: install(folder), range(2))
    assert first == second
    assert "extra.py" in names_in(first)


@pytest.mark.parametrize("text", [None, "", "# nothing\n\n", "\ufeff# from Windows\r\n"])
def test_without_requirements_there_are_no_modules(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / "requirements.txt").write_text(text, encoding="utf-8")
    assert names_in(install(folder, "arm64")) == set()


def test_what_pip_freeze_adds_on_debian_is_left_out(folder: Path) -> None:
    assert "extra.py" in names_in(installed(folder, "extra\npkg-resources==0.0.0", "arm64"))


def test_a_file_of_powershell_is_read(folder: Path) -> None:
    text = "--no-index\r\n--find-links wheels\r\nextra\r\n"
    (folder / "requirements.txt").write_text(text, encoding="utf-16")
    assert "extra.py" in names_in(install(folder))


@pytest.mark.parametrize("architecture", [None, "arm64", "x86_64"])
@pytest.mark.parametrize("backend", [BROKEN, f"def build_wheel(*_):\n    {BROKEN}"])
def test_what_cannot_be_built_is_left_out_with_the_reason(
    folder: Path, architecture: str | None, backend: str
) -> None:
    source = make_source(folder / "broken", backend)
    make_source_distribution(folder / "wheels", source, "broken")
    make_wheel(folder / "wheels", "needs", {"needs.py": ""}, requires=("Broken>=1.0,<2",))
    found = installed(folder, "needs\nextra", architecture)
    assert {path.stem for path in found.glob("*.py")} == {"needs", "extra"}
    assert "RuntimeError: no compiler" in left_out(found)["broken"]


def test_what_only_this_machine_could_load_is_left_out(folder: Path) -> None:
    make_wheel(folder / "compiled", "compiled", {"compiled.so": ""}, tag=HERE)
    make_source_distribution(folder / "wheels", make_source(folder / "compiled"), "compiled")
    found = installed(folder, "compiled\nextra", "arm64")
    assert left_out(found).keys() == {"compiled"}
    assert not list(found.glob("compiled*"))


@pytest.mark.parametrize(
    ("requirements", "architecture", "reason"),
    [
        ("nowhere", None, "this machine. .*No matching distribution found for nowhere"),
        ("./compiled", "arm64", "arm64. .*compiled 1.0 has no wheel for Lambda"),
        ("-r nowhere.txt", None, "nowhere.txt"),
        ("what is this?", None, "what is this"),
        ("./broken", None, "./broken.*: RuntimeError: no compiler"),
    ],
)
def test_a_requirement_that_cannot_be_packaged_is_refused_with_pip_s_reason(
    folder: Path, requirements: str, architecture: str | None, reason: str
) -> None:
    make_wheel(folder / "compiled", "compiled", {"compiled.so": ""}, tag=HERE)
    make_source(folder / "compiled")
    make_source(folder / "broken", BROKEN)
    with pytest.raises(Refusal, match=reason) as refusal:
        installed(folder, requirements, architecture)
    assert "\n" not in str(refusal.value)
