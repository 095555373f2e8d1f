"""The errors that a user can mend: one line, and exit status 1."""

import sys
from typing import IO, Any

import click


class Refusal(click.ClickException):
    """What is wrong and what to do, in one line. `chalicekit` prints it and exits with status 1."""

    def __str__(self) -> str:
        """Return the line."""
        return self.message

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line to standard error, without a prefix."""
        click.echo(self.message, file=file or sys.stderr)
