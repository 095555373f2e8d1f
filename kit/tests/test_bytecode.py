"""Bytecode is written for each module that is Python, and Python checks it against its source."""

import importlib.util
import marshal
import zipfile
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from chalicekit.build import build
from chalicekit.build.compiler import compile_module, reproducible
from chalicekit.runtime.api import booted_python
from chalicekit.runtime.environment import lambda_python
from chalicekit.runtime.events import proxy_event
from tests.sample import Sample

ANNOTATED = "import base64\ndef f(a: int) -> bytes: return base64.b64encode(bytes(a))"


def compiled(folder: Path, source: str, name: str) -> tuple[bytes, CodeType]:
    """Return the header and the code of a module's bytecode."""
    (folder / "source.py").write_text(source)
    compile_module(folder / "source.py", folder / "target.pyc", name)
    content = (folder / "target.pyc").read_bytes()
    return content[:16], marshal.loads(content[16:])


def test_python_checks_the_hash_of_the_source(tmp_path: Path) -> None:
    header, _ = compiled(tmp_path, ANNOTATED, "app.py")
    checked_hash = bytes([3, 0, 0, 0])  # PEP 552
    digest = importlib.util.source_hash(ANNOTATED.encode())
    assert header == importlib.util.MAGIC_NUMBER + checked_hash + digest


def test_the_code_names_the_file_on_lambda(tmp_path: Path) -> None:
    _, code = compiled(tmp_path, ANNOTATED, "chalicelib/orders.py")
    assert code.co_filename == "/var/task/chalicelib/orders.py"


@pytest.mark.parametrize(
    ("name", "is_lean"),
    [("chalice/app.py", True), ("app.py", False), ("other/chalice/app.py", False)],
)
def test_only_chalice_s_module_is_lean(tmp_path: Path, name: str, is_lean: bool) -> None:
    _, code = compiled(tmp_path, ANNOTATED, name)
    module: dict[str, Any] = {"__name__": "module"}
    exec(code, module)
    assert ("base64" not in module) is is_lean


def test_a_file_that_is_not_python_gets_no_bytecode(tmp_path: Path) -> None:
    (tmp_path / "template.py").write_text("import {{ name }}.")
    compile_module(tmp_path / "template.py", tmp_path / "template.pyc", "template.py")
    assert not (tmp_path / "template.pyc").exists()


def test_lambda_runs_the_bytecode(tmp_path: Path) -> None:
    task = tmp_path / "task"
    with zipfile.ZipFile(build(Sample(tmp_path / "project").project()).zip) as package:
        package.extractall(task)
    python = lambda_python(tmp_path / "python")
    with (
        (tmp_path / "log").open("wb") as log,
        booted_python(task, python, log=log.fileno(), PYTHONVERBOSE="2") as function,
    ):
        assert function.invoke(proxy_event("/"))[1]["body"] == "a sample"
    imports = (tmp_path / "log").read_text()
    for source in ("app.py", "chalice/__init__.py", "chalice/app.py"):
        cached = importlib.util.cache_from_source(task / source)
        assert f"# {cached} matches {task / source}\n" in imports
        assert f"# code object from '{cached}'\n" in imports


def test_references_elsewhere_do_not_change_the_bytecode() -> None:
    alone = reproducible(compile("a = (1, 'two words')", "app.py", "exec"))
    code = compile("a = (1, 'two words')", "app.py", "exec")
    elsewhere = [*code.co_consts, code.co_consts]  # the references, as long as this list exists
    assert reproducible(code) == alone
    del elsewhere


def test_the_environment_does_not_change_the_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = Sample(tmp_path / "project")
    sample.append('KIND = "a" in {"b", "c", "d", "e", "f"}  # before 3.11, its order varies\n')
    package = build(sample.project()).zip.read_bytes()
    for name, value in {"HASHSEED": "7", "OPTIMIZE": "2", "PYCACHEPREFIX": str(tmp_path)}.items():
        monkeypatch.setenv(f"PYTHON{name}", value)
    assert build(sample.project()).zip.read_bytes() == package
