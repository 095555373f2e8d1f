"""A log of JSON lines, as people read it: time, level, message and fields, then the traceback."""

import json
import os
import re
from textwrap import indent
from typing import Any, TextIO

import click

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all except tabs and line breaks
LEVEL = re.compile("(?<=Z )(CRITICAL|ERROR|WARNING)|^(CRITICAL|ERROR|WARNING)")
COLOURS = {"CRITICAL": "red", "ERROR": "red", "WARNING": "yellow"}
# A frame of a traceback: its line with the file, and the lines of code, which are further in
FRAME = re.compile(r'^( +)File ".*(\n\1  .*)*', re.MULTILINE)
# What is not the app's in such a line: libraries, Chalice and Python, here and on Lambda
OTHERS = re.compile(
    "site-packages|dist-packages|/lib/python3|/chalicekit/|/var/(task/chalice|runtime|lang)/|<"
)


def for_reader(text: str, stream: TextIO) -> str:
    """Return a line of a log for a person if `stream` is a terminal, and unchanged otherwise.

    It has colours if the terminal has them (no-color.org).
    """
    if not stream.isatty():
        return text
    has_colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return coloured(pretty(text)) if has_colours else pretty(text)


def pretty(text: str) -> str:
    """Return a line of a log for a person; it stays as it is if it is no JSON record.

    A record is an object with `level` and `message`, as in Lambda's own JSON format. `text` may end
    with a line break.
    """
    record = record_in(text)
    if record is None:
        return text
    level, message = as_text(record.pop("level")), as_text(record.pop("message"))
    timestamp = as_text(record.pop("timestamp", "")).replace("T", " ")
    if isinstance(stack := record.get("stackTrace"), list):
        record["stackTrace"] = "\n".join(str(line).rstrip("\n") for line in stack)
    texts = {name: as_text(value) for name, value in record.items()}
    fields = [f"{name}={value}" for name, value in texts.items() if "\n" not in value]
    blocks = [value.rstrip("\n") for value in texts.values() if "\n" in value]
    first_line = [timestamp, f"{level:<7}", message.replace("\n", "\n    "), *fields]
    lines = [" ".join(filter(None, first_line)), *[indent(block, "    ") for block in blocks]]
    return "\n".join(lines) + ("\n" if text.endswith("\n") else "")


def coloured(text: str) -> str:
    """Return a text with its level in colour; in a traceback, the app's frames stand out."""
    text = LEVEL.sub(lambda level: click.style(level[0], fg=COLOURS[level[0]]), text, count=1)

    def styled(frame: re.Match[str]) -> str:
        if OTHERS.search(frame[0].partition("\n")[0]):
            return click.style(frame[0], dim=True)
        return click.style(frame[0], bold=True)

    return FRAME.sub(styled, text)


def record_in(text: str) -> dict[str, Any] | None:
    """Return the record that a text is, or None."""
    try:
        found = json.loads(text) if text.startswith("{") else None
    except ValueError:
        return None
    is_record = isinstance(found, dict) and {"level", "message"} <= found.keys()
    return found if is_record else None


def as_text(value: Any) -> str:
    """Return a field's value as text, with control characters escaped: a terminal obeys them."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


class PrettyStream:
    """A stream that shows the log which is written to it as people read it, if it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; a record is one text, or one and its line break."""
        return self.stream.write(for_reader(text, self.stream))

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the stream."""
        return getattr(self.stream, name)
