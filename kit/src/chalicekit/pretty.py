"""A log of JSON lines, as people read it: time, level, message, then fields and the traceback."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import TextIO

BOLD, DIM, RESET = "\033[1m", "\033[2m", "\033[0m"
COLOURS = {"CRITICAL": "\033[31m", "ERROR": "\033[31m", "WARNING": "\033[33m", "DEBUG": DIM}
# Frames of a traceback that are not the app's: libraries, Chalice and Python, here and on Lambda
OTHERS = re.compile(
    r"site-packages|dist-packages|/lib/python3|/chalicekit/|/var/(task/chalice|runtime|lang)/|<"
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def pretty(text: str, colour: bool) -> str:
    """Return a line of a log for a person; only a traceback in it changes if it is no JSON record.

    A record is an object with `level` and `message`, as in Lambda's own JSON format. `text` may end
    with a line break. Control characters are escaped: a terminal would obey them.
    """
    record = record_in(text)
    if record is None:
        return "".join(styled(text.splitlines(keepends=True))) if colour else text
    level, time = str(record.pop("level")), str(record.pop("timestamp", "")).replace("T", " ")
    message = escaped(as_text(record.pop("message"))).replace("\n", "\n    ")
    fields, blocks = list[str](), list[str]()
    for name, value in record.items():
        if name == "stackTrace" and isinstance(value, list):
            value = "\n".join(str(entry).rstrip("\n") for entry in value)
        shown = escaped(as_text(value))
        if "\n" in shown:
            blocks += shown.rstrip("\n").split("\n")
        elif name not in ("errorType", "errorMessage") or "stackTrace" not in record:
            fields.append(f"{name}={shown}")
    head = [(DIM, time), (COLOURS.get(level, ""), f"{level:<7}"), ("", message)]
    head += [(DIM, " ".join(fields))]
    if colour:
        blocks = [*styled(blocks)]
        head = [("", f"{style}{part}{RESET}" if style and part else part) for style, part in head]
    lines = [" ".join(part for _, part in head if part), *(f"    {line}" for line in blocks)]
    return "\n".join(lines) + text[len(text.rstrip("\n")) :]


def record_in(text: str) -> dict[str, object] | None:
    """Return the record that a text is, or None."""
    try:
        found = json.loads(text) if text.startswith("{") else None
    except ValueError:
        return None
    is_record = isinstance(found, dict) and {"level", "message"} <= found.keys()
    return found if is_record else None


def styled(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines; in a traceback, the app's frames stand out and the others stand back."""
    style = ""
    for line in lines:
        if line.startswith('  File "'):
            style = DIM if OTHERS.search(line) else BOLD
        elif not line.startswith("    "):
            style = ""
        yield f"{style}{line.rstrip()}{RESET}{line[len(line.rstrip()) :]}" if style else line


def as_text(value: object) -> str:
    """Return a field's value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    """Return text without control characters, except line breaks and tabs."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def for_reader(text: str, stream: TextIO) -> str:
    """Return a line of a log for a person if `stream` is a terminal, and unchanged otherwise.

    It has colours if the terminal has them (no-color.org).
    """
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return pretty(text, colour) if stream.isatty() else text


class PrettyStream:
    """A stream that shows the log which is written to it as people read it, if it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """Wrap a stream."""
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; a record is one text, or one and its line break."""
        return self.stream.write(for_reader(text, self.stream))

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the stream."""
        return getattr(self.stream, name)
