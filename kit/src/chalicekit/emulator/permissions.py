"""Make MiniStack's IAM enforce the policies of functions, and of nobody else.

With its setting AUTH, MiniStack derives the action and the resource of each call, evaluates the
caller's policies, conditions among them, and refuses in the protocol of the called service. A
function calls with the credentials of its role. You call with any others, and may do everything; so
does a function whose role is one of your account's, which is not known here.
"""

from contextvars import ContextVar
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id
from ministack.services import iam, s3, sts

from chalicekit.emulator import Original, replaces
from chalicekit.emulator.functions import write_log

# Calls that need the permission for another one: docs.aws.amazon.com/service-authorization
PERMISSIONS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}

# Calls that have no resource at all: their policies must say `"Resource": "*"`.
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "dynamodb:ListTables",
    "kms:CreateKey",
    "kms:ListKeys",
    "lambda:ListFunctions",
    "s3:ListAllMyBuckets",
    "sns:ListTopics",
    "sqs:ListQueues",
}

# From `enforce` to `respond`: each request has its own context.
message_of_refusal: ContextVar[str] = ContextVar("message_of_refusal", default="")


@replaces(iam_evaluator, "validate_role_arn")
def accept_any_role(original: Original, arn: str) -> None:
    """Find nothing wrong with a function's role, which may be one of your account's."""


@replaces(iam_evaluator, "is_root_access_key")
def is_yours(original: Original, access_key: str) -> bool:
    """Tell whether an access key is none of a user or a role in the emulated AWS."""
    session = sts._sessions.get(access_key)
    if session and ":assumed-role/" in session["Arn"]:
        return session["Arn"].split("/")[1] not in iam._roles
    return access_key not in known_keys()


def known_keys() -> set[str]:
    """Return the access keys of the users, and of the sessions, in the emulated AWS."""
    of_users = {key for _account, key in iam._access_keys.to_dict()}
    return {*of_users, *sts._sessions.keys()}


@replaces(iam_evaluator, "enforce")
def enforce(
    original: Original,
    access_key: str,
    action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: dict[str, Any] | None = None,
) -> Any:
    """Return None for a call that is allowed, an AuthError for wrong credentials, or an EvalResult.

    The EvalResult is a refusal; the log of the calling function says why.
    """
    for needed, resource in permissions_for(action, resource_arn):
        refused = original(access_key, needed, service, region, resource, service_context)
        if isinstance(refused, iam_evaluator.AuthError):
            return refused
        if refused and not is_excused(refused, access_key, needed, resource):
            log_refusal(refused.principal_arn, needed, resource)
            message_of_refusal.set(message_of(refused, needed, resource))
            return refused
    return None


def permissions_for(action: str, resource: str) -> list[tuple[str, str]]:
    """Return the actions and the resources that a call needs permissions for.

    Only who may list a bucket learns that an object is not in it:
    docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    resource = resource.replace(":rule/default/", ":rule/")  # of the default event bus
    needed = [(PERMISSIONS.get(action, action), resource)]
    if action == "s3:GetObject":
        bucket, _, key = resource.removeprefix("arn:aws:s3:::").partition("/")
        if bucket in s3._buckets and key not in s3._buckets[bucket]["objects"]:
            needed.append(("s3:ListBucket", f"arn:aws:s3:::{bucket}"))
    return needed


def is_excused(refused: Any, access_key: str, action: str, resource: str) -> bool:
    """Tell whether a call is refused only because the emulated AWS does not know its resource.

    Then it is enough that the caller may do the same to some resource.
    """
    if resource != "*" or action in WITHOUT_RESOURCE or refused.decision != "ImplicitDeny":
        return False
    caller = iam_evaluator.resolve_principal(access_key, get_account_id())
    return any(
        statement.effect == "Allow"
        and iam_evaluator._action_matches(action, statement.actions, statement.not_actions)
        for policy in caller.policies
        for statement in policy
    )


def log_refusal(principal_arn: str, action: str, resource: str) -> None:
    """Say why a call is refused, in the log of the function that makes it, too."""
    # arn:aws:sts::ACCOUNT:assumed-role/ROLE/FUNCTION or arn:aws:iam::ACCOUNT:user/USER
    kind, name, *function = principal_arn.split(":")[5].split("/")
    principal = f"{kind.removeprefix('assumed-')} {name}"
    line = f"The policy of the {principal} does not allow {action} on {resource}."
    print(line, flush=True)
    write_log("".join(function), line)


def message_of(refused: Any, action: str, resource: str) -> str:
    """Return AWS's message about a refused call."""
    service, _, operation = action.partition(":")
    spelled = {"sqs": f"sqs:{operation.lower()}", "sns": f"SNS:{operation}"}.get(service, action)
    named = f'"{resource}"' if service == "s3" else resource
    is_explicit = refused.decision == "Deny"
    return str(
        iam_actions.identity_denial_message(spelled, refused.principal_arn, named, is_explicit)
    )


@replaces(iam_actions, "access_denied_response")
def respond(
    original: Original, *call: Any, error_code: str = "", message: str = "", **details: Any
) -> Any:
    """Return the response to a refused call: its message names the resource, as AWS's does."""
    if not error_code:  # the credentials are good
        message = message or message_of_refusal.get()
    return original(*call, error_code=error_code, message=message, **details)
