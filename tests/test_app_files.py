"""What belongs to the app: what git tracks of app.py, chalicelib/ and vendor/, or all of it."""

import os
from pathlib import Path

import pytest

from tests.project import git, needs_git
from tools import package


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


def test_without_git_all_but_caches_and_hidden_files_belong_to_it(folder: Path) -> None:
    (folder / "chalicelib" / ".hidden").touch()
    assert package.app_files() == FILES


@needs_git
def test_what_git_does_not_track_is_named_and_left_out(
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
def test_a_hidden_file_that_git_tracks_belongs_to_it(folder: Path) -> None:
    (folder / "chalicelib" / ".well-known").touch()
    git(folder, "init")
    git(folder, "add", "--all")
    assert "chalicelib/.well-known" in package.app_files()


@needs_git
def test_a_repository_that_does_not_track_the_project_has_no_say(folder: Path) -> None:
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


def test_a_link_that_leads_nowhere_is_named(folder: Path) -> None:
    (folder / ".chalice").mkdir()
    (folder / "chalicelib" / "lost.py").symlink_to("nowhere")
    with pytest.raises(SystemExit, match=r"chalicelib/lost\.py cannot be packaged: No such file"):
        package.stage_project(folder / "build" / "dev", folder / "records")


@needs_git
def test_submodules_belong_to_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_git_that_refuses_ends_it(folder: Path) -> None:
    git(folder, "init")
    git(folder, "add", "--all")
    (folder / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match="git cannot list"):
        package.app_files()


@needs_git
def test_the_variables_of_a_git_hook_do_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(folder, "init")
    git(folder, "add", "--all")
    monkeypatch.setenv("GIT_DIR", str(folder.parent / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(folder.parent / "nowhere"))
    (folder / "chalicelib" / "forgotten.py").touch()
    assert package.app_files() == FILES


@needs_git
def test_ten_thousand_files_are_not_too_many(folder: Path) -> None:
    for number in range(10_000):
        (folder / "vendor" / f"{number:0100}.txt").touch()
    git(folder, "init")
    git(folder, "add", "--all")
    assert len(package.app_files()) == 10_003


def test_the_copy_can_be_written_and_programs_in_it_run(folder: Path) -> None:
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
