"""`tools.install`: the virtual environment is complete, up to date, or as it was."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Project
from tests.wheels import make_wheel
from tools import install

VENV = Path(".venv/3")


@pytest.fixture
def installations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the scopes of installations, made in an empty project without pip."""
    monkeypatch.chdir(tmp_path)
    Path("requirements.txt").touch()
    Path("requirements-dev.txt").touch()
    made: list[str] = []

    def make_folder(folder: Path, scope: str) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").touch()
        made.append(scope)

    monkeypatch.setattr(install, "install", make_folder)
    return made


def fail(folder: Path, scope: str) -> None:
    """Fail as pip does when it is offline."""
    folder.mkdir()
    raise subprocess.CalledProcessError(1, "pip")


def test_installs_once_and_prints_nothing_to_stdout(
    installations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    install.main(str(VENV), "run")
    Path("requirements-dev.txt").touch()
    install.main(str(VENV), "run")
    assert installations == ["run"]
    assert capsys.readouterr().out == ""  # `$(make url)` reads it


def test_installs_the_development_tools_when_a_command_needs_them(installations: list[str]) -> None:
    for scope in ("run", "dev", "run", "dev"):
        install.main(str(VENV), scope)
    assert installations == ["run", "dev"]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_installs_again_when_requirements_change(installations: list[str], file: str) -> None:
    install.main(str(VENV), "dev")
    Path(file).write_text("six")
    install.main(str(VENV), "run")
    assert installations == ["dev", "dev"]


def move(project: Path) -> None:
    """Move a project's virtual environments to another project's."""
    (project / ".venv").rename(project / "moved")
    (project / ".venv").symlink_to("moved")


def remove_python(project: Path) -> None:
    """Remove the Python that a virtual environment was made from."""
    (project / VENV / "bin" / "python").unlink()


def make_by_hand(project: Path) -> None:
    """Put a folder in the place of the link."""
    folder = (project / VENV).resolve()
    (project / VENV).unlink()
    folder.rename(project / VENV)
    (project / VENV / "installed").unlink()


@pytest.mark.parametrize("spoil", [move, remove_python, make_by_hand])
def test_installs_a_broken_environment_again(
    installations: list[str], spoil: Callable[[Path], None]
) -> None:
    install.main(str(VENV), "run")
    spoil(Path.cwd())
    install.main(str(VENV), "run")
    install.main(str(VENV), "run")
    assert installations == ["run", "run"]
    assert (VENV / "bin" / "python").exists()


def test_a_failed_installation_keeps_the_previous_one(
    installations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install.main(str(VENV), "run")
    before = sorted(Path(".venv").iterdir())
    monkeypatch.setattr(install, "install", fail)
    with pytest.raises(subprocess.CalledProcessError):
        install.main(str(VENV), "dev")
    assert sorted(Path(".venv").iterdir()) == before
    assert (VENV / "bin" / "python").exists()


def test_only_the_previous_installation_is_kept(installations: list[str]) -> None:
    for text in ("a", "b", "c"):
        last = VENV.resolve()
        Path("requirements.txt").write_text(text)
        install.main(str(VENV), "run")
    assert set(Path(".venv").glob("3-*")) == {
        Path(".venv") / VENV.resolve().name,
        Path(".venv") / last.name,
    }


def test_two_makes_install_once_and_only_into_the_virtual_environment(
    project: Project, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    for name in ("chalice", "watchfiles", "helper"):
        make_wheel(wheels, name, {f"{name}.py": ""})
    (project.folder / "requirements-dev.txt").write_text("chalice==1.0\nwatchfiles==1.0\n")
    (project.folder / "requirements.txt").write_text("helper\n")
    elsewhere = {"PIP_TARGET": str(tmp_path / "elsewhere"), "PIP_USER": "1", "PIP_DRY_RUN": "1"}
    local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1"}
    command = ["make", "run-tools", f"PYTHON={sys.executable}"]
    makes = [
        subprocess.Popen(command, cwd=project.folder, env=project.environment | elsewhere | local)
        for _ in range(2)
    ]
    assert [make.wait(timeout=120) for make in makes] == [0, 0]
    (venv,) = project.folder.glob(".venv/*.*-*")
    project.run(str(venv / "bin" / "python"), "-c", "import chalice, watchfiles, helper")
