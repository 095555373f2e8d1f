"""What belongs to the app: what git tracks of app.py, chalicelib/ and vendor/, or all of it."""

import os
from pathlib import Path

import pytest

from chalicekit.build.files import advice, app_files, copy_app, lay_out
from chalicekit.errors import Refusal
from tests.project import git, needs_git


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of three files, and of two that never belong to it."""
    folder = tmp_path / "project"
    for name in ("app.py", "chalicelib/orders.py", "vendor/extra/data.csv", "README.md"):
        write(folder / name)
    write(folder / "chalicelib" / "__pycache__" / "orders.pyc")
    return folder


@pytest.fixture
def tracked(folder: Path) -> Path:
    """The same project, in git."""
    return track(folder)


def track(folder: Path) -> Path:
    """Let git track all files of a folder; return it."""
    git(folder, "init")
    git(folder, "add", "--all")
    return folder


def write(path: Path, text: str = "") -> None:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


FILES = ["app.py", "chalicelib/orders.py", "vendor/extra/data.csv"]


def test_without_git_caches_and_hidden_files_are_left_out(folder: Path) -> None:
    (folder / "chalicelib" / ".hidden").touch()
    assert app_files(folder) == FILES


@needs_git
def test_an_untracked_file_is_left_out_and_named(
    tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tracked / ".gitignore", "/vendor/\n")
    for name in ("chalicelib/forgotten.py", "vendor/ignored.py", "chalicelib/.hidden"):
        write(tracked / name)
    assert app_files(tracked) == FILES
    names = "chalicelib/forgotten.py vendor/ignored.py"
    assert capsys.readouterr().err == f"Left out, because git does not track it: {names}\n"


@needs_git
@pytest.mark.parametrize(
    ("code", "packaged"),
    [
        ("from chalicelib import new", ["chalicelib/new.py"]),
        ("def view():\n    import chalicelib.new", ["chalicelib/new.py"]),
        ("try:\n    import chalicelib.new\nexcept ImportError:\n    pass", ["chalicelib/new.py"]),
        ("import_module('chalicelib.new')", ["chalicelib/new.py"]),
        # of a folder without a tracked file, everything: its modules may need its data
        (
            "from chalicelib.env import dev",
            ["chalicelib/env/dev.json", "chalicelib/env/dev.py", "chalicelib/env/prod.py"],
        ),
        ("import library", ["vendor/library/__init__.py", "vendor/library/data/a.json"]),
        ("import chalicelib.orders", []),
        ("from chalicelib import nowhere", []),
        ("not Python", []),
    ],
)
def test_an_untracked_file_that_the_app_imports_is_packaged_and_named(
    tracked: Path, code: str, packaged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write(tracked / "app.py", code)
    for name in ("new.py", "env/dev.py", "env/dev.json", "env/prod.py", "env/.secret"):
        write(tracked / "chalicelib" / name)
    for name in ("__init__.py", "data/a.json", "__pycache__/a.pyc"):
        write(tracked / "vendor" / "library" / name)
    assert app_files(tracked) == sorted([*FILES, *packaged])
    named = f"though git does not track it, because the app imports it: {' '.join(packaged)}\n"
    assert (named in capsys.readouterr().err) == bool(packaged)


@needs_git
def test_files_that_the_settings_include_are_packaged(tracked: Path) -> None:
    for name in ("chalicelib/env/dev.json", "chalicelib/env/.keys", "chalicelib/notes.txt"):
        write(tracked / name)
    included = ["chalicelib/env/.keys", "chalicelib/env/dev.json"]
    assert app_files(tracked, ["chalicelib/env/*"]) == sorted([*FILES, *included])


@needs_git
def test_a_tracked_hidden_file_is_packaged(folder: Path) -> None:
    (folder / "chalicelib" / ".well-known").touch()
    track(folder)
    assert "chalicelib/.well-known" in app_files(folder)


@needs_git
def test_a_repository_that_does_not_track_the_project_is_ignored(folder: Path) -> None:
    git(folder.parent, "init")
    assert app_files(folder) == FILES


@pytest.mark.parametrize("tracked", [pytest.param(True, marks=needs_git), False])
def test_links_are_followed(folder: Path, tracked: bool) -> None:
    shared = folder.parent / "shared"
    shared.mkdir()
    (shared / "common.py").touch()
    (folder / "chalicelib" / "folder").symlink_to(shared)
    (folder / "chalicelib" / "module.py").symlink_to(shared / "common.py")
    (folder / "chalicelib" / "loop").symlink_to(folder / "chalicelib")
    if tracked:
        track(folder)
    links = ["chalicelib/folder/common.py", "chalicelib/module.py"]
    assert app_files(folder) == sorted([*FILES, *links])


def test_a_broken_link_is_reported(folder: Path) -> None:
    (folder / "chalicelib" / "lost.py").symlink_to("nowhere")
    with pytest.raises(Refusal, match=r"chalicelib/lost\.py cannot be packaged: No such file"):
        copy_app(folder, folder / "build" / "dev")


def test_a_folder_without_an_app_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^There is no app\.py"):
        copy_app(tmp_path, tmp_path / "build")


@needs_git
def test_submodules_are_packaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = folder.parent / "library"
    library.mkdir()
    (library / "library.py").touch()
    for place, command in (
        (library, ["init"]),
        (library, ["add", "--all"]),
        (library, ["commit", "-m", "a library"]),
        (folder, ["init"]),
        (folder, ["submodule", "add", str(library), "vendor/library"]),
        (folder, ["add", "--all"]),
    ):
        git(place, *command)
    (folder / "vendor" / "library" / "untracked.py").touch()
    assert "vendor/library/library.py" in app_files(folder)
    assert "vendor/library/untracked.py\n" in capsys.readouterr().err


@needs_git
def test_a_git_error_stops_packaging(folder: Path) -> None:
    track(folder)
    (folder / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(Refusal, match="git cannot list"):
        app_files(folder)


@needs_git
def test_the_variables_of_a_git_hook_are_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(folder)
    monkeypatch.setenv("GIT_DIR", str(folder.parent / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(folder.parent / "nowhere"))
    (folder / "chalicelib" / "forgotten.py").touch()
    assert app_files(folder) == FILES


def test_the_copy_is_writable_and_keeps_programs_executable(folder: Path) -> None:
    (folder / "app.py").chmod(0o444)
    (folder / "vendor" / "extra" / "data.csv").chmod(0o755)
    copy = copy_app(folder, folder / "build" / "app")
    assert (copy / "app.py").stat().st_mode & 0o200
    assert os.access(copy / "vendor" / "extra" / "data.csv", os.X_OK)


def test_files_are_laid_out_by_their_paths(folder: Path) -> None:
    task = lay_out({"a/b.py": folder / "app.py", "c": folder / "README.md"}, folder / "task")
    assert {path.name for path in task.rglob("*")} == {"a", "b.py", "c"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "chalicelib/env/dev.json",
            '`git add chalicelib/env/dev.json`, or name it in "chalicekit"',
        ),
        ("templates/index.html", "move templates/index.html into chalicelib/"),
    ],
)
def test_the_advice_fits_the_file(name: str, says: str) -> None:
    assert says in advice(name)
