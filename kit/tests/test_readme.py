"""The tables of the README, held against the code."""

import re
from pathlib import Path

from click import Command

from chalicekit.cli import cli

KIT = Path(__file__).parent.parent
MODULES = KIT / "src" / "chalicekit"


def table(heading: str) -> list[list[str]]:
    """Return the cells of each row of the table below a heading, without the table's head."""
    readme = (KIT / "README.md").read_text(encoding="utf-8")
    section = readme.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [line.split("|")[1:-1] for line in lines]


def code_in(cell: str) -> list[str]:
    """Return what is marked as code in a cell."""
    return re.findall("`(.+?)`", cell)


def test_it_lists_the_commands_and_their_options() -> None:
    listed = {code_in(command)[0]: code_in(options) for command, options, _ in table("Commands")}
    listed["package"] = listed.pop("package OUT")
    assert listed == {name: own_options(command) for name, command in cli.commands.items()}


def own_options(command: Command) -> list[str]:
    """Return the options of a command that most commands do not have."""
    names = [max(parameter.opts, key=len) for parameter in command.params]
    shared = ["--stage", "--profile", "--emulated", "--emulator-port"]
    return [name for name in names if name.startswith("--") and name not in shared]


def test_it_lists_the_modules() -> None:
    cells = [names for names, _ in table("How it works inside")]
    listed = [name.rpartition("/")[2] for cell in cells for name in code_in(cell)]
    modules = {path.stem for path in MODULES.rglob("*.py")} - {"__init__", "__main__"}
    assert sorted(listed) == sorted(modules)


def test_it_lists_what_is_patched() -> None:
    cells = [replaced for replaced, _, _ in table("What it patches")]
    listed = {name.rpartition(".")[2] for cell in cells for name in code_in(cell)}
    code = "".join(path.read_text(encoding="utf-8") for path in (MODULES / "emulator").glob("*.py"))
    patched = set(re.findall(r'@replaces\(\w+, "(\w+)"\)', code))
    patched |= {"LocalGateway", "_EXECUTE_API_RE"}  # by pytest's monkeypatch, and in `guard`
    assert listed == patched
