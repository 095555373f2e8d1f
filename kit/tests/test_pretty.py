"""A log of JSON lines, as people read it."""

import io
import json
from typing import Any

import pytest

from chalicekit.pretty import PrettyStream, pretty


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


def test_a_log_is_for_people_in_a_terminal_only() -> None:
    record = '{"level": "INFO", "message": "hello"}'
    file, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    for stream in (file, terminal):
        print(record, file=PrettyStream(stream))
    assert file.getvalue() == record + "\n"
    assert terminal.getvalue() == "INFO    hello\n"
