"""The bytecode of Chalice's module has no annotations, and Chalice answers as with them."""

import ast
import importlib.util
import json
import marshal
import subprocess
import sys
from pathlib import Path
from types import CodeType

import chalice.app

from tools.compile import WithoutAnnotations, compile_module

FEATURES = Path(__file__).with_name("features.py")


def answers(folder: Path) -> list[object]:
    """Return what the features answer with the Chalice that is in `folder`."""
    done = subprocess.run(
        [sys.executable, str(FEATURES)],
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found: list[object] = json.loads(done.stdout)
    return found


def test_chalice_answers_as_it_does_with_annotations(tmp_path: Path) -> None:
    source = Path(chalice.app.__file__)
    for kind in ("plain", "compiled"):
        (tmp_path / kind / "chalice").mkdir(parents=True)
        for name in ("__init__.py", "app.py"):
            (tmp_path / kind / "chalice" / name).write_bytes(source.with_name(name).read_bytes())
    copy = tmp_path / "compiled" / "chalice" / "app.py"
    compile_module(copy, Path(importlib.util.cache_from_source(str(copy))), "chalice/app.py")
    check = "from chalice import Chalice; print(Chalice.__call__.__annotations__)"
    found = subprocess.check_output(
        [sys.executable, "-c", check], env={"PYTHONPATH": str(tmp_path / "compiled")}
    )
    assert found == b"{}\n"
    assert answers(tmp_path / "compiled") == answers(tmp_path / "plain")


def test_chalice_reads_no_annotation() -> None:
    tree = ast.parse(Path(chalice.app.__file__).read_bytes())
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
    readers = {"__annotations__", "get_annotations", "get_type_hints", "signature"}
    assert not names & (readers | {"dataclass", "NamedTuple", "TypedDict", "singledispatch"})


def test_it_differs_from_its_source_in_nothing_else() -> None:
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


def test_what_is_not_python_gets_no_bytecode(tmp_path: Path) -> None:
    (tmp_path / "template.py").write_text("import {{ name }}.")
    compile_module(tmp_path / "template.py", tmp_path / "template.pyc", "template.py")
    assert not (tmp_path / "template.pyc").exists()
