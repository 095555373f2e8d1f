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


def has_colours(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that shows colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class PrettyStream:
    """A terminal's stream that shows the records which are written to it for a person."""

    def __init__(self, stream: TextIO) -> None:
        """Wrap a stream."""
        self.stream, self.colour = stream, has_colours(stream)

    def write(self, text: str) -> int:
        """Write a text; a record is one text, or one and its line break."""
        return self.stream.write(pretty(text, self.colour))

    def __getattr__(self, name: str) -> object:
        """Leave everything else to the stream."""
        return getattr(self.stream, name)
