"""A lean module does less when it is imported, and behaves as its source."""

import ast
import base64
import importlib.util
import shutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import chalice.app
import pytest

from chalicekit.build.compiler import compile_module
from chalicekit.build.lean import lean
from chalicekit.runtime.api import booted_python
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.events import proxy_event

CHALICE = Path(chalice.app.__file__)


def run(source: str) -> Any:
    """Return the lean form of a module, imported."""
    module = ModuleType("module")
    exec(compile(lean(ast.parse(source)), "module.py", "exec"), vars(module))
    return module


def names(module: ModuleType) -> set[str]:
    """Return the names that a module has from its code."""
    return vars(module).keys() - vars(ModuleType("")).keys() - {"__builtins__"}


@pytest.mark.parametrize(
    ("start", "use", "result"),
    [
        ("import base64", "return base64.b64encode(b'a')", b"YQ=="),
        ("import os.path", "return os.path.sep", "/"),
        ("from base64 import b64encode as e, b64decode as d", "return d(e(b'a'))", b"a"),
        ("import math", "return [math.inf for _ in '1']", [float("inf")]),
        ("import math", "def g(a=math.inf): return a\n    return g()", float("inf")),
        ("import functools", "@functools.cache\n    def g(): return 1\n    return g()", 1),
        ("from typing import Dict\nKind = Dict[str, int]", "return Kind.__args__", (str, int)),
    ],
)
def test_what_only_functions_use_is_imported_at_its_first_use(
    start: str, use: str, result: object
) -> None:
    module = run(f"{start}\ndef f():\n    {use}")
    assert names(module) == {"__getattr__", "f"}
    assert module.f() == result


@pytest.mark.parametrize(
    "code",
    [
        "from typing import Dict, Any\nKind = Dict[str, Any]\ndef f(a: Kind, *b: Any) -> Kind: ...",
        "import base64\ndef f(*, a: base64 = 1, **b: base64) -> base64: ...",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING: import a\nelse:\n    def f(): ...",
    ],
)
def test_what_only_annotations_use_is_not_imported(code: str) -> None:
    assert names(run(code)) == {"__getattr__", "f"}


@pytest.mark.parametrize(
    "use",
    [
        "class A(math.Base): ...",
        "@math.decorator\ndef f(): ...",
        "def f(*, a=math.inf): ...",
        "from typing import Dict\nKind = Dict[str, math.Base]\nclass A(Kind): ...",
        "kind = math['a']",
        "def f(math): return math",
        "def f():\n    global math\n    math = 1",
        "def f():\n    import math\n    return math",
        "def f():\n    try: pass\n    except ValueError as math: return math",
        "def math(): ...",
        "def f(): return globals()['math']",
        "def __getattr__(name): return math",
        "from os.path import *\ndef f(): return math",
        "from dataclasses import dataclass\ndef f(): return math",
    ],
)
def test_a_name_stays_where_moving_it_could_matter(use: str) -> None:
    body = lean(ast.parse(f"import math\n{use}")).body
    assert any(isinstance(part, ast.Import) and part.names[0].name == "math" for part in body)


def test_a_module_of_which_nothing_can_move_has_only_no_annotations() -> None:
    module = ast.parse(
        "from __future__ import annotations\ndef f(a: int = 1) -> int:\n    b: int\n"
    )
    plain = "from __future__ import annotations\n\ndef f(a=1):\n    pass"
    assert ast.unparse(lean(module)) == plain


def test_a_function_that_runs_on_import_can_use_what_moved() -> None:
    module = run("import math\ndef f(): return math.inf\nnumber = f()\nimport os")
    assert module.number == float("inf")


def test_others_can_read_and_replace_what_moved() -> None:
    module = run("import math\ndef f(): return math")
    module.math = "another"
    assert module.f() == "another"
    del module.math
    assert module.f() is module.math is sys.modules["math"]


def test_a_name_that_the_module_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'module' has no attribute 'other'$"):
        _ = run("import math").other


def test_a_traceback_shows_the_lines_of_the_source() -> None:
    module = run("import os\n\n\nimport missing\n\n\ndef f():\n    return [\n        missing]\n")
    with pytest.raises(ModuleNotFoundError) as raised:
        module.f()
    _, *frames = traceback.extract_tb(raised.tb)
    assert [(frame.name, frame.lineno) for frame in frames] == [("f", 9), ("__getattr__", 4)]


@pytest.fixture
def lean_chalice() -> Any:
    """Chalice's module, as it is packaged."""
    return run(CHALICE.read_text(encoding="utf-8"))


def test_chalice_has_every_name_that_it_had(lean_chalice: Any) -> None:
    assert not {"base64", "datetime", "unquote_plus", "Any", "HeadersType"} & names(lean_chalice)
    own = [name for name in vars(chalice.app) if not name.startswith("__")]
    assert all(hasattr(lean_chalice, name) for name in own)
    assert lean_chalice.HeadersType == chalice.app.HeadersType


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
