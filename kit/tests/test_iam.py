"""A policy allows what IAM would allow, conditions aside."""

from typing import Any

import pytest

from chalicekit.iam import allows, allows_somewhere

QUEUE = "arn:aws:sqs:us-east-1:123456789012:jobs"


def statement(effect: str = "Allow", **keys: Any) -> dict[str, Any]:
    """Return a statement about everything, unless `keys` say otherwise."""
    about = {"Action": "*"} if "NotAction" not in keys else {}
    about |= {"Resource": "*"} if "NotResource" not in keys else {}
    return {"Effect": effect, **about, **keys}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        (statement(), True),  # a single one instead of a list
        ([statement(Action="sqs:SendMessage")], True),
        ([statement(Action=["s3:*", "SQS:sendmessage"])], True),
        ([statement(Action="sqs:Send*")], True),
        ([statement(Action="sqs:SendMessag?")], True),
        ([statement(Action="sqs:Send")], False),
        ([statement(Action="sqs:[S]endMessage")], False),  # no wildcard of IAM
        ([statement(Resource=["arn:*:sqs:*:jobs"])], True),
        ([statement(Resource="arn:aws:sqs:*:*:job?")], True),
        ([statement(Resource=QUEUE.upper())], False),
        ([statement(Resource=[])], False),
        ([statement(NotAction="sqs:Delete*")], True),
        ([statement(NotAction="sqs:*")], False),
        ([statement(NotResource="*:other")], True),
        ([statement(NotResource="*:jobs")], False),
        ([statement(), statement("Deny", Action="sqs:*")], False),
        ([statement("Deny", Resource="*:jobs"), statement()], False),
        ([statement(), statement("Deny", NotResource="*:jobs")], True),
        ([statement(), statement("Deny", Condition={"Bool": {}})], True),
        ([statement(Condition={"Bool": {}})], True),
    ],
)
def test_what_a_policy_allows(statements: Any, allowed: bool) -> None:
    assert allows({"Statement": statements}, "sqs:SendMessage", QUEUE) is allowed


def test_an_action_without_a_resource_needs_a_statement_about_everything() -> None:
    assert allows({"Statement": statement()}, "sqs:ListQueues")
    assert not allows({"Statement": statement(Resource=QUEUE)}, "sqs:ListQueues")


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True),
        ("arn:aws:sqs:*:*:jobs", True),
        ("arn:aws:sqs:eu-west-1:999999999999:jobs", True),
        ("arn:aws-cn:sqs:eu-*:999999999999:j*", True),
        ("arn:aws:*", True),
        ("arn:aws:s3:::jobs", False),
        ("arn:aws:sqs:eu-west-1:999999999999:other", False),
    ],
)
def test_the_region_and_the_account_are_those_that_the_policy_names(
    resource: str, allowed: bool
) -> None:
    policy = {"Statement": [statement(Resource=resource)]}
    assert allows_somewhere(policy, "sqs:SendMessage", "jobs") is allowed


@pytest.mark.parametrize("resource", ["*", "arn:*:sqs:*:*:*", "arn:aws:sqs:*:*:jobs"])
def test_what_is_denied_is_allowed_nowhere(resource: str) -> None:
    deny = statement("Deny", Action="sqs:Send*", Resource=resource)
    assert not allows_somewhere({"Statement": [statement(), deny]}, "sqs:SendMessage", "jobs")
