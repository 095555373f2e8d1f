"""What to do about an error of the AWS SDK in an app that `local` serves: one line in its log."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chalicekit.load import places
from chalicekit.project import Project

NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")


def hints_by_error(project: Project) -> dict[str, str]:
    """Return what to do about errors, by the names of their classes."""
    if project.emulator:
        hint = f"{project.emulator} does not respond: is `{project.command('emulator')}` running?"
        return {"EndpointConnectionError": hint}
    if project.profile:
        return {}
    profile = "AWS_PROFILE=" if project.make else "--profile "
    hint = (
        f"The app calls AWS, and has no account here: run `{project.emulated().command('local')}` "
        f"for an emulated one, or add {profile}NAME for yours."
    )
    return dict.fromkeys(NO_CREDENTIALS, hint)


def hint_for(error: BaseException | None, hints: Mapping[str, str]) -> str:
    """Return the hint for an error or for what it was raised for, or ""."""
    while error and type(error).__name__ not in hints:
        error = error.__cause__ or error.__context__
    return hints[type(error).__name__] if error else ""


def log_hints(folder: Path, hints: Mapping[str, str]) -> None:
    """Let the app log one line, with its place and the hint, for an error that has a hint."""
    create_record = logging.getLogRecordFactory()

    def create_record_with_hint(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = create_record(*arguments, **options)
        error = record.exc_info and record.exc_info[1]
        if error and (hint := hint_for(error, hints)):
            record.msg = ": ".join([*places(error, folder)[-1:], hint])
            record.args, record.exc_info = (), None
        return record

    logging.setLogRecordFactory(create_record_with_hint)
