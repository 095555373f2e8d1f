"""The checks before anything is uploaded: what AWS or Chalice would refuse, or quietly leave out.

A refusal is one line with its place and what to do. What Chalice deploys and AWS takes, although it
looks wrong, is only said on standard error.
"""

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import chain
from os.path import relpath
from pathlib import Path
from typing import Any

import click
from chalice import Chalice
from chalice.app import (
    BuiltinAuthConfig,
    DynamoDBEventConfig,
    KinesisEventConfig,
    S3EventConfig,
    ScheduledEventConfig,
    SNSEventConfig,
    SQSEventConfig,
)
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder, ChaliceBuildError
from chalice.deploy.validate import validate_configuration

from chalicekit import resources
from chalicekit.errors import Refusal
from chalicekit.iam import allows, allows_somewhere, as_list
from chalicekit.project import Project, read_json
from chalicekit.runtime.environment import RESERVED_VARIABLES
from chalicekit.settings import API, FILE, configured_functions, unknown, wrong_settings

VARIABLES_LIMIT = 4096  # docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

NAME_LIMIT = 64  # of Lambda's functions and IAM's roles

# What the role of a function needs for its event source: docs.aws.amazon.com/lambda/latest/dg
QUEUE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
STREAM_ACTIONS = ("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams")

# docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
SCHEDULE = re.compile(
    r"rate\((1 (minute|hour|day)|(?!1 )[1-9]\d* (minutes|hours|days))\)"
    r"|cron\(\S+ \S+ (\S+ \S+ \?|\? \S+ \S+) \S+\)"
)
# The names of what calls a function: who takes it, as what, in which argument
SOURCES = {
    S3EventConfig: ("S3", "a bucket", "bucket", r"[\w.-]{3,255}"),
    SNSEventConfig: ("SNS", "a topic", "topic", r"[\w-]{1,251}(\.fifo)?|arn:.+"),
    SQSEventConfig: ("SQS", "a queue", "queue", r"[\w-]{1,75}(\.fifo)?|[\w-]{1,80}"),
    KinesisEventConfig: ("Kinesis", "a stream", "stream", r"[\w.-]{1,128}"),
}
STREAM_ARN = re.compile("arn:[^:]*:dynamodb:[^:]*:[^:]*:table/.+/stream/.+")
METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
PATH_PART = re.compile(r"\{[\w.:-]+\+?\}|[\w.:~-]+", re.ASCII)  # as API Gateway says it


def before_build(project: Project) -> None:
    """Check the settings of a stage; raises Refusal with a line for each that is wrong."""
    config = project.config
    refuse(wrong_settings(config))
    functions = configured_functions(config)
    refuse(unreadable_code(project, functions))
    refuse(chain(wrong_variables(functions), missing_policies(project, functions)))
    if config.api_gateway_policy_file:
        read_json(project.folder / ".chalice" / config.api_gateway_policy_file, project.folder)


def before_deploy(project: Project, app: Chalice) -> None:
    """Check an app against its settings and against what AWS takes; raises Refusal."""
    config = project.config
    functions = functions_of(config, app)
    refuse(
        chain(
            unknown_functions(config, functions),
            wrong_variables(functions),
            missing_policies(project, functions),
            wrong_names(functions),
            wrong_paths(project, app),
            wrong_sources(project, app),
            lost_functions(project, app),
        )
    )
    refuse(unreadable_sources(project, app, functions))
    warn_about_logs(project, functions)
    warn_about_tables(project, functions)
    settings = {**config._user_provided_params, "chalice_app": app}
    complete = Config(project.stage, API, settings, config.config_from_disk, config._default_params)
    try:
        validate_configuration(complete)
        ApplicationGraphBuilder().build(complete, project.stage)
    except (ChaliceBuildError, ValueError) as error:
        raise Refusal(" ".join(str(error).split())) from error


def before_package(project: Project, app: Chalice, pkg_format: str = "cloudformation") -> None:
    """Check an app as before a deployment, and that a template can have all of it."""
    before_deploy(project, app)
    for event in app.event_sources:
        if isinstance(event, S3EventConfig) and pkg_format == "cloudformation":
            pattern = '{"source": ["aws.s3"], "detail": {"bucket": {"name": ["'
            raise Refusal(
                f"{place(project, app.handler_map[event.name])}: a stack cannot have on_s3_event. "
                f'Use on_cw_event({pattern}{event.bucket}"]}}}}}}), and turn on "EventBridge '
                f'notifications" of the bucket; or `{project.command("deploy")}`.'
            )


def refuse(problems: Iterable[str]) -> None:
    """Raise Refusal with the lines, if there are any."""
    if lines := list(dict.fromkeys(problems)):
        raise Refusal("\n".join(lines))


def functions_of(config: Config, app: Chalice) -> dict[str, Config]:
    """Return the settings of each of the app's functions, by Chalice's name for it."""
    names = [*([API] if app.routes else []), *(handler.name for handler in handlers_of(app))]
    return {name: config.scope(config.chalice_stage, name) for name in names}


def handlers_of(app: Chalice) -> list[Any]:
    """Return what Chalice knows of each function, except that of the API."""
    handlers: list[Any] = [*app.builtin_auth_handlers, *app.event_sources]
    return [*handlers, *app.pure_lambda_functions, *app.websocket_handlers.values()]


def full_name(function: Config) -> str:
    """Return the name that a function has in AWS."""
    name = f"{function.app_name}-{function.chalice_stage}"
    return name if function.function_name == API else f"{name}-{function.function_name}"


def place(project: Project, handler: Any) -> str:
    """Return the file and the line of a function of the app."""
    function = inspect.unwrap(getattr(handler, "func", handler))
    code = getattr(function, "__code__", None)
    if not code:
        return "app.py"
    path = Path(code.co_filename)
    for folder in (project.build_folder / "app", project.folder):
        if path.is_relative_to(folder):
            return f"{path.relative_to(folder).as_posix()}, line {code.co_firstlineno}"
    return f"{path.name}, line {code.co_firstlineno}"


def unknown_functions(config: Config, functions: dict[str, Config]) -> Iterator[str]:
    """Yield the names of functions in the settings that look like others in the app."""
    for name in configured_functions(config).keys() - functions.keys() - {API}:
        yield from unknown(f"the function {name} in lambda_functions", name, functions)


def unreadable_code(project: Project, functions: dict[str, Config]) -> Iterator[str]:
    """Yield that Chalice cannot read app.py, from which it generates policies."""
    path = project.folder / "app.py"
    if any(function.autogen_policy for function in functions.values()) and path.is_file():
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield 'app.py is not UTF-8: save it as UTF-8, or set "autogen_policy": false.'


def wrong_variables(functions: dict[str, Config]) -> Iterator[str]:
    """Yield which environment variables AWS does not take."""
    for function in functions.values():
        variables = function.environment_variables
        where = f"{FILE}: environment_variables of {full_name(function)}"
        if reserved := sorted(RESERVED_VARIABLES & variables.keys()):
            yield f"{where}: Lambda sets {', '.join(reserved)} itself, choose other names."
        for variable in variables:
            if variable not in reserved and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", variable):
                yield (
                    f"{where}: Lambda does not take the name {variable!r}: start with a letter, "
                    "then add at least one letter, digit or underscore."
                )
        size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
        if size > VARIABLES_LIMIT:
            yield (
                f"{where} are {size} bytes, and Lambda takes {VARIABLES_LIMIT}: put large values "
                "into a file in chalicelib/ or into Parameter Store."
            )


def policy_of(project: Project, function: Config) -> Path | None:
    """Return the path of a function's policy, or None if Chalice does not read one."""
    if not function.manage_iam_role or function.autogen_policy:
        return None
    name = function.iam_policy_file or f"policy-{project.stage}.json"
    return project.folder / ".chalice" / name


def missing_policies(project: Project, functions: dict[str, Config]) -> Iterator[str]:
    """Yield which policies do not exist; Chalice shows a traceback for them."""
    for function in functions.values():
        path = policy_of(project, function)
        if path and not path.exists():
            yield (
                f"{relpath(path, project.folder)} is missing: copy another stage's policy and "
                f'replace that stage\'s name with {project.name}, or set "autogen_policy": true.'
            )


def warn_about_logs(project: Project, functions: dict[str, Config]) -> None:
    """Say which functions may not write a log: Chalice deploys a policy of another stage, too."""
    for function in functions.values():
        name, path = full_name(function), policy_of(project, function)
        stream = f"log-group:/aws/lambda/{name}:log-stream:1"
        if path and not allows_somewhere(
            read_json(path, project.folder), "logs:PutLogEvents", stream
        ):
            click.echo(
                f"{relpath(path, project.folder)} does not let {name} write its log: allow "
                f"logs:PutLogEvents on arn:*:logs:*:*:log-group:/aws/lambda/{name}:*",
                err=True,
            )


def warn_about_tables(project: Project, functions: dict[str, Config]) -> None:
    """Say which tables of the stage no function may use: a policy may have the name of another."""
    paths = [policy_of(project, function) for function in functions.values()]
    if not all(paths):  # the permissions of a function are not in a file
        return
    statements = [
        statement
        for path in set(filter(None, paths))
        for statement in as_list(read_json(path, project.folder).get("Statement", []))
        if any(
            str(action).startswith(("dynamodb:", "*"))
            for action in as_list(statement.get("Action"))
        )
    ]
    names = [str(arn).rpartition(":")[2] for s in statements for arn in as_list(s.get("Resource"))]
    for table in resources.tables(project):
        if not any(fnmatchcase(f"table/{table}", name) for name in names):
            click.echo(
                f"No policy lets a function use the table {table}: allow for example "
                f"dynamodb:GetItem on arn:*:dynamodb:*:*:table/{table}",
                err=True,
            )


def needs_of(event: Any) -> tuple[str, tuple[str, ...], str]:
    """Return what an event source is, what its function must be allowed, and on which ARN.

    If only the name is known, the ARN is the end of one.
    """
    if isinstance(event, SQSEventConfig):
        return "queue", QUEUE_ACTIONS, event.queue_arn or str(event.queue)
    if isinstance(event, KinesisEventConfig):
        actions = tuple(f"kinesis:{action}" for action in STREAM_ACTIONS)
        return "stream", actions, f"stream/{event.stream}"
    if isinstance(event, DynamoDBEventConfig):
        return "stream", tuple(f"dynamodb:{action}" for action in STREAM_ACTIONS), event.stream_arn
    return "", (), ""


def unreadable_sources(
    project: Project, app: Chalice, functions: dict[str, Config]
) -> Iterator[str]:
    """Yield which functions may not read their queue or stream: Lambda refuses the event source."""
    for event in app.event_sources:
        what, actions, arn = needs_of(event)
        path = policy_of(project, functions[event.name]) if actions else None
        if not path:
            continue
        policy = read_json(path, project.folder)
        is_allowed = allows if arn.startswith("arn:") else allows_somewhere
        missing = [action for action in actions if not is_allowed(policy, action, arn)]
        if missing:
            service = actions[0].partition(":")[0]
            resource = arn if arn.startswith("arn:") else f"arn:*:{service}:*:*:{arn}"
            statement = {"Effect": "Allow", "Action": missing, "Resource": resource}
            yield (
                f"{place(project, app.handler_map[event.name])}: "
                f"{relpath(path, project.folder)} does not let "
                f"{full_name(functions[event.name])} read its {what}: add {json.dumps(statement)}"
            )


def wrong_names(functions: dict[str, Config]) -> Iterator[str]:
    """Yield which names of functions, and of the roles that Chalice makes, AWS does not take."""
    for name, function in functions.items():
        names = [full_name(function)]
        if function.manage_iam_role and not function.autogen_policy:
            names.append(f"{function.app_name}-{function.chalice_stage}-{name}")
        longest = max(names, key=len)
        if not re.fullmatch("[A-Za-z0-9_-]*", longest):
            is_app_name = re.fullmatch("[A-Za-z0-9_-]*", name)
            what = f"app_name {function.app_name!r}" if is_app_name else f"function name {name!r}"
            yield (
                f"{FILE if is_app_name else 'app.py'}: Lambda does not take the {what}: use "
                "letters, digits, hyphens and underscores."
            )
        elif len(longest) > NAME_LIMIT:
            yield (
                f"{longest} has {len(longest)} characters, and AWS takes {NAME_LIMIT}: choose a "
                f"shorter app_name in {FILE}, or a shorter name of the function."
            )


def wrong_paths(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which paths API Gateway does not take."""
    variables = dict[str, tuple[str, str]]()
    for path, methods in app.routes.items():
        start = place(project, next(iter(methods.values())).view_function)
        above = ""
        if wrong := methods.keys() - METHODS:
            yield f"{start}: API Gateway has no method {', '.join(sorted(wrong))} ({path})."
        if not path.startswith("/"):
            yield f"{start}: API Gateway takes only paths that start with a slash: write /{path}."
        if re.search(r"\+}.", path):
            yield f"{start}: API Gateway takes a part with + only at the end of a path ({path})."
        for part in path.strip("/").split("/") if path != "/" else ():
            if not PATH_PART.fullmatch(part):
                yield f"{start}: API Gateway does not take {part!r} as a part of a path ({path})."
            if part.startswith("{"):
                name, other = variables.setdefault(above, (part, path))
                if name != part:
                    yield (
                        f"{start}: API Gateway takes only one name for a part of a path: "
                        f"{part} in {path} is {name} in {other}."
                    )
            above += f"/{part}"


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
        start = f"{place(project, app.handler_map.get(handler.name))}: "
        if not callable(found):
            yield (
                f"{start}Lambda looks for {name} in {module}, which does not have it: "
                "import it there."
            )
        elif found in views:
            yield f"{start}Lambda would call the view {name} instead of {handler.name}: rename one."


def wrong_sources(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which event sources, and which authorizers, AWS does not take."""
    handlers: list[Any] = [*app.event_sources, *app.builtin_auth_handlers]
    for handler in handlers:
        if refusal := refusal_of(handler):
            yield f"{place(project, app.handler_map.get(handler.name))}: {refusal}"


def refusal_of(handler: Any) -> str:
    """Return why AWS does not take an event source or an authorizer, or "".

    docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    """
    if isinstance(handler, ScheduledEventConfig):
        expression = handler.schedule_expression
        text = expression if isinstance(expression, str) else expression.to_string()
        if not SCHEDULE.fullmatch(text):
            example = "write for example rate(5 minutes) or cron(0 12 * * ? *)."
            return f"EventBridge does not take {text!r}: {example}"
    if source := SOURCES.get(type(handler)):
        service, what, argument, pattern = source
        name = getattr(handler, argument)
        if name is not None and not re.fullmatch(pattern, name, re.ASCII):
            return f"{service} does not take {name!r} as the name of {what}."
    if isinstance(handler, DynamoDBEventConfig) and not STREAM_ARN.fullmatch(handler.stream_arn):
        return f"{handler.stream_arn!r} is not the ARN of a table's stream."
    if isinstance(handler, BuiltinAuthConfig) and not 0 <= (handler.ttl_seconds or 0) <= 3600:
        return "API Gateway takes a ttl_seconds from 0 to 3600."
    size, limit, more = getattr(handler, "batch_size", 1), 10000, ""
    if isinstance(handler, SQSEventConfig):
        if (handler.queue or handler.queue_arn or "").endswith(".fifo"):
            limit = 10
        elif not handler.maximum_batching_window_in_seconds:
            limit, more = 10, ", and up to 10000 with a maximum_batching_window_in_seconds"
    if not 1 <= size <= limit:
        return f"Lambda takes a batch_size from 1 to {limit}{more}."
    return ""
