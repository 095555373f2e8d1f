"""What belongs to the app: what git tracks of app.py, chalicelib/ and vendor/, or all of it."""

import os
from pathlib import Path

import pytest

from tests.project import git, needs_git
from chalicekit.build import files as package


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three files, and of two that never belong to it."""
    folder = tmp_path / "project"
    for name in ("app.py", "chalicelib/orders.py", "vendor/extra/data.csv", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "chalicelib" / "__pycache__").mkdir()
    (folder / "chalicelib" / "__pycache__" / "orders.pyc").touch()
    monkeypatch.setattr(package, "PROJECT", folder)
    return folder


FILES = ["app.py", "chalicelib/orders.py", "vendor/extra/data.csv"]


def test_without_git_caches_and_hidden_files_are_left_out(folder: Path) -> None:
    (folder / "chalicelib" / ".hidden").touch()
    assert package.app_files() == FILES


@needs_git
def test_an_untracked_file_is_left_out_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(folder, "init")
    git(folder, "add", "--all")
    (folder / ".gitignore").write_text("/vendor/\n")
    for name in ("chalicelib/forgotten.py", "vendor/ignored.py", "chalicelib/.hidden"):
        (folder / name).touch()
    assert package.app_files() == FILES
    names = "chalicelib/forgotten.py vendor/ignored.py"
    assert capsys.readouterr().err == f"Left out because git does not track it: {names}\n"


@needs_git
def test_a_tracked_hidden_file_is_packaged(folder: Path) -> None:
    (folder / "chalicelib" / ".well-known").touch()
    git(folder, "init")
    git(folder, "add", "--all")
    assert "chalicelib/.well-known" in package.app_files()


@needs_git
def test_a_repository_that_does_not_track_the_project_is_ignored(folder: Path) -> None:
    git(folder.parent, "init")
    assert package.app_files() == FILES


@pytest.mark.parametrize("tracked", [pytest.param(True, marks=needs_git), False])
def test_links_are_followed(folder: Path, tracked: bool) -> None:
    shared = folder.parent / "shared"
    shared.mkdir()
    (shared / "common.py").touch()
    (folder / "chalicelib" / "folder").symlink_to(shared)
    (folder / "chalicelib" / "module.py").symlink_to(shared / "common.py")
    (folder / "chalicelib" / "loop").symlink_to(folder / "chalicelib")
    if tracked:
        git(folder, "init")
        git(folder, "add", "--all")
    links = ["chalicelib/folder/common.py", "chalicelib/module.py"]
    assert package.app_files() == sorted([*FILES, *links])


def test_a_broken_link_is_reported(folder: Path) -> None:
    (folder / ".chalice").mkdir()
    (folder / "chalicelib" / "lost.py").symlink_to("nowhere")
    with pytest.raises(SystemExit, match=r"chalicelib/lost\.py cannot be packaged: No such file"):
        package.stage_project(folder / "build" / "dev", folder / "records")


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
    assert "vendor/library/library.py" in package.app_files()
    assert "vendor/library/untracked.py\n" in capsys.readouterr().err


@needs_git
def test_a_git_error_stops_packaging(folder: Path) -> None:
    git(folder, "init")
    git(folder, "add", "--all")
    (folder / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match="git cannot list"):
        package.app_files()


@needs_git
def test_the_variables_of_a_git_hook_are_ignored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(folder, "init")
    git(folder, "add", "--all")
    monkeypatch.setenv("GIT_DIR", str(folder.parent / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(folder.parent / "nowhere"))
    (folder / "chalicelib" / "forgotten.py").touch()
    assert package.app_files() == FILES


def test_the_copy_is_writable_and_keeps_programs_executable(folder: Path) -> None:
    (folder / ".chalice" / "policies").mkdir(parents=True)
    (folder / ".chalice" / "policies" / "dev.json").touch()
    (folder / "app.py").chmod(0o444)
    (folder / "vendor" / "extra" / "data.csv").chmod(0o755)
    staged = folder / "build" / "dev"
    for _ in range(2):
        package.stage_project(staged, folder / "records")
    assert (staged / "app.py").stat().st_mode & 0o200
    assert os.access(staged / "vendor" / "extra" / "data.csv", os.X_OK)
    assert (staged / ".chalice" / "policies" / "dev.json").exists()
