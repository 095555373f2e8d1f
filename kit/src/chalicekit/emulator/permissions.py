"""Make MiniStack's IAM enforce the policies of functions, and of nobody else.

With its setting AUTH, MiniStack derives the action and the resource of each call, evaluates the
caller's policies, conditions among them, and refuses in the words of the called service. A function
calls with the credentials of its role. You call with any others, and may do everything; so does a
function whose role is one of your account's, which is not known here.
"""

import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id
from ministack.services import iam, lambda_svc, s3, sts

from chalicekit.emulator.functions import write_log

Response = tuple[int, dict[str, Any], bytes]

# Calls that need the permission for another one: docs.aws.amazon.com/service-authorization
PERMISSIONS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
# Calls that have no resource: their policies must say `"Resource": "*"`
WITHOUT_RESOURCE = re.compile("[^:]+:(List|Describe|PutMetricData)")

# What Lambda does with an event source in the name of the function:
# docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
READS_STREAM = ["DescribeStream", "GetRecords", "GetShardIterator"]
READS = {
    "sqs": ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"],
    "kinesis": READS_STREAM,
    "dynamodb": READS_STREAM,
}
QUEUE_REFUSAL = "The provided execution role does not have permissions to call {action} on SQS"
STREAM_REFUSAL = (
    "Cannot access stream {source}. Please ensure the role can perform the GetRecords, "
    "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
)

# MiniStack's own functions, which the functions below call
extract_action = iam_actions.extract_iam_action
extract_resource = iam_actions.extract_resource_arn
access_denied = iam_actions.access_denied_response
enforce_policies = iam_evaluator.enforce
create_event_source = lambda_svc._create_esm
validate_role = iam_evaluator.validate_role_arn
credentials_of_role = lambda_runtime.execution_credentials

refused_call: ContextVar[tuple[str, str]] = ContextVar("refused_call")


def patch_permissions() -> None:
    """Replace MiniStack's functions with those below."""
    iam_evaluator.is_root_access_key = sts.is_root_access_key = is_yours
    iam_actions.extract_iam_action = action_of
    iam_actions.extract_resource_arn = resources_of
    iam_actions.access_denied_response = refusal
    iam_evaluator.enforce = enforce
    lambda_svc._create_esm = create_readable_event_source
    iam_evaluator.validate_role_arn = problem_of_role
    lambda_runtime.execution_credentials = credentials_of


def is_yours(access_key: str) -> bool:
    """Tell whether an access key is none of a role or a user in the emulated AWS."""
    made = {key for _, key in iam._access_keys.to_dict()} | sts._sessions.keys()
    return access_key not in made


def is_elsewhere(role: str) -> bool:
    """Tell whether a role is another account's: its settings may name one of yours."""
    account = role.split(":")[4:5]
    return bool(account and account != [get_account_id()])


def problem_of_role(role: str) -> str | None:
    """Return why a function cannot have a role, or None."""
    problem: str | None = None if is_elsewhere(role) else validate_role(role)
    return problem


def credentials_of(config: dict[str, Any]) -> dict[str, str]:
    """Return the variables with a function's credentials."""
    if not is_elsewhere(config["Role"]):
        credentials: dict[str, str] = credentials_of_role(config)
        return credentials
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return dict.fromkeys(names, "test")


def action_of(
    service: str, method: str, path: str, headers: Any, body: bytes, query: Any
) -> str | None:
    """Return the action that a call needs the permission for, or None if it needs none."""
    action: str | None = extract_action(service, method, path, headers, body, query)
    if service == "dynamodb" and (statement := statement_of(body)):
        return f"dynamodb:PartiQL{statement.split()[0].title()}"
    return PERMISSIONS.get(action or "", action)


def resources_of(
    service: str,
    method: str,
    path: str,
    headers: Any,
    body: bytes,
    query: Any,
    region: str,
    account: str,
) -> str:
    """Return the ARN of a call's resource, several ARNs with spaces, or "*" if it is not known."""
    known: str = extract_resource(service, method, path, headers, body, query, region, account)
    if known != "*":
        return known
    prefix, content = f"arn:aws:{service}:{region}:{account}:", content_of(body)
    if number := query.get("PhoneNumber"):
        return number[0] if isinstance(number, list) else str(number)
    match service, content:
        case "ssm", {"Names": [*names]}:
            return " ".join(
                prefix + f"parameter/{name.split(':')[0].lstrip('/')}" for name in names
            )
        case "ssm", {"Path": str(folder)}:
            return prefix + f"parameter/{folder.strip('/')}/"
        case "dynamodbstreams", {"StreamArn": str(stream)}:
            return stream
    if table := re.search(r'(?i)\b(?:from|into|update)\s+"?([\w.-]+)', statement_of(body)):
        return prefix + f"table/{table[1]}"
    return "*"


def content_of(body: bytes) -> dict[str, Any]:
    """Return the content of a body in JSON; an empty one if it is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def statement_of(body: bytes) -> str:
    """Return the first statement of PartiQL in a call of DynamoDB, or ""."""
    content = content_of(body)
    several = content.get("Statements") or content.get("TransactStatements") or [content]
    return str(several[0].get("Statement") or "")


def enforce(
    access_key: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Return None, or why a call is refused, which the log of the calling function says, too."""
    needed = [(action, resource) for resource in re.split(" (?=arn:)", resource_arn)]
    if action == "s3:GetObject" and not is_object(resource_arn):
        needed.append(("s3:ListBucket", resource_arn.partition("/")[0]))
    for action, resource in needed:
        for name in names_of(resource):
            refused = enforce_policies(access_key, action, service, region, name, service_context)
            if not isinstance(refused, iam_evaluator.EvalResult):
                break
        else:
            if (
                resource == "*"
                and refused.decision == "ImplicitDeny"
                and not WITHOUT_RESOURCE.match(action)
                and allows_for_some_resource(access_key, action)
            ):
                return None
            kind, name, *session = refused.principal_arn.split(":")[5].split("/")
            principal = f"{kind.removeprefix('assumed-')} {name}"  # a role or a user
            line = f"The policy of the {principal} does not allow {action} on {resource}."
            print(line, flush=True)
            write_log("".join(session), line)
            refused_call.set((action, resource))
            return refused
    return refused


def is_object(arn: str) -> bool:
    """Tell whether an object is in its bucket: only who may list the bucket learns that it is not.

    docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    bucket, _, key = arn.rpartition(":")[2].partition("/")
    return bucket not in s3._buckets or key in s3._buckets[bucket]["objects"]


def names_of(resource: str) -> Iterator[str]:
    """Yield the ARNs that AWS knows a resource by: a policy may name one of them."""
    yield resource
    service = resource.split(":")[2:3]
    if service == ["logs"]:
        yield f"{resource}:log-stream:"
    if service == ["ssm"] and resource.endswith("/"):
        yield resource.rstrip("/")


def allows_for_some_resource(access_key: str, action: str) -> bool:
    """Tell whether a caller's policies allow an action whose resource the call does not name."""
    caller = iam_evaluator.resolve_principal(access_key, get_account_id())
    return any(
        statement.effect == "Allow"
        and iam_evaluator._action_matches(action, statement.actions, statement.not_actions)
        for policy in caller.policies
        for statement in policy
    )


def refusal(
    service: str,
    action: str,
    principal: str,
    request_id: str,
    *,
    headers: dict[str, str] | None = None,
    **reasons: Any,
) -> Response:
    """Return the refusal of a call: its message names the resource, its status is the protocol's.

    A service with the protocol "json" responds with 400, others with 403.
    """
    if not reasons.get("message") and not reasons.get("error_code"):
        action, reasons["resource_arn"] = refused_call.get((action, "*"))
        resource = reasons["resource_arn"]
        prefix, _, name = action.partition(":")
        action = {"sqs": f"sqs:{name.lower()}", "sns": f"SNS:{name}"}.get(prefix, action)
        named = f'"{resource}"' if prefix == "s3" else resource
        is_denied = reasons.get("explicit_deny", False)
        reasons["message"] = iam_actions.identity_denial_message(
            action, principal, named, is_denied
        )
    response = access_denied(service, action, principal, request_id, headers=headers, **reasons)
    status, response_headers, body = response
    is_json = "x-amz-target" in (headers or {}) and service != "sqs"
    return 400 if is_json else status, response_headers, body


def create_readable_event_source(request: dict[str, Any]) -> Any:
    """Create an event source, unless the function's role may not read it."""
    return refused_source(request) or create_event_source(request)


def refused_source(request: dict[str, Any]) -> Any:
    """Return AWS's refusal of an event source that the function's role may not read, or None."""
    source = request.get("EventSourceArn", "")
    name, *_ = lambda_svc._resolve_existing_esm_function(request.get("FunctionName", ""))
    service = source.split(":")[2] if name and source.startswith("arn:") else ""
    for action in READS.get(service, []):
        role = lambda_svc._functions[name]["config"]["Role"]
        if not may_call(role, f"{service}:{action}", source):
            message = QUEUE_REFUSAL if service == "sqs" else STREAM_REFUSAL
            return lambda_svc._invalid_parameter_value(message.format(action=action, source=source))
    return None


def may_call(role: str, action: str, resource: str) -> bool:
    """Tell whether a role's policies allow an action on a resource."""
    if is_elsewhere(role):
        return True
    account = role.split(":")[4]
    context = iam_evaluator.EvalContext(
        role, "AssumedRole", account, action, resource, resource.split(":")[3]
    )
    policies = iam_evaluator._gather_role_policies(role.rpartition("/")[2], account)
    return bool(iam_evaluator.evaluate(context, policies).decision == "Allow")
