"""Chalice's module does less when it is imported, and behaves as its source."""

import ast
import base64
import importlib.util
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import chalice.app
import pytest

from chalicekit.build.compiler import compile_module
from chalicekit.build.lean import LATER, lean
from chalicekit.runtime.api import booted_python
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.events import proxy_event

CHALICE = Path(chalice.app.__file__)


def run(source: str) -> Any:
    """Return the lean form of a module, imported."""
    module = ModuleType("module")
    exec(compile(lean(ast.parse(source)), "module.py", "exec"), vars(module))
    return module


@pytest.fixture
def lean_chalice() -> Any:
    """Chalice's module, as it is packaged."""
    return run(CHALICE.read_text(encoding="utf-8"))


def test_chalice_has_every_name_that_it_had(lean_chalice: Any) -> None:
    late = {"base64", "datetime", "unquote_plus", "Any", "HeadersType"}
    assert late.isdisjoint(vars(lean_chalice))
    assert lean_chalice.HeadersType == chalice.app.HeadersType  # the first, though it needs others
    own = [name for name in vars(chalice.app) if not name.startswith("__")]
    assert all(hasattr(lean_chalice, name) for name in own)


def codes(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a module, of its functions and of its classes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def test_no_function_of_chalice_has_a_variable_of_that_name() -> None:
    source = CHALICE.read_text(encoding="utf-8")
    for code in codes(compile(source, "app.py", "exec")):
        assert LATER.isdisjoint(code.co_varnames + code.co_cellvars), code.co_name


def test_chalice_works_with_what_it_imports_later(lean_chalice: Any) -> None:
    app = lean_chalice.Chalice("lean")
    app.debug = True

    def echo() -> Any:
        return app.current_request.raw_body.decode() or 1 / 0

    app.route("/", methods=["POST"], content_types=["text/plain"])(echo)
    key = app.on_s3_event("bucket")(lambda event: event.key)

    def post(text: str) -> dict[str, Any]:
        body = base64.b64encode(text.encode()).decode()
        fields = {"headers": {"Content-Type": "text/plain"}, "body": body, "isBase64Encoded": True}
        response: dict[str, Any] = app(proxy_event("/", "POST", **fields), None)
        return response

    assert post("text")["body"] == "text"
    assert "ZeroDivisionError" in post("")["body"]
    records = [{"s3": {"bucket": {"name": "bucket"}, "object": {"key": "a+b"}}}]
    assert key({"Records": records}, None) == "a b"


APP = """
import sys
from chalice import Chalice, Response

app = Chalice("lean")

@app.route("/")
def index():
    return "text"

@app.route("/later")
def later():
    return " ".join(sys.modules.keys() - after_init)

after_init = set(sys.modules)
"""


def test_the_first_request_imports_nothing(tmp_path: Path) -> None:
    shutil.copytree(CHALICE.parent, tmp_path / "chalice", ignore=shutil.ignore_patterns("__py*"))
    (tmp_path / "app.py").write_text(APP)
    module = tmp_path / "chalice" / "app.py"
    compile_module(module, Path(importlib.util.cache_from_source(module)), "chalice/app.py")
    python = lambda_python(tmp_path / "python")
    with booted_python(tmp_path, python) as function:
        assert function.invoke(proxy_event("/"))[1]["body"] == "text"
        assert function.invoke(proxy_event("/later"))[1]["body"] == ""


@pytest.mark.parametrize(
    ("source", "plain"),
    [
        (
            "def f(a: int = 1, *b: int) -> int:\n    c: int = 2\n    d: int",
            "def f(a=1, *b):\n    c = 2\n    pass",
        ),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", "import b"),
        ("import re, os", "import re, os"),  # another name than those that Chalice needs later
    ],
)
def test_what_python_need_not_run_is_removed(source: str, plain: str) -> None:
    assert ast.unparse(lean(ast.parse(source))) == plain


def test_a_function_that_runs_on_import_can_use_what_moved() -> None:
    assert run("import os\ndef f(): return os.sep\nsep = f()\nimport sys").sep == "/"


def test_others_can_read_and_replace_what_moved() -> None:
    module = run("import copy\ndef f(): return copy")
    module.copy = "another"
    assert module.f() == "another"
    del module.copy
    assert module.f() is module.copy is sys.modules["copy"]


def test_a_name_that_the_module_lacks_is_an_attribute_error(lean_chalice: Any) -> None:
    with pytest.raises(AttributeError, match=r"^module 'module' has no attribute 'other'$"):
        _ = lean_chalice.other


def test_a_traceback_shows_the_lines_of_the_source() -> None:
    lines = "import os\n\n\nimport missing as copy\n\n\ndef f():\n    return [\n        copy]\n"
    with pytest.raises(ModuleNotFoundError) as raised:
        run(lines).f()
    _, *frames = traceback.extract_tb(raised.tb)
    assert [(frame.name, frame.lineno) for frame in frames] == [("f", 9), ("__getattr__", 4)]
