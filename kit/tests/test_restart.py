"""`chalicekit local` restarts when the code changes, and ends with the command."""

import json
import os
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from watchfiles import Change

from chalicekit.ports import free_port
from chalicekit.restart import is_code
from tests.processes import is_listening, wait_until
from tests.sample import Sample
from tests.wheels import make_wheel


def test_a_change_of_the_code_restarts_the_server(offline: Sample) -> None:
    with offline.serve() as running:
        assert running.get() == "a sample"
        offline.write("chalicelib/new/text.py", 'TEXT = "old"\n')
        offline.change("import os", "import os\nfrom chalicelib.new.text import TEXT")
        offline.change('"a sample"', "TEXT")
        wait_until(lambda: running.get() == "old")
        offline.write("chalicelib/new/text.py", 'TEXT = "new"\n')  # in a folder that is new
        wait_until(lambda: running.get() == "new")
        assert not list(offline.folder.rglob("__pycache__"))


def test_what_the_app_consists_of_is_watched() -> None:
    folder = Path("/home/me/.git/node_modules/project")  # what is around it does not matter
    code = ["app.py", "settings.py", "chalicelib/page.html", "vendor/a/b.py", "requirements.txt"]
    code += [".chalice/config.json"]
    other = [".chalice/deployed", "chalicelib/__pycache__/a.pyc", "build", "README.md", ".git"]
    paths = [folder / name for name in (*code, *other)]
    watched = [path for path in paths if is_code(folder, Change.modified, str(path))]
    assert watched == [folder / name for name in code]


def test_a_new_requirement_is_installed(offline: Sample) -> None:
    wheel = make_wheel(offline.folder, "extra", {"extra.py": 'TEXT = "from extra"'})
    offline.change('"a sample"', "__import__('extra').TEXT")
    with offline.serve() as running:
        assert "from extra" not in running.get()
        offline.write("requirements.txt", f"./{wheel.name}\n")
        wait_until(lambda: running.get() == "from extra")


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("app.py", "import os", "import", "The app cannot be imported: SyntaxError: .*line 3\\)"),
        (".chalice/config.json", '"stages"', "x", ".chalice/config.json is not valid JSON: .*"),
        ("app.py", '"/"', '"/a/"', "The app cannot be served: Route cannot end with a .*"),
    ],
)
def test_a_mistake_is_one_line_and_waits_for_its_correction(
    offline: Sample, file: str, old: str, new: str, line: str
) -> None:
    with offline.serve() as running:
        correct = (offline.folder / file).read_text()
        offline.change(old, new, file)
        wait_until(lambda: "Waiting for a change.\n" in running.printed())
        _serving, mistake, _waiting = running.printed().splitlines()
        assert re.fullmatch(line, mistake)
        offline.write(file, correct)
        wait_until(lambda: running.get() == "a sample")


# The end


def test_the_server_ends_with_the_parent_of_the_command(offline: Sample) -> None:
    port = free_port()
    command = offline.command("local", "--port", str(port))
    # The shell is the parent, as make is: a last command of its own keeps it from `exec`.
    shell = subprocess.Popen(["sh", "-c", '"$@"; true', "sh", *command], env=offline.environment)
    try:
        wait_until(lambda: is_listening(port))
    finally:
        shell.kill()
        shell.wait()
    wait_until(lambda: not is_listening(port), seconds=10)


def test_the_server_ends_with_the_process_that_restarts_it(offline: Sample) -> None:
    with offline.serve() as running:
        running.process.kill()
        wait_until(lambda: not is_listening(running.port), seconds=10)


@pytest.mark.parametrize("delay", [0, 0.4])
def test_ctrl_c_just_after_a_change_ends_it_silently(offline: Sample, delay: float) -> None:
    with offline.serve() as running:
        before = running.printed()
        (offline.folder / "app.py").touch()
        time.sleep(delay)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(timeout=10) == 0
        assert set(running.printed().splitlines()) == set(before.splitlines())
    assert not is_listening(running.port)


# In a terminal


class Terminal(NamedTuple):
    """A terminal that runs `chalicekit local`, and the URL of the server."""

    process: "subprocess.Popen[bytes]"
    keyboard: int
    url: str = ""

    def wait_for(self, text: str) -> str:
        """Return what is shown up to and with a text."""
        shown = ""
        while not shown.endswith(text):
            assert select.select([self.keyboard], [], [], 30)[0], shown
            shown += os.read(self.keyboard, 1).decode()
        return shown

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self.keyboard, text.encode())


@contextmanager
def in_terminal(sample: Sample, option: str) -> Iterator[Terminal]:
    """Run `chalicekit local` in a terminal until the block ends."""
    keyboard, screen = os.openpty()
    command = sample.command("local", "--port", "0", option)
    # `$0` is the terminal, for input, output and errors. The first one that the leader of a session
    # opens becomes the session's.
    shell = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(screen), *command]
    variables = sample.environment | {"TERM": "dumb"}  # without colours
    process = subprocess.Popen(shell, env=variables, start_new_session=True)
    terminal = Terminal(process, keyboard)
    try:
        terminal.wait_for("Serving on ")
        yield terminal._replace(url=terminal.wait_for("\n").strip())
    finally:
        process.terminate()
        process.wait(timeout=10)
        os.close(keyboard)
        os.close(screen)


def test_a_debugger_reads_from_the_terminal_until_a_change(offline: Sample) -> None:
    offline.append('\n\n@app.route("/stop")\ndef stop():\n    breakpoint()\n    return "went on"\n')
    with in_terminal(offline, "--autoreload") as terminal, ThreadPoolExecutor() as pool:
        before = termios.tcgetattr(terminal.keyboard)
        response = pool.submit(requests.get, f"{terminal.url}/stop", timeout=30)
        terminal.wait_for("(Pdb) ")
        terminal.type("p 6 * 7\n")
        assert "42" in terminal.wait_for("(Pdb) ")
        terminal.type("c\n")
        assert response.result(timeout=30).text == "went on"

        response = pool.submit(requests.get, f"{terminal.url}/stop", timeout=30)
        terminal.wait_for("(Pdb) ")
        offline.append("\n")
        terminal.wait_for("Serving on ")
        assert isinstance(response.exception(timeout=30), requests.ConnectionError)
        assert termios.tcgetattr(terminal.keyboard) == before


@pytest.mark.parametrize("option", ["--autoreload", "--no-autoreload"])
def test_ctrl_c_ends_it_silently(offline: Sample, option: str) -> None:
    with in_terminal(offline, option) as terminal:
        terminal.type("\x03")
        assert terminal.process.wait(timeout=10) == 0
        terminal.type("end\n")
        assert terminal.wait_for("end").strip() == "^Cend"


def test_a_log_of_json_is_shown_as_text(offline: Sample) -> None:
    record = json.dumps({"level": "ERROR", "message": "failed"})
    offline.change('return "a sample"', f"print({record!r})")
    with in_terminal(offline, "--no-autoreload") as terminal:
        requests.get(terminal.url, timeout=10)
        assert terminal.wait_for("failed") == "ERROR   failed"
