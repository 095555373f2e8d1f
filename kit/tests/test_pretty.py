"""A log of JSON lines, as people read it."""

import io
import json
import re
from typing import Any

import pytest

from chalicekit.pretty import PrettyStream, coloured, pretty

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/venv/lib/python3.11/site-packages/chalice/app.py", line 2, in call',
    "    view()",
    '  File "/home/me/shop/app.py", line 9, in view',
    "    1 / 0",
    "    ~~^~~",
    "ZeroDivisionError: division by zero",
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal that has colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    return terminal


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (
            {"timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO", "message": "hello"},
            "2026-01-02 03:04:05.678Z INFO    hello",
        ),
        ({"level": "ERROR", "message": {"a": "é"}}, 'ERROR   {"a": "é"}'),
        ({"level": "INFO", "message": "", "a": "b", "c": [1]}, "INFO    a=b c=[1]"),
        ({"level": "INFO", "message": "one\ntwo"}, "INFO    one\n    two"),
        ({"level": "INFO", "message": "\033[2J\r", "a": "\0"}, r"INFO    \x1b[2J\r a=\x00"),
        (
            {"level": "ERROR", "message": "no", "stackTrace": ["A:\n", "  b\n"], "errorType": "E"},
            "ERROR   no errorType=E\n    A:\n      b",
        ),
        (
            {"level": "ERROR", "message": "no", "exception": "Traceback:\nE"},
            "ERROR   no\n    Traceback:\n    E",
        ),
    ],
)
def test_a_record_has_time_level_message_and_fields(record: Any, shown: str) -> None:
    assert pretty(json.dumps(record) + "\n") == shown + "\n"


@pytest.mark.parametrize("line", ["", "\n", "text", "{text", "{}", '{"level": "INFO"}', "[1]\n"])
def test_any_other_line_stays(line: str) -> None:
    assert pretty(line) == line


def test_a_log_is_for_people_in_a_terminal_only(terminal: io.StringIO) -> None:
    record, file = '{"level": "INFO", "message": "hello"}', io.StringIO()
    for stream in (file, terminal):
        print(record, file=PrettyStream(stream))
    assert file.getvalue() == record + "\n"
    assert terminal.getvalue() == "INFO    hello\n"


@pytest.mark.parametrize(
    "text",
    [
        pretty(json.dumps({"level": "ERROR", "message": "no", "stackTrace": TRACEBACK})),
        "ERROR - no\n" + "\n".join(TRACEBACK),
    ],
)
def test_the_level_has_a_colour_and_the_app_s_frames_stand_out(text: str) -> None:
    shown = coloured(text)
    assert shown.startswith("\033[31mERROR\033[0m")
    assert [part.split('"')[1] for part in shown.split("\033[2m")[1:]] == [
        "/venv/lib/python3.11/site-packages/chalice/app.py"
    ]
    (bold,) = re.findall("\033\\[1m(.*?)\033\\[0m", shown, re.DOTALL)
    assert [line.strip() for line in bold.splitlines()] == [line.strip() for line in TRACEBACK[3:6]]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    PrettyStream(terminal).write('{"level": "ERROR", "message": "no"}')
    assert terminal.getvalue() == "ERROR   no"
