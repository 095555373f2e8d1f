"""Checks of an app: its functions, their names, its paths and its event sources."""

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chalice import Chalice
from chalice.app import (
    ChaliceAuthorizer,
    DynamoDBEventConfig,
    KinesisEventConfig,
    S3EventConfig,
    ScheduledEventConfig,
    ScheduleExpression,
    SNSEventConfig,
    SQSEventConfig,
)
from chalice.config import Config

from chalicekit.project import Project
from chalicekit.settings import API, FILE, configured_functions, full_name, unknown_name

NAME = re.compile("[A-Za-z0-9_-]*")
NAME_LIMIT = 64  # of Lambda's functions and IAM's roles

METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
# A part of a path, as API Gateway takes it: {name}, {name+} or a text
PATH_PART = re.compile(r"\{[\w.:-]+\+?\}|[\w.:~-]+", re.ASCII)

STREAM_ARN = "arn:[^:]*:dynamodb:[^:]*:[^:]*:table/.+/stream/.+"
# docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
SCHEDULE = (
    r"rate\((1 (minute|hour|day)|(?!1 )[1-9]\d* (minutes|hours|days))\)"
    r"|cron\(\S+ \S+ (\S+ \S+ \?|\? \S+ \S+) \S+\)"
)
# What an event source is named by: the argument, what AWS takes there, and what that is
SOURCES = {
    S3EventConfig: ("bucket", r"[\w.-]{3,255}", "the name of a bucket"),
    SNSEventConfig: ("topic", r"[\w-]{1,251}(\.fifo)?|arn:.+", "the name of a topic"),
    SQSEventConfig: ("queue", r"[\w-]{1,75}(\.fifo)?|[\w-]{1,80}", "the name of a queue"),
    KinesisEventConfig: ("stream", r"[\w.-]{1,128}", "the name of a stream"),
    DynamoDBEventConfig: ("stream_arn", STREAM_ARN, "the ARN of a table's stream"),
    ScheduledEventConfig: (
        "schedule_expression",
        SCHEDULE,
        "a schedule: write for example rate(5 minutes) or cron(0 12 * * ? *)",
    ),
}


def unknown_functions(project: Project, app: Chalice) -> Iterator[str]:
    """Yield the names of functions in the settings that look like others in the app."""
    names = functions_of(project, app).keys()
    for name in configured_functions(project.config).keys() - names - {API}:
        yield from unknown_name(f"the function {name} in lambda_functions", name, names)


def wrong_names(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which names of functions, and of the roles that Chalice makes, AWS does not take."""
    config, functions = project.config, functions_of(project, app)
    names = [(FILE, "app_name", config.app_name), (FILE, "stage", project.stage)]
    names += [("app.py", "function name", name) for name in functions]
    for file, what, name in names:
        if not NAME.fullmatch(name):
            yield (
                f"{file}: Lambda does not take the {what} {name!r}: use letters, digits, hyphens "
                "and underscores."
            )
    for name, function in functions.items():
        has_own_role = function.manage_iam_role and not function.autogen_policy
        longest = f"{project.name}-{name}" if has_own_role else full_name(project, name)
        if len(longest) > NAME_LIMIT:
            yield (
                f"{longest} has {len(longest)} characters, and AWS takes {NAME_LIMIT}: choose a "
                f"shorter app_name in {FILE}, or a shorter name of the function."
            )


def wrong_paths(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which paths and methods API Gateway does not take."""
    variables: dict[str, tuple[str, str]] = {}
    for path, views in app.routes.items():
        start = place(project, next(iter(views.values())).view_function)
        for problem in [*problems_of_path(path, views), *problems_of_variables(path, variables)]:
            yield f"{start}: API Gateway {problem}"


def problems_of_path(path: str, methods: Iterable[str]) -> Iterator[str]:
    """Yield what API Gateway has against a path or its methods, as the rest of a sentence."""
    if wrong := set(methods) - METHODS:
        yield f"has no method {', '.join(sorted(wrong))} ({path})."
    if not path.startswith("/"):
        yield f"takes only paths that start with a slash: write /{path}."
    parts = path.removeprefix("/").rstrip("/").split("/") if path != "/" else []
    for part in parts:
        if not PATH_PART.fullmatch(part):
            yield f"does not take {part!r} as a part of a path ({path})."
    if any(part.endswith("+}") for part in parts[:-1]):
        yield f"takes a part with + only at the end of a path ({path})."


def problems_of_variables(path: str, variables: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Yield which variable of a path has another name in an earlier path.

    `variables` collects by what is above a variable its name and the first path that has it.
    """
    parts = path.split("/")
    for depth, part in enumerate(parts):
        if part.startswith("{"):
            name, other = variables.setdefault("/".join(parts[:depth]), (part, path))
            if part != name:
                yield (
                    "takes only one name for a part of a path: "
                    f"{part} in {path} is {name} in {other}."
                )


def wrong_sources(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which names of event sources, schedules and sizes of batches AWS does not take."""
    for event in app.event_sources:
        start = place(project, app.handler_map[event.name])
        if source := SOURCES.get(type(event)):
            argument, pattern, what = source
            value = getattr(event, argument)
            if isinstance(value, ScheduleExpression):
                value = value.to_string()
            if value is not None and not re.fullmatch(pattern, value, re.ASCII):
                yield f"{start}: AWS does not take {value!r} as {what}."
        waits = getattr(event, "maximum_batching_window_in_seconds", 0)
        limit = 10 if isinstance(event, SQSEventConfig) and not waits else 10000
        size = getattr(event, "batch_size", 1)
        if not (isinstance(size, int) and 1 <= size <= limit):
            yield (
                f"{start}: Lambda takes a batch_size from 1 to {limit}. More than 10 messages of a "
                "queue need a maximum_batching_window_in_seconds."
            )


def lost_authorizers(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which routes have an authorizer under a name that the app does not know it by.

    Chalice gives the `name_prefix` of a blueprint to its authorizer, and not to its routes'.
    """
    known = {authorizer.name for authorizer in app.builtin_auth_handlers}
    for methods in app.routes.values():
        for view in methods.values():
            authorizer = view.authorizer
            if isinstance(authorizer, ChaliceAuthorizer) and authorizer.name not in known:
                yield (
                    f"{place(project, view.view_function)}: the app has no authorizer "
                    f"{authorizer.name}: register its blueprint without a name_prefix."
                )


def lost_functions(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which functions Lambda would not find: it looks for their names in their module.

    For Chalice, that is app.py, or the name that a blueprint has been given.
    """
    if getattr(sys.modules.get("app"), "app", None) is not app:
        return  # it was not imported
    views = [view.view_function for views in app.routes.values() for view in views.values()]
    for handler in handlers_of(app):
        module, _, name = handler.handler_string.rpartition(".")
        found = getattr(sys.modules.get(module), name, None)
        start = place(project, app.handler_map.get(handler.name))
        if not callable(found):
            yield (
                f"{start}: Lambda looks for {name} in {module}, which does not have it: "
                "import it there."
            )
        elif found in views:
            problem = f"Lambda would call the view {name} instead of {handler.name}"
            yield f"{start}: {problem}: rename one."


def bucket_events(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which functions a stack cannot have: those for the events of a bucket."""
    for event in app.event_sources:
        if isinstance(event, S3EventConfig):
            pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [event.bucket]}}}
            yield (
                f"{place(project, app.handler_map[event.name])}: a stack cannot have on_s3_event. "
                f"Use on_cw_event({json.dumps(pattern)}), and turn on EventBridge notifications of "
                f"the bucket; or `{project.command('deploy')}`."
            )


def functions_of(project: Project, app: Chalice) -> dict[str, Config]:
    """Return the settings of each of the app's functions, by Chalice's name for it."""
    names = [API] if app.routes else []
    names += [handler.name for handler in handlers_of(app)]
    return {name: project.config.scope(project.stage, name) for name in names}


def handlers_of(app: Chalice) -> list[Any]:
    """Return what Chalice knows of each function, except that of the API."""
    handlers: list[Any] = [*app.builtin_auth_handlers, *app.event_sources]
    return [*handlers, *app.pure_lambda_functions, *app.websocket_handlers.values()]


def place(project: Project, function: Any) -> str:
    """Return the file and the line of a function of the app; "app.py" for another callable."""
    function = inspect.unwrap(getattr(function, "func", function))  # Chalice wraps it
    if not inspect.isfunction(function):
        return "app.py"
    path, app = Path(function.__code__.co_filename), project.build_folder / "app"
    name = path.relative_to(app).as_posix() if path.is_relative_to(app) else path.name
    return f"{name}, line {function.__code__.co_firstlineno}"
