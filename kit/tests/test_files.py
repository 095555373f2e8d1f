"""What belongs to the app: what git tracks of app.py, chalicelib/ and vendor/, or all of it."""

import os
from pathlib import Path

import pytest

from chalicekit.build.files import app_paths, copy_app
from chalicekit.errors import Refusal
from tests.sample import git, needs_git

FILES = ["app.py", "chalicelib/orders.py", "vendor/extra/data.csv"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of three files, and of two that never belong to it."""
    folder = tmp_path / "project"
    write(folder, *FILES, "README.md", "chalicelib/__pycache__/orders.pyc")
    return folder


@pytest.fixture
def tracked(folder: Path) -> Path:
    """The same project, in git."""
    track(folder)
    return folder


def write(folder: Path, *names: str) -> None:
    """Write empty files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def track(folder: Path) -> None:
    """Let git track all files of a folder."""
    git(folder, "init")
    git(folder, "add", "--all")


def test_without_git_caches_and_hidden_files_are_left_out(folder: Path) -> None:
    write(folder, "chalicelib/.hidden")
    assert app_paths(folder) == FILES


@needs_git
def test_an_untracked_file_is_left_out_and_named(
    tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"chalicelib/forgotten{number}.py" for number in range(7)]
    write(tracked, *names, "chalicelib/.hidden")
    assert app_paths(tracked) == FILES
    listed = " ".join(names[:5])
    line = f"Left out, because git does not track it: {listed} and 2 more\n"
    assert capsys.readouterr().err == line


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
    ],
)
def test_an_untracked_file_that_the_app_imports_is_packaged_and_named(
    tracked: Path, code: str, packaged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tracked / "app.py").write_text(code)
    write(tracked / "chalicelib", "new.py", "env/dev.py", "env/dev.json", "env/prod.py")
    write(tracked / "chalicelib" / "env", ".secret")
    write(tracked / "vendor" / "library", "__init__.py", "data/a.json", "__pycache__/a.pyc")
    assert app_paths(tracked) == sorted([*FILES, *packaged])
    named = f"though git does not track it, because the app imports it: {' '.join(packaged)}\n"
    assert (named in capsys.readouterr().err) == bool(packaged)


@needs_git
def test_files_that_the_settings_include_are_packaged(tracked: Path) -> None:
    included = ["chalicelib/env/.keys", "chalicelib/env/dev.json"]
    write(tracked, *included, "chalicelib/notes.txt")
    assert app_paths(tracked, ["chalicelib/env/*"]) == sorted([*FILES, *included])


@needs_git
def test_a_tracked_hidden_file_is_packaged(folder: Path) -> None:
    write(folder, "chalicelib/.well-known")
    track(folder)
    assert "chalicelib/.well-known" in app_paths(folder)


@needs_git
def test_a_repository_that_does_not_track_the_project_is_ignored(folder: Path) -> None:
    git(folder.parent, "init")
    assert app_paths(folder) == FILES


@pytest.mark.parametrize("in_git", [pytest.param(True, marks=needs_git), False])
def test_links_are_followed(folder: Path, in_git: bool) -> None:
    shared = folder.parent / "shared"
    write(shared, "common.py")
    (folder / "chalicelib" / "folder").symlink_to(shared)
    (folder / "chalicelib" / "module.py").symlink_to(shared / "common.py")
    (folder / "chalicelib" / "loop").symlink_to(folder / "chalicelib")
    if in_git:
        track(folder)
    links = ["chalicelib/folder/common.py", "chalicelib/module.py"]
    assert app_paths(folder) == sorted([*FILES, *links])


def test_a_broken_link_is_refused(folder: Path) -> None:
    (folder / "chalicelib" / "lost.py").symlink_to("nowhere")
    with pytest.raises(Refusal, match=r"chalicelib/lost\.py cannot be packaged: No such file"):
        copy_app(folder, folder / "build" / "dev")


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^There is no app\.py"):
        copy_app(tmp_path, tmp_path / "build")


@needs_git
def test_submodules_are_packaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = folder.parent / "library"
    write(library, "library.py")
    track(library)
    git(library, "commit", "-m", "a library")
    git(folder, "init")
    git(folder, "submodule", "add", str(library), "vendor/library")
    git(folder, "add", "--all")
    write(folder, "vendor/library/untracked.py")
    assert "vendor/library/library.py" in app_paths(folder)
    assert "vendor/library/untracked.py\n" in capsys.readouterr().err


@needs_git
def test_a_git_error_stops_packaging(tracked: Path) -> None:
    (tracked / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(Refusal, match="git cannot list"):
        app_paths(tracked)


@needs_git
def test_the_variables_of_a_git_hook_are_ignored(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    write(tracked, "chalicelib/forgotten.py")
    assert app_paths(tracked) == FILES


def test_the_copy_is_writable_and_keeps_programs_executable(folder: Path) -> None:
    (folder / "app.py").chmod(0o444)
    (folder / "vendor" / "extra" / "data.csv").chmod(0o755)
    copy = folder / "build" / "app"
    copy_app(folder, copy)
    assert (copy / "app.py").stat().st_mode & 0o200
    assert os.access(copy / "vendor" / "extra" / "data.csv", os.X_OK)
