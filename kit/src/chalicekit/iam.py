"""What an IAM policy allows: actions and resources with wildcards, and Deny before Allow.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Mapping
from typing import Any


def as_list(value: Any) -> list[Any]:
    """Return a list; IAM also accepts a single value instead of a list."""
    return value if isinstance(value, list) else [value]


def allows(policy: Mapping[str, Any], action: str, resource: str = "*") -> bool:
    """Tell whether a policy allows an action, such as `sqs:SendMessage`, on a resource's ARN.

    `*` is the resource of actions that have none. For several policies, put all their statements
    into one. Conditions are not evaluated: an Allow that has some applies, a Deny does not.
    """
    return not denies(policy, action, resource) and any(
        statement.get("Effect") == "Allow"
        for statement in statements_about(policy, action, resource)
    )


def denies(policy: Mapping[str, Any], action: str, resource: str = "*") -> bool:
    """Tell whether a policy denies what it may also allow; a Deny with a condition does not."""
    return any(
        statement.get("Effect") == "Deny" and not statement.get("Condition")
        for statement in statements_about(policy, action, resource)
    )


def statements_about(policy: Mapping[str, Any], action: str, resource: str) -> list[dict[str, Any]]:
    """Return the statements of a policy that apply to an action on a resource."""
    return [
        statement
        for statement in as_list(policy.get("Statement", []))
        if applies(statement, "Action", action) and applies(statement, "Resource", resource)
    ]


def applies(statement: Mapping[str, Any], key: str, value: str) -> bool:
    """Tell whether a statement's `key`, or its `Not...` form, names an action or a resource."""
    if key in statement:
        return any(matches(str(pattern), value, key) for pattern in as_list(statement[key]))
    others = as_list(statement.get(f"Not{key}", []))
    return bool(others) and not any(matches(str(pattern), value, key) for pattern in others)


def matches(pattern: str, value: str, key: str) -> bool:
    """Tell whether IAM's wildcards fit: `*` is any text, `/` and `:` included, `?` a character."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    flags = re.IGNORECASE if key == "Action" else re.DOTALL
    return bool(re.fullmatch(expression, value, flags))


def allows_somewhere(policy: Mapping[str, Any], action: str, arn: str) -> bool:
    """Tell whether a policy allows an action on an ARN such as `arn:*:sqs:*:*:jobs`.

    Each `*` stands for what is not known before a deployment: any partition, region and account
    that the policy itself names will do. An ARN without them is taken as it is.
    """
    if not arn.startswith("arn:*:"):
        return allows(policy, action, arn)
    _, _, service, _, _, name = arn.split(":", 5)
    return any(
        allows(policy, action, f"arn:{partition}:{service}:{region}:{account}:{name}")
        for partition, region, account in places_named_in(policy)
    )


def places_named_in(policy: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    """Return the partition, region and account of each ARN in a policy, and of one more."""
    places = {("aws", "us-east-1", "123456789012")}
    for statement in as_list(policy.get("Statement", [])):
        for pattern in as_list(statement.get("Resource", [])):
            start, partition, _, region, account, *_ = f"{pattern}:::::".split(":")
            if start == "arn":
                places.add((partition, region, account))
    return places
