"""What an IAM policy allows: actions and resources with wildcards, and Deny before Allow.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any


def as_list(value: Any) -> list[Any]:
    """Return a list; IAM also accepts a single value instead of a list."""
    return value if isinstance(value, list) else [value]


@cache
def glob(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    """Compile IAM's wildcards: `*` is any text, `/` and `:` included, and `?` is one character."""
    parts = re.split(r"([*?])", pattern)
    wildcards = {"*": ".*", "?": "."}
    text = "".join(wildcards.get(part) or re.escape(part) for part in parts)
    return re.compile(text, flags)


def applies(statement: Mapping[str, Any], key: str, value: str) -> bool:
    """Tell whether a statement's `key`, or its `Not...` form, names an action or a resource."""
    flags = re.IGNORECASE if key == "Action" else re.DOTALL
    negated = key not in statement
    patterns = as_list(statement.get(f"Not{key}" if negated else key, []))
    named = any(glob(str(pattern), flags).fullmatch(value) for pattern in patterns)
    return named != negated and bool(patterns)


def allows(policy: Mapping[str, Any], action: str, resource: str = "*") -> bool:
    """Tell whether a policy allows an action, such as `sqs:SendMessage`, on a resource's ARN.

    `*` is the resource of actions that have none. For several policies, put all their statements
    into one. Conditions are not evaluated: an Allow that has some applies, a Deny does not.
    """
    allowed = False
    for statement in as_list(policy.get("Statement", [])):
        if applies(statement, "Action", action) and applies(statement, "Resource", resource):
            if statement.get("Effect") == "Allow":
                allowed = True
            elif not statement.get("Condition"):
                return False
    return allowed


def allows_somewhere(policy: Mapping[str, Any], action: str, name: str) -> bool:
    """Tell whether a policy allows an action on a resource of the action's service.

    `name` is the end of its ARN, such as `log-group:/aws/lambda/app:*`. The partition, the region
    and the account are not known yet: any that the policy itself names will do.
    """
    service = action.partition(":")[0]
    places = {("aws", "us-east-1", "123456789012")}
    for statement in as_list(policy.get("Statement", [])):
        for pattern in as_list(statement.get("Resource", [])):
            arn, partition, _, region, account, *_ = f"{pattern}:::::".split(":")
            if arn == "arn":
                places.add((partition, region, account))
    return any(
        allows(policy, action, f"arn:{partition}:{service}:{region}:{account}:{name}")
        for partition, region, account in places
    )
