"""Projects of the kinds that people have: each is packaged, or refused for a reason of its own."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chalicekit.build import archive, build, bytecode, with_extensions_of
from chalicekit.checks import before_build, before_package
from chalicekit.errors import Refusal
from chalicekit.load import app_of
from chalicekit.project import Project
from tests.wheels import (
    make_compiled_wheels,
    make_source,
    make_source_distribution,
    make_wheel,
)

APP = "from chalice import Chalice\napp = Chalice(app_name='app')\n"
ROUTE = "@app.route('/')\ndef index(): return {}\n"
RUNTIME = {"app.py", "chalice/__init__.py", "chalice/app.py"}
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:Metrics:1"
WHEELS = "--no-index\n--find-links wheels\n"


def write_project(folder: Path, files: dict[str, str], **settings: Any) -> Project:
    """Write a project of files around the smallest app; return it."""
    config = json.dumps({"version": "2.0", "app_name": "app"} | settings)
    for name, text in ({"app.py": APP + ROUTE, ".chalice/config.json": config} | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Project(folder)


def packaged(folder: Path, files: dict[str, str], **settings: Any) -> set[str]:
    """Check and build such a project; return what is in its package, bytecode aside."""
    written = write_project(folder, files, **settings)
    before_build(written)
    built = build(written)
    with app_of(built, written) as app:
        before_package(written, app)
    with zipfile.ZipFile(built.zip) as package:
        return {name for name in package.namelist() if "__pycache__" not in name}


KINDS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "no requirements, no stages": ({}, {}),
    "functions only": ({"app.py": APP + "@app.schedule('rate(1 hour)')\ndef f(e): ...\n"}, {}),
    "a module that nothing imports and that cannot be imported": (
        {"chalicelib/old.py": "import nowhere\nprint 'Python 2'\n"},
        {},
    ),
    "a module of a layer": (
        {"app.py": "import aws_layer.metrics as m\nm.Metrics(a=1).start()\n" + APP + ROUTE},
        {"layers": [LAYER]},
    ),
    "a variable of the stage, which the app needs": (
        {"app.py": "import os\nos.environ['TABLE']\n" + APP + ROUTE},
        {"stages": {"dev": {"environment_variables": {"TABLE": "t"}}}},
    ),
    "a file beside a module": (
        {"chalicelib/a.txt": "", "app.py": "open('chalicelib/a.txt').close()\n" + APP + ROUTE},
        {},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_of_this_kind_is_packaged(tmp_path: Path, kind: str) -> None:
    files, settings = KINDS[kind]
    assert packaged(tmp_path, files, **settings) == RUNTIME | files.keys()


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        ("numbers_layer", {"chalicekit": {"layer_modules": ["numbers_layer"]}}),
        ("pytest", {"layers": [LAYER]}),  # it is installed beside the kit
    ],
)
def test_a_library_may_import_what_a_layer_brings(
    tmp_path: Path, module: str, settings: dict[str, Any]
) -> None:
    files = {"vendor/lib.py": f"import {module}", "app.py": "import lib\n" + APP + ROUTE}
    assert "lib.py" in packaged(tmp_path, files, **settings)


def test_a_policy_elsewhere_is_not_packaged(tmp_path: Path) -> None:
    files = {"policies/all.json": '{"Statement": []}'}
    settings = {"autogen_policy": False, "iam_policy_file": "../policies/all.json"}
    assert packaged(tmp_path, files, **settings) == RUNTIME


def test_an_import_inside_a_function_that_would_fail_is_refused(tmp_path: Path) -> None:
    files = {"helpers.py": "", "app.py": APP + "def view():\n    import helpers\n"}
    with pytest.raises(Refusal, match=r"app\.py, line 4: helpers is not in the deployment package"):
        packaged(tmp_path, files)


def test_a_wheel_that_does_not_declare_what_it_imports_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "careless", {"careless.py": "import yaml"})
    files = {"app.py": "import careless\n" + APP, "requirements.txt": WHEELS + "careless\n"}
    with pytest.raises(Refusal, match=r"app\.py, line 1: careless\.py, line 1: ModuleNotFound"):
        packaged(tmp_path, files)


@pytest.fixture
def unbuilt(tmp_path: Path) -> dict[str, str]:
    """The files of a project with a requirement that cannot be built, and with another."""
    make_wheel(tmp_path / "wheels", "extra", {"extra.py": ""})
    source = make_source(tmp_path / "sources" / "broken", "raise RuntimeError('no compiler')")
    make_source_distribution(tmp_path / "wheels", source)
    return {"requirements.txt": WHEELS + "broken\nextra\n"}


def test_a_requirement_that_cannot_be_built_is_left_out_and_named(
    tmp_path: Path, unbuilt: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "extra.py" in packaged(tmp_path, unbuilt | {"app.py": "import extra\n" + APP + ROUTE})
    assert "broken is left out, because it cannot be built: " in capsys.readouterr().err


def test_a_requirement_that_cannot_be_built_is_refused_if_the_app_imports_it(
    tmp_path: Path, unbuilt: dict[str, str]
) -> None:
    with pytest.raises(Refusal, match=r"line 1: .*change broken in .* RuntimeError: no comp"):
        packaged(tmp_path, unbuilt | {"app.py": "import broken\n" + APP})


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_compiled_requirements_are_those_of_lambda(tmp_path: Path, architecture: str) -> None:
    make_compiled_wheels(tmp_path / "wheels", "fast", files={"fast.part.so": ""})
    files = {"app.py": "import fast\n" + APP, "requirements.txt": WHEELS + "fast\n"}
    found = packaged(tmp_path, files, lambda_architecture=architecture)
    assert found - RUNTIME == {"fast.py", "fast.part.so", "fast-1.0.dist-info/METADATA"}


def test_what_is_compiled_for_another_machine_is_checked_as_this_one_has_it() -> None:
    lambdas, here = Path("lambda"), Path("here")
    package = dict.fromkeys(["app.py", "fast/a.arm.so", "fast/b.py", "only_lambda.so"], lambdas)
    for_here = dict.fromkeys(["fast/a.x86.so", "fast/b.py", "only_here.py"], here)
    assert with_extensions_of(for_here, package) == {
        "app.py": lambdas,
        "fast/a.x86.so": here,
        "fast/b.py": here,
        "only_lambda.so": lambdas,
    }


def test_the_app_has_its_own_versions_but_the_sdk_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pydantic", raising=False)
    monkeypatch.delitem(sys.modules, "boto3", raising=False)
    make_wheel(tmp_path / "wheels", "pydantic", {"pydantic.py": "VERSION = 'own'"})
    make_wheel(tmp_path / "wheels", "boto3", {"boto3.py": "VERSION = 'own'"})
    files = {"app.py": "import boto3, pydantic\n" + APP + ROUTE}
    written = write_project(tmp_path, files | {"requirements.txt": WHEELS + "boto3\npydantic\n"})
    with app_of(build(written), written):
        assert sys.modules["app"].pydantic.VERSION == "own"
        assert "client" in dir(sys.modules["app"].boto3)
    monkeypatch.delitem(sys.modules, "pydantic")


def test_vendor_wins_over_requirements_and_the_app_over_both(tmp_path: Path) -> None:
    content = {"both.py": "requirements", "app.py": "requirements", "chalice/app.py": ""}
    make_wheel(tmp_path / "wheels", "both", content)
    files = {"vendor/both.py": "# vendor", "vendor/chalice/app.py": ""}
    files["requirements.txt"] = WHEELS + "both\n"
    with zipfile.ZipFile(build(write_project(tmp_path, files)).zip) as package:
        assert package.read("both.py") == b"# vendor"
        assert package.read("app.py").decode() == APP + ROUTE
        assert b"class Chalice" in package.read("chalice/app.py")


def test_the_bytecode_of_requirements_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", "extra", {"extra.py": "TEXT = 'an extra'"})
    files = {"vendor/vendored.py": "", "requirements.txt": WHEELS + "extra\n"}
    first = build(write_project(tmp_path, files)).zip.read_bytes()
    compiled, compile_modules = list[str](), bytecode.compile_modules

    def note(modules: list[bytecode.Module]) -> None:
        compiled.extend(module.name for module in modules)
        compile_modules(modules)

    monkeypatch.setattr(bytecode, "compile_modules", note)
    assert build(write_project(tmp_path, files)).zip.read_bytes() == first
    assert sorted(compiled) == ["app.py", "chalice/__init__.py", "chalice/app.py", "vendored.py"]


def test_bytecode_that_would_be_too_much_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "UPLOAD_LIMIT", 60_000)
    files = {"vendor/large.py": "".join(f"name_{n} = {n}\n" for n in range(3000))}
    with zipfile.ZipFile(build(write_project(tmp_path, files)).zip) as package:
        folders = {name.partition("__pycache__")[0] for name in package.namelist()}
    assert folders == {"", "chalice/"} | RUNTIME | {"large.py"}
    assert "The package has no bytecode of its requirements" in capsys.readouterr().err


def test_a_managed_layer_has_the_libraries_with_their_bytecode(tmp_path: Path) -> None:
    built = build(write_project(tmp_path, {"vendor/vendored.py": ""}, automatic_layer=True))
    assert built.layer_zip
    with zipfile.ZipFile(built.layer_zip) as layer:
        names = {name.partition("site-packages/")[2] for name in layer.namelist()}
    assert names == {"vendored.py", bytecode.bytecode_of("vendored.py")}
    with zipfile.ZipFile(built.zip) as package:
        assert not any("vendored" in name for name in package.namelist())
