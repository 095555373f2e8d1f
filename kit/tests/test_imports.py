"""An import that fails on Lambda is found before anything is packaged."""

from pathlib import Path

import pytest

from chalicekit.build.advice import Advisor
from chalicekit.build.imports import check, missing_imports
from chalicekit.errors import Refusal

PACKAGE = {
    "chalice/__init__.py": "from chalice.app import Chalice",
    "chalice/app.py": "class Chalice: ...",
    "chalicelib/__init__.py": "VERSION = 1\nimport json as codec",
    "chalicelib/dynamic.py": "globals().update(anything=1)",
    "chalicelib/star.py": "from requests import *",
    "chalicelib/orders/__init__.py": "from .tax import rate",
    "chalicelib/orders/tax.py": "def rate(): ...",
    "chalicelib/unused.py": "import nowhere",
    "google/protobuf/__init__.py": "",
    "requests/__init__.py": "a {{ template }}",
    "fast.cpython-311-aarch64-linux-gnu.so": "",
}


def package(folder: Path, **sources: str) -> dict[str, Path]:
    """Write the package above with other modules; return its files."""
    files = PACKAGE | {name.replace("__", "/") + ".py": text for name, text in sources.items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return {name: folder / name for name in files}


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import helpers", "helpers"),
        ("import orders", "orders"),  # which chalicelib has, but sys.path does not
        ("import json, helpers.more as os", "helpers.more"),
        ("from helpers import greet, part", "helpers"),
        ("async def view():\n    with open('') as file:\n        import helpers", "helpers"),
        ("with suppress(ValueError):\n    import helpers", "helpers"),
        ("match 1:\n    case 1:\n        import helpers", "helpers"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nimport helpers", "helpers"),
        ("try:\n    pass\nexcept ValueError:\n    import helpers", "helpers"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import helpers", "helpers"),
        ("def view():\n    if 'a' in {}:\n        import helpers", "helpers"),
        ("from chalicelib import helpers", "chalicelib.helpers"),
        ("import chalicelib.helpers", "chalicelib.helpers"),
        ("from chalicelib.orders.tax import helpers", "chalicelib.orders.tax.helpers"),
        ("from chalice import local", "chalice.local"),
        ("from chalice.test import Client", "chalice.test"),
        ("from . import orders", "."),
        ("import google.cloud.storage", "google.cloud.storage"),
        ("from google import cloud", "google.cloud"),
    ],
)
def test_an_import_that_is_not_packaged_is_found(tmp_path: Path, code: str, module: str) -> None:
    line = code.count("\n") + 1
    assert missing_imports(package(tmp_path, app=code)) == [("app.py", line, module)]


@pytest.mark.parametrize(
    "code",
    [
        "import os, xml.etree.ElementTree as tree, __future__",
        "import boto3, botocore.session, dateutil.parser",
        "import requests.made_when_it_runs, fast",
        "from requests import anything",
        "import google.protobuf.message",
        "from google import protobuf",
        "from chalice import Chalice, app",
        "from chalicelib import VERSION, codec, orders",
        "from chalicelib.orders import rate, tax",
        "import chalicelib.orders.tax",
        "from chalicelib.orders import *",
        "from chalicelib.dynamic import anything",
        "from chalicelib.star import anything",
        "import sys\nsys.path.insert(0, 'chalicelib')\nimport orders.tax, dynamic",
        "try:\n    import helpers\nexcept ImportError:\n    import other_helpers",
        "try:\n    import helpers\nexcept (ValueError, ModuleNotFoundError):\n    pass",
        "try:\n    import helpers\nexcept:\n    pass",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import helpers",
        "if TYPE_CHECKING:\n    import helpers",
        "import typing\ndef view():\n    if typing.TYPE_CHECKING:\n        import helpers",
        "import sys\ndef view():\n    if sys.version_info < (3, 11):\n        import helpers",
        "import os\nif os.environ['STAGE'] == 'local':\n    import helpers",
    ],
)
def test_an_import_that_lambda_has_or_does_not_need_is_accepted(tmp_path: Path, code: str) -> None:
    assert missing_imports(package(tmp_path, app=code)) == []


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
    files = package(tmp_path, app="import chalicelib.views", chalicelib__views=code)
    assert missing_imports(files) == [("chalicelib/views.py", 1, module) for module in modules]


@pytest.mark.parametrize(
    "code",
    [
        "from chalicelib import broken",
        "from chalicelib.broken import name",
        "try:\n    import chalicelib.broken\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('chalicelib.broken')",
    ],
)
def test_the_imports_of_what_the_app_imports_are_checked(tmp_path: Path, code: str) -> None:
    files = package(tmp_path, app=code, chalicelib__broken="name = 1\nimport nowhere")
    assert missing_imports(files) == [("chalicelib/broken.py", 2, "nowhere")]


@pytest.mark.parametrize("code", ["def x(:\n", "\0"])
def test_a_module_that_is_not_python_is_refused_if_the_app_imports_it(
    tmp_path: Path, code: str
) -> None:
    assert missing_imports(package(tmp_path, app="", chalicelib__broken=code)) == []
    files = package(tmp_path, app="import chalicelib.broken", chalicelib__broken=code)
    with pytest.raises(Refusal, match=r"^chalicelib/broken\.py, line 1: SyntaxError: "):
        missing_imports(files)


@pytest.mark.parametrize(
    ("layer_modules", "missing"),
    [
        ((), ["helpers", "chalicelib.nowhere", "pandas.testing"]),
        (("*",), ["helpers", "chalicelib.nowhere"]),
        (("pandas",), ["helpers", "chalicelib.nowhere", "yaml"]),
    ],
)
def test_modules_of_layers_are_not_missing(
    tmp_path: Path, layer_modules: tuple[str, ...], missing: list[str]
) -> None:
    code = "import pandas.testing, yaml\nimport helpers\nfrom chalicelib import nowhere"
    (tmp_path / "helpers.py").touch()
    with pytest.raises(Refusal) as refusal:
        check(package(tmp_path / "package", app=code), Advisor(tmp_path), layer_modules)
    lines = str(refusal.value).splitlines()
    assert [line.split(": ")[1].split(" is not")[0] for line in lines] == missing


def test_the_modules_that_layers_bring_are_known(tmp_path: Path) -> None:
    files = package(tmp_path, app="import pandas.testing, yaml, json")
    assert check(files, Advisor(tmp_path), ["*"]) == ("pandas", "yaml")


def test_all_that_requirements_lack_is_in_one_line(tmp_path: Path) -> None:
    code = "import pandas.testing, yaml\nfrom pandas import DataFrame\nimport nowhere"
    line = (
        "app.py, line 1: pandas.testing is not in the deployment package, nor yaml (app.py, line "
        "1), nor nowhere (app.py, line 3): add the package of pandas, PyYAML, the package of nowh"
    )
    with pytest.raises(Refusal) as refusal:
        check(package(tmp_path, app=code), Advisor(tmp_path))
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("helpers", "move helpers into chalicelib/"),
        ("templates", "move templates into chalicelib/"),
        ("typed_ast", "change typed-ast in requirements.txt, which cannot be built (no compiler)"),
        ("attr", "change python-attr in requirements.txt"),
        ("mailer", "change mailer3 in requirements.txt"),
        ("cgi", "no longer has it, add standard-cgi to requirements.txt"),
        ("imp", "no longer has it, use importlib"),
        ("nis", "no longer has it, nothing replaces it"),
        ("chalicelib.nowhere", "there is no such module"),
        ("chalice.test", "Chalice has only"),
        (".", "a relative import"),
    ],
)
def test_the_advice_fits_the_project(tmp_path: Path, module: str, advice: str) -> None:
    (tmp_path / "helpers.py").touch()
    (tmp_path / "templates").mkdir()
    unbuilt = dict.fromkeys(["typed-ast", "python-attr", "mailer3"], "no compiler")
    assert advice in str(Advisor(tmp_path, unbuilt).about_module(module))
