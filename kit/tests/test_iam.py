"""A policy allows what IAM would allow, conditions aside."""

from typing import Any

import pytest

from chalicekit.iam import allows, allows_somewhere

QUEUE = "arn:aws:sqs:us-east-1:123456789012:jobs"
ALL: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY = ALL | {"Effect": "Deny"}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        (ALL, True),  # a single one instead of a list
        ([ALL | {"Action": ["s3:*", "SQS:sendmessage"]}], True),
        ([ALL | {"Action": "sqs:SendMessag?"}], True),
        ([ALL | {"Action": "sqs:Send"}], False),
        ([ALL | {"Action": "sqs:[S]endMessage"}], False),  # no wildcard of IAM
        ([ALL | {"Resource": ["arn:*:sqs:*:jobs"]}], True),
        ([ALL | {"Resource": QUEUE.upper()}], False),
        ([{"Effect": "Allow", "NotAction": "sqs:Delete*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": "sqs:*", "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "*:other"}], True),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "*:jobs"}], False),
        ([{"Effect": "Allow", "Action": "*"}], False),
        ([ALL, DENY | {"Action": "sqs:*"}], False),
        ([DENY | {"Resource": "*:jobs"}, ALL], False),
        ([ALL, DENY | {"Condition": {"Bool": {}}}], True),
        ([DENY | {"Condition": {"Bool": {}}}], False),
        ([ALL | {"Condition": {"Bool": {}}}], True),
    ],
)
def test_what_a_policy_allows(statements: Any, allowed: bool) -> None:
    assert allows({"Statement": statements}, "sqs:SendMessage", QUEUE) is allowed


def test_an_action_without_a_resource_needs_a_statement_about_everything() -> None:
    assert allows({"Statement": ALL}, "sqs:ListQueues")
    assert not allows({"Statement": ALL | {"Resource": QUEUE}}, "sqs:ListQueues")


@pytest.mark.parametrize(
    ("resource", "allowed"),
    [
        ("*", True),
        ("arn:aws-cn:sqs:eu-*:999999999999:j*", True),
        ("arn:aws:*", True),
        ("arn:aws:s3:::jobs", False),
        ("arn:aws:sqs:eu-west-1:999999999999:other", False),
    ],
)
def test_the_region_and_the_account_are_those_that_the_policy_names(
    resource: str, allowed: bool
) -> None:
    policy = {"Statement": [ALL | {"Resource": resource}]}
    assert allows_somewhere(policy, "sqs:SendMessage", "arn:*:sqs:*:*:jobs") is allowed


@pytest.mark.parametrize("resource", ["*", "arn:*:sqs:*:*:*", "arn:aws:sqs:*:*:jobs"])
def test_what_is_denied_is_allowed_nowhere(resource: str) -> None:
    policy = {"Statement": [ALL, DENY | {"Resource": resource}]}
    assert not allows_somewhere(policy, "sqs:SendMessage", "arn:*:sqs:*:*:jobs")


def test_a_whole_arn_is_taken_as_it_is() -> None:
    policy = {"Statement": [ALL | {"Resource": "arn:aws:sqs:eu-west-1:999999999999:jobs"}]}
    assert not allows_somewhere(policy, "sqs:SendMessage", QUEUE)
