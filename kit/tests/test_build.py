"""Projects of the kinds that people have: each is packaged, or refused for a reason of its own."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import chalicekit.build
from chalicekit.build import archive, build
from chalicekit.checks import before_build, before_package
from chalicekit.errors import Refusal
from chalicekit.factory import app_of
from chalicekit.project import Project
from tests.project import git, needs_git
from tests.test_requirements import make_source, make_source_distribution
from tests.wheels import make_compiled_wheels, make_wheel

APP = "from chalice import Chalice\napp = Chalice(app_name='app')\n"
ROUTE = "@app.route('/')\ndef index(): return {}\n"


def project(folder: Path, files: dict[str, str], **settings: Any) -> Project:
    """Write a project of files around the smallest app; return it."""
    files = {"app.py": APP + ROUTE} | files
    config = {"version": "2.0", "app_name": "app"} | settings
    for name, text in (files | {".chalice/config.json": json.dumps(config)}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Project(folder)


def packaged(folder: Path, files: dict[str, str], **settings: Any) -> set[str]:
    """Check and build such a project; return what is in its package, bytecode aside."""
    written = project(folder, files, **settings)
    before_build(written)
    built = build(written)
    with app_of(built, written) as app:
        before_package(written, app)
    with zipfile.ZipFile(built.package) as package:
        return {name for name in package.namelist() if "__pycache__" not in name}


RUNTIME = {"app.py", "chalice/__init__.py", "chalice/app.py"}
KINDS: dict[str, tuple[dict[str, str], dict[str, Any], set[str]]] = {
    "no requirements, no stages": ({}, {}, set()),
    "functions only": (
        {"app.py": APP + "@app.schedule('rate(1 hour)')\ndef f(e): ...\n"},
        {},
        set(),
    ),
    "a module that nothing imports and that cannot be imported": (
        {"chalicelib/old.py": "import nowhere\nprint 'Python 2'\n"},
        {},
        {"chalicelib/old.py"},
    ),
    "a module of a layer": (
        {"app.py": "import aws_layer.metrics as m\nm.Metrics(a=1).start()\n" + APP + ROUTE},
        {"layers": ["arn:aws:lambda:us-east-1:123456789012:layer:Metrics:1"]},
        set(),
    ),
    "a module of a layer that is attached elsewhere": (
        {"app.py": "def view():\n    import numbers_layer\n" + APP + ROUTE},
        {"chalicekit": {"layer_modules": ["numbers_layer"]}},
        set(),
    ),
    "the SDK, which nobody lists": (
        {"app.py": "import boto3\ntable = boto3.resource('dynamodb').Table('t')\n" + APP + ROUTE},
        {},
        set(),
    ),
    "a variable of the stage, which the app needs": (
        {"app.py": "import os\nos.environ['TABLE']\n" + APP + ROUTE},
        {"stages": {"dev": {"environment_variables": {"TABLE": "t"}}}},
        set(),
    ),
    "a file beside a module": (
        {
            "chalicelib/words.txt": "",
            "app.py": "open('chalicelib/words.txt').close()\n" + APP + ROUTE,
        },
        {},
        {"chalicelib/words.txt"},
    ),
    "a policy elsewhere": (
        {"policies/all.json": '{"Statement": []}'},
        {"autogen_policy": False, "iam_policy_file": "../policies/all.json"},
        set(),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_of_this_kind_is_packaged(tmp_path: Path, kind: str) -> None:
    files, settings, own = KINDS[kind]
    assert packaged(tmp_path, files, **settings) == RUNTIME | own


REFUSED = {
    "a vendored module imports what is not packaged": (
        {"vendor/conf.py": "import yaml\n", "app.py": "import conf\n" + APP},
        "The app cannot be imported on Lambda: app.py, line 1: vendor/conf.py, line 1: "
        "ModuleNotFoundError: No module named 'yaml': add PyYAML",
    ),
    "a module beside app.py": (
        {"helpers.py": "", "app.py": APP + "def view():\n    import helpers\n"},
        "app.py, line 4: helpers is not in the deployment package: move helpers into chalicelib/",
    ),
    "a function that is not in app.py": (
        {
            "chalicelib/jobs.py": APP + "@app.schedule('rate(1 hour)')\ndef tick(e): ...\n",
            "app.py": "from chalicelib.jobs import app\n",
        },
        "chalicelib/jobs.py, line 3: Lambda looks for tick in app, which does not have it: import",
    ),
    "a function with the name of a view": (
        {"app.py": APP + "@app.schedule('rate(1 hour)')\ndef index(e): ...\n" + ROUTE},
        "Lambda would call the view index instead of index: rename one",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_project_that_lambda_could_not_start_is_refused(tmp_path: Path, kind: str) -> None:
    files, line = REFUSED[kind]
    with pytest.raises(Refusal, match=line) as refusal:
        packaged(tmp_path, files)
    assert "\n" not in str(refusal.value)


def test_a_wheel_that_does_not_declare_what_it_imports_is_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "careless", {"careless.py": "import yaml"})
    files = {"app.py": "import careless\n" + APP}
    files["requirements.txt"] = "--no-index\n--find-links wheels\ncareless\n"
    with pytest.raises(
        Refusal, match=r"app\.py, line 1: careless\.py, line 1: ModuleNotFoundError"
    ):
        packaged(tmp_path, files)


@pytest.mark.parametrize("module", ["extra", "broken"])
def test_a_requirement_that_cannot_be_built_is_left_out_unless_the_app_imports_it(
    tmp_path: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(tmp_path / "wheels", "extra", {"extra.py": ""})
    source = make_source(tmp_path / "source", "raise RuntimeError('no compiler')")
    make_source_distribution(tmp_path / "wheels", source, "broken")
    files = {"app.py": f"import {module}\n" + APP + ROUTE}
    files["requirements.txt"] = "--no-index\n--find-links wheels\nbroken\nextra\n"
    if module == "extra":
        assert "extra.py" in packaged(tmp_path, files)
        said = "broken is left out, because it cannot be built: "
        assert said in capsys.readouterr().err
    else:
        with pytest.raises(Refusal, match=r"line 1: .*change broken in .* RuntimeError: no comp"):
            packaged(tmp_path, files)


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_compiled_requirements_are_those_of_lambda(tmp_path: Path, architecture: str) -> None:
    make_compiled_wheels(tmp_path / "wheels", "fast", files={"fast.part.so": ""})
    files = {"app.py": "import fast\n" + APP}
    files["requirements.txt"] = "--no-index\n--find-links wheels\nfast\n"
    found = packaged(tmp_path, files, lambda_architecture=architecture)
    assert found - RUNTIME == {"fast.py", "fast.part.so", "fast-1.0.dist-info/METADATA"}


@needs_git
def test_a_generated_module_that_git_ignores_is_packaged(tmp_path: Path) -> None:
    written = project(tmp_path, {".gitignore": "/chalicelib/env/\n"})
    git(tmp_path, "init")
    git(tmp_path, "add", "--all")
    generated = {"chalicelib/env/dev.py": "", "chalicelib/env/dev.json": ""}
    files = generated | {"app.py": "from chalicelib.env import dev\n" + APP + ROUTE}
    assert packaged(written.folder, files) == RUNTIME | generated.keys()


def test_the_app_has_its_own_versions_but_the_sdk_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pydantic", raising=False)
    monkeypatch.delitem(sys.modules, "boto3", raising=False)
    make_wheel(tmp_path / "wheels", "pydantic", {"pydantic.py": "VERSION = 'own'"})
    make_wheel(tmp_path / "wheels", "boto3", {"boto3.py": "VERSION = 'own'"})
    files = {"app.py": "import boto3, pydantic\n" + APP + ROUTE}
    files["requirements.txt"] = "--no-index\n--find-links wheels\nboto3\npydantic\n"
    written = project(tmp_path, files)
    with app_of(build(written), written):
        assert sys.modules["app"].pydantic.VERSION == "own"
        assert "client" in dir(sys.modules["app"].boto3)
    monkeypatch.delitem(sys.modules, "pydantic")


def test_vendor_wins_over_requirements_and_the_app_over_both(tmp_path: Path) -> None:
    content = {"both.py": "requirements", "app.py": "requirements", "chalice/app.py": ""}
    make_wheel(tmp_path / "wheels", "both", content)
    files = {"vendor/both.py": "# vendor", "requirements.txt": "./wheels/both-1.0-py3-none-any.whl"}
    built = build(project(tmp_path, files))
    with zipfile.ZipFile(built.package) as package:
        assert package.read("both.py") == b"# vendor"
        assert package.read("app.py").decode() == APP + ROUTE
        assert b"class Chalice" in package.read("chalice/app.py")


def test_the_bytecode_of_requirements_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", "extra", {"extra.py": "TEXT = 'an extra'"})
    files = {"vendor/vendored.py": "", "requirements.txt": "wheels/extra-1.0-py3-none-any.whl"}
    first = build(project(tmp_path, files)).package.read_bytes()
    compiled, compile_modules = list[str](), chalicekit.build.compile_modules

    def note(modules: list[tuple[Path, Path, str]]) -> None:
        compiled.extend(name for _, _, name in modules)
        compile_modules(modules)

    monkeypatch.setattr("chalicekit.build.compile_modules", note)
    assert build(project(tmp_path, files)).package.read_bytes() == first
    assert compiled == ["chalice/__init__.py", "chalice/app.py", "app.py", "vendored.py"]


def test_bytecode_that_would_be_too_much_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "UPLOAD_LIMIT", 60_000)
    files = {"vendor/large.py": "".join(f"name_{n} = {n}\n" for n in range(3000))}
    built = build(project(tmp_path, files | {"app.py": "import large\n" + APP}))
    with zipfile.ZipFile(built.package) as package:
        names = {name for name in package.namelist() if name.endswith(".pyc")}
    assert {name.partition("__pycache__")[0] for name in names} == {"", "chalice/"}
    assert not any("large" in name for name in names)
    assert "The package has no bytecode of its requirements" in capsys.readouterr().err
