"""The bytecode of Chalice's module has no annotations, and Chalice behaves as with them."""

import ast
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path
from types import CodeType

import chalice.app

from tests.processes import REPOSITORY
from tests.project import copy_files
from chalicekit.build.bytecode import WithoutAnnotations, compile_module


def test_chalice_passes_the_tests_of_the_app_s_parts_without_annotations(tmp_path: Path) -> None:
    copy_files(Path(chalice.app.__file__).parent, tmp_path / "chalice")
    module = tmp_path / "chalice" / "app.py"
    compile_module(module, Path(importlib.util.cache_from_source(str(module))), "chalice/app.py")
    code = (
        "import sys, pytest; from chalice import Chalice\n"
        "assert not Chalice.__call__.__annotations__\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-q", "tests/test_express.py", "tests/test_logs.py"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_chalice_reads_no_annotation() -> None:
    tree = ast.parse(Path(chalice.app.__file__).read_bytes())
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    readers = {"__annotations__", "get_annotations", "get_type_hints", "signature"}
    assert not names & (readers | {"dataclass", "NamedTuple", "TypedDict", "singledispatch"})


def test_only_annotations_are_removed() -> None:
    text = (
        "def f(a: int = 1, *b: str, c: str = 'd') -> int:\n    e: int = a\n    g: int\n    return e"
    )
    plain = "def f(a=1, *b, c='d'):\n    e = a\n    pass\n    return e"
    assert ast.unparse(WithoutAnnotations().visit(ast.parse(text))) == plain


def test_other_modules_keep_their_annotations(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def f(a: int) -> int: return a")
    compile_module(tmp_path / "app.py", tmp_path / "app.pyc", "app.py")
    code = marshal.loads((tmp_path / "app.pyc").read_bytes()[16:])
    assert isinstance(code, CodeType)
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert namespace["f"].__annotations__ == {"a": int, "return": int}
    assert code.co_filename == "/var/task/app.py"


def test_a_file_that_is_not_python_gets_no_bytecode(tmp_path: Path) -> None:
    (tmp_path / "template.py").write_text("import {{ name }}.")
    compile_module(tmp_path / "template.py", tmp_path / "template.pyc", "template.py")
    assert not (tmp_path / "template.pyc").exists()
