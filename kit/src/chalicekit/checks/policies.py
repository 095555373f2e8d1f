"""Checks of the policies of a stage's functions: that they exist, and allow what AWS asks for."""

import json
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path
from typing import Any

from chalice import Chalice
from chalice.app import DynamoDBEventConfig, KinesisEventConfig, SQSEventConfig
from chalice.config import Config

from chalicekit import resources
from chalicekit.checks.code import functions_of, place
from chalicekit.iam import allows_somewhere, as_list
from chalicekit.project import Project, read_json
from chalicekit.settings import configured_functions, full_name

# What the role of a function needs for its event source: docs.aws.amazon.com/lambda/latest/dg
QUEUE_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
STREAM_ACTIONS = ["GetRecords", "GetShardIterator", "DescribeStream", "ListStreams"]

# What reads or writes a table: docs.aws.amazon.com/service-authorization
TABLE_ACTIONS = ["BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem", "GetItem"]
TABLE_ACTIONS += ["PartiQLDelete", "PartiQLInsert", "PartiQLSelect", "PartiQLUpdate"]
TABLE_ACTIONS += ["PutItem", "Query", "Scan", "UpdateItem"]


def unreadable_code(project: Project) -> Iterator[str]:
    """Yield that Chalice cannot read app.py, from which it generates policies."""
    path = project.folder / "app.py"
    if project.config.autogen_policy and path.is_file():
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield 'app.py is not UTF-8: save it as UTF-8, or set "autogen_policy": false.'


def unusable(project: Project) -> Iterator[str]:
    """Yield which policies do not exist or are malformed; raises Refusal for what is no JSON."""
    functions = configured_functions(project.config).values()
    paths = {path for function in functions if (path := policy_file(project, function))}
    for path in sorted(paths):
        file = relpath(path, project.folder)
        if path.exists():
            yield from malformed(file, read_json(path, project.folder))
        else:
            yield (
                f"{file} is missing: copy another stage's policy and "
                f'replace that stage\'s name with {project.name}, or set "autogen_policy": true.'
            )
    if of_api := project.config.api_gateway_policy_file:
        read_json(project.folder / ".chalice" / of_api, project.folder)


def malformed(file: str, policy: dict[str, Any]) -> Iterator[str]:
    """Yield the statements that IAM does not take: it refuses the policy after the upload."""
    for statement in as_list(policy.get("Statement")):
        found = statement if isinstance(statement, dict) else {}
        names = [as_list(found.get(key, found.get(f"Not{key}"))) for key in ("Action", "Resource")]
        are_texts = all(isinstance(name, str) for values in names for name in values)
        if found.get("Effect") not in ("Allow", "Deny") or not are_texts:
            yield (
                f"{file}: a statement must be an object with an Effect, Allow or Deny, and with "
                f"texts as its Action and Resource, not {json.dumps(statement)[:80]}."
            )


def unreadable_sources(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which functions may not read their queue or stream: Lambda refuses the event source."""
    policies = policies_in_files(project, app)
    for event in app.event_sources:
        if event.name not in policies:
            continue
        file, policy = policies[event.name]
        actions, arn = needs_of(event)
        denied = [action for action in actions if not allows_somewhere(policy, action, arn)]
        if denied:
            statement = {"Effect": "Allow", "Action": denied, "Resource": arn}
            yield (
                f"{place(project, app.handler_map[event.name])}: {file} does not let "
                f"{full_name(project, event.name)} read its queue or stream: "
                f"add {json.dumps(statement)}"
            )


def needs_of(event: Any) -> tuple[list[str], str]:
    """Return which actions the function of an event source needs, and on which ARN."""
    match event:
        case SQSEventConfig():
            return QUEUE_ACTIONS, event.queue_arn or f"arn:*:sqs:*:*:{event.queue}"
        case KinesisEventConfig():
            actions = [f"kinesis:{action}" for action in STREAM_ACTIONS]
            return actions, f"arn:*:kinesis:*:*:stream/{event.stream}"
        case DynamoDBEventConfig():
            return [f"dynamodb:{action}" for action in STREAM_ACTIONS], event.stream_arn
    return [], ""


def without_log(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which functions may not write a log: Chalice deploys a policy of another stage, too."""
    for name, (file, policy) in policies_in_files(project, app).items():
        function = full_name(project, name)
        log = f"arn:*:logs:*:*:log-group:/aws/lambda/{function}"
        if not allows_somewhere(policy, "logs:PutLogEvents", f"{log}:log-stream:1"):
            advice = f"allow logs:PutLogEvents on {log}:*"
            yield f"{file} does not let {function} write its log: {advice}"


def unused_tables(project: Project, app: Chalice) -> Iterator[str]:
    """Yield which tables of the stage no function may use: a policy may name another stage's."""
    policies = policies_in_files(project, app)
    if policies.keys() != functions_of(project, app).keys():
        return  # what a function may do is not in a file
    for table in resources.tables(project):
        arn = f"arn:*:dynamodb:*:*:table/{table}"
        if not any(
            allows_somewhere(policy, f"dynamodb:{action}", arn)
            for _, policy in policies.values()
            for action in TABLE_ACTIONS
        ):
            yield (
                f"No policy lets a function use the table {table}: "
                f"allow for example dynamodb:GetItem on {arn}"
            )


def policies_in_files(project: Project, app: Chalice) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return by a function's name the file of its policy, and the policy, if it is in a file."""
    files = {name: policy_file(project, f) for name, f in functions_of(project, app).items()}
    return {
        name: (relpath(path, project.folder), read_json(path, project.folder))
        for name, path in files.items()
        if path
    }


def policy_file(project: Project, function: Config) -> Path | None:
    """Return the path of a function's policy, or None if Chalice does not read one."""
    if not function.manage_iam_role or function.autogen_policy:
        return None
    name = function.iam_policy_file or f"policy-{project.stage}.json"
    return project.folder / ".chalice" / name
