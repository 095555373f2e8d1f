"""An import that fails on Lambda is found before anything is packaged."""

from pathlib import Path

import pytest

from tests.project import Project
from chalicekit.build.imports import advice, missing_imports, module_names

PACKAGE = {
    "chalice/__init__.py": "from chalice.app import Chalice",
    "chalice/app.py": "class Chalice: ...",
    "chalicelib/__init__.py": "VERSION = 1",
    "chalicelib/dynamic.py": "globals().update(anything=1)",
    "chalicelib/lazy.py": "def __getattr__(name): ...",
    "chalicelib/star.py": "from requests import *",
    "chalicelib/orders/__init__.py": "from .tax import rate",
    "chalicelib/orders/tax.py": "def rate(): ...",
    "requests/__init__.py": "",
    "fast.cpython-311-aarch64-linux-gnu.so": "",
}


def missing(folder: Path, path: str, code: str) -> list[tuple[str, int, str]]:
    """Return what is missing for `code` as the module `path`, beside the modules above."""
    files = PACKAGE | {path: code}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    own = {name: folder / name for name in files if name.startswith(("app", "chalice"))}
    return list(missing_imports(own, module_names(files)))


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import helpers", "helpers"),
        ("import helpers as os", "helpers"),
        ("import json, helpers.more", "helpers.more"),
        ("from helpers import greet", "helpers"),
        ("class A:\n    def view(self):\n        import helpers", "helpers"),
        ("async def view():\n    with open('') as file:\n        import helpers", "helpers"),
        ("with suppress(ValueError):\n    import helpers", "helpers"),
        ("for _ in ():\n    pass\nelse:\n    import helpers", "helpers"),
        ("match 1:\n    case 1:\n        import helpers", "helpers"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nimport helpers", "helpers"),
        ("try:\n    import helpers\nexcept ValueError:\n    pass", "helpers"),
        ("try:\n    pass\nexcept ValueError:\n    import helpers", "helpers"),
        ("try:\n    import helpers\nfinally:\n    pass", "helpers"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import helpers", "helpers"),
        ("if 'a' in {}:\n    import helpers", "helpers"),
        ("from chalicelib import helpers", "chalicelib.helpers"),
        ("import chalicelib.helpers", "chalicelib.helpers"),
        ("from chalicelib.orders import helpers", "chalicelib.orders.helpers"),
        ("from chalicelib.orders.tax import helpers", "chalicelib.orders.tax.helpers"),
        ("from chalice import local", "chalice.local"),
        ("from chalice.test import Client", "chalice.test"),
        ("from . import orders", "."),
    ],
)
def test_an_import_that_is_not_packaged_is_reported(tmp_path: Path, code: str, module: str) -> None:
    lines = [number for number, line in enumerate(code.split("\n"), 1) if "import " in line]
    assert missing(tmp_path, "app.py", code) == [("app.py", lines[-1], module)]


@pytest.mark.parametrize(
    "code",
    [
        "import os, xml.etree.ElementTree as tree, __future__",
        "import boto3, botocore.session, dateutil.parser",
        "import requests.adapters, fast",
        "from requests import anything",
        "from chalice import Chalice, app",
        "from chalicelib import VERSION, orders",
        "from chalicelib.orders import rate, tax",
        "import chalicelib.orders.tax",
        "from chalicelib.orders import *",
        "from chalicelib.dynamic import anything",
        "from chalicelib.lazy import anything",
        "from chalicelib.star import anything",
        "import app",
        "try:\n    import helpers\nexcept ImportError:\n    import other_helpers",
        "try:\n    import helpers\nexcept (ValueError, ModuleNotFoundError):\n    pass",
        "try:\n    import helpers\nexcept:\n    pass",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import helpers",
        "if TYPE_CHECKING:\n    import helpers",
        "import typing\nif typing.TYPE_CHECKING:\n    import helpers",
        "import sys\nif sys.version_info < (3, 11):\n    import helpers\nelse:\n    import other",
        "if __name__ == '__main__':\n    import helpers",
    ],
)
def test_an_import_that_lambda_has_or_does_not_need_is_accepted(tmp_path: Path, code: str) -> None:
    assert missing(tmp_path, "app.py", code) == []


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("from . import VERSION, orders\nfrom .orders import tax", []),
        ("from .helpers import greet", ["chalicelib.helpers"]),
        ("from . import helpers", ["chalicelib.helpers"]),
        ("from .. import helpers", [".."]),
    ],
)
def test_relative_imports_start_from_the_package(
    tmp_path: Path, code: str, modules: list[str]
) -> None:
    found = missing(tmp_path, "chalicelib/views.py", code)
    assert found == [("chalicelib/views.py", 1, module) for module in modules]


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("helpers", "move helpers into chalicelib/"),
        ("templates", "move templates into chalicelib/"),
        ("yaml", "add PyYAML to requirements.txt"),
        ("nowhere.at.all", "add its package to requirements.txt"),
        ("vendored", "git does not track it"),
        ("chalicelib.untracked", "git does not track it"),
        ("chalicelib.nowhere", "there is no such module"),
        ("chalice.test", "Chalice has only"),
        (".", "a relative import"),
    ],
)
def test_the_advice_fits_the_project(tmp_path: Path, module: str, says: str) -> None:
    for file in ("helpers.py", "templates/a", "vendor/vendored.py", "chalicelib/untracked.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert says in advice(module, tmp_path)


@pytest.mark.parametrize("target", ["package", "deploy"])
def test_an_app_with_a_missing_import_is_refused(project: Project, target: str) -> None:
    (project.folder / "helpers.py").touch()
    project.append("\ndef view():\n    import helpers\n")
    line = len((project.folder / "app.py").read_text().splitlines())
    assert project.refusal(target) == (
        f"app.py, line {line}: helpers is not in the deployment package: "
        "move helpers into chalicelib/, because modules next to app.py are not packaged.\n"
    )
    assert not (project.folder / "build" / "deployment.zip").exists()
    assert set(project.left_in_aws().values()) == {0}
