"""A log of JSON lines, as people read it."""

import io
import json
from typing import Any

import pytest

from chalicekit.pretty import PrettyStream, pretty


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


STACK = [
    "Traceback (most recent call last):",
    '  File "/venv/lib/python3.11/site-packages/chalice/app.py", line 2, in call',
    "    view()",
    '  File "/home/me/shop/app.py", line 9, in view',
    "    1 / 0",
    "ZeroDivisionError: division by zero",
]


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (
            {"timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO", "message": "hello"},
            "2026-01-02 03:04:05.678Z INFO    hello",
        ),
        ({"level": "ERROR", "message": {"a": 1}}, 'ERROR   {"a": 1}'),
        ({"level": "INFO", "message": "", "path": "/", "ms": 1.5}, "INFO    path=/ ms=1.5"),
        ({"level": "INFO", "message": "one\ntwo"}, "INFO    one\n    two"),
        ({"level": "INFO", "message": "\033[2J\r", "a": "\0"}, r"INFO    \x1b[2J\r a=\x00"),
        (
            {"level": "ERROR", "message": "no", "errorType": "E", "stackTrace": ["A:\n", "  b"]},
            "ERROR   no\n    A:\n      b",
        ),
        (
            {"level": "ERROR", "message": "no", "exception": "Traceback:\nE"},
            "ERROR   no\n    Traceback:\n    E",
        ),
    ],
)
def test_a_record_has_time_level_message_and_fields(record: Any, shown: str) -> None:
    assert pretty(json.dumps(record) + "\n", colour=False) == shown + "\n"


@pytest.mark.parametrize("line", ["", "\n", "text", "{text", "{}", '{"level": "INFO"}', "[1]\n"])
def test_any_other_line_stays(line: str) -> None:
    assert pretty(line, colour=True) == line


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"level": "ERROR", "message": "failed", "stackTrace": STACK}),
        "app - ERROR - failed\n" + "\n".join(STACK),
    ],
)
def test_a_traceback_shows_the_app_s_frames(text: str) -> None:
    lines = pretty(text, colour=True).splitlines()
    bold = [line.strip() for line in lines if "\033[1m" in line]
    assert bold == [f"\033[1m{line}\033[0m" for line in STACK[3:5]]
    assert sum("\033[2m" in line for line in lines[1:]) == 2


def test_a_stream_shows_what_is_printed_to_it() -> None:
    record = '{"level": "INFO", "message": "hello"}'
    file, terminal = io.StringIO(), Terminal()
    for stream in (file, terminal):
        print(record, file=PrettyStream(stream))
    assert file.getvalue() == record + "\n"
    assert terminal.getvalue() == "INFO    hello\n"


@pytest.mark.parametrize(
    ("environment", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], colours: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    PrettyStream(terminal).write('{"level": "ERROR", "message": "no"}')
    assert ("\033" in terminal.getvalue()) == colours
