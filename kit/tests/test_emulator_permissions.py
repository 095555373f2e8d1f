"""What a function may do in the emulated AWS: what its role's policy allows, as on AWS."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulated import (
    ECHO,
    SESSION,
    client,
    invoke,
    log_of,
    make_function,
    make_role,
    set_policy,
)

RULE = "arn:aws:events:us-east-1:000000000000:rule/r"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:jobs"
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
PARAMETER = "arn:aws:ssm:us-east-1:000000000000:parameter/app/key"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:other"
BUCKET = "arn:aws:s3:::a-bucket"
CALLER = (ECHO / "caller.py").read_text(encoding="utf-8")


class Caller:
    """A function that makes calls of AWS's, and the policy of its role."""

    def __init__(self, aws: str) -> None:
        self.aws, self.role = aws, make_role(aws)
        self.function = make_function(aws, CALLER, self.role)
        client(aws, "s3").create_bucket(Bucket="a-bucket")
        client(aws, "s3").put_object(Bucket="a-bucket", Key="a b", Body="text")

    def allow(self, *statements: dict[str, Any]) -> None:
        """Set the policy."""
        set_policy(self.aws, self.role, *statements)

    def call(self, operation: str, **parameters: Any) -> str:
        """Let the function call SERVICE.OPERATION; return its error, or "" if it has none."""
        service, name = operation.split(".")
        event = {"service": service, "operation": name, "parameters": parameters}
        return str(invoke(self.aws, self.function, event))


@pytest.fixture(scope="module")
def caller(aws: str) -> Caller:
    """A function that makes calls."""
    return Caller(aws)


KEY = {"id": {"S": "1"}}
ITEM = {"TableName": "things", "Key": KEY}
ITEMS = {"RequestItems": {"things": [{"PutRequest": {"Item": KEY}}]}}
JOBS = {"QueueUrl": "any/000000000000/jobs", "Entries": [{"Id": "1", "MessageBody": "text"}]}
NEWS = {"TopicArn": TOPIC, "PublishBatchRequestEntries": [{"Id": "1", "Message": "text"}]}
OBJECT = {"Bucket": "a-bucket", "Key": "a b"}


@pytest.mark.parametrize(
    ("call", "parameters", "allowed_action", "resource", "action_in_message"),
    [
        ("dynamodb.get_item", ITEM, "dynamodb:GetItem", TABLE, "dynamodb:GetItem"),
        ("dynamodb.batch_write_item", ITEMS, "dynamodb:Batch*", TABLE, "dynamodb:BatchWriteItem"),
        ("sqs.send_message_batch", JOBS, "sqs:SendMessage", QUEUE, "sqs:sendmessage"),
        ("sns.publish_batch", NEWS, "sns:Publish", TOPIC, "SNS:Publish"),
        ("s3.get_object", OBJECT, "s3:GetObject", f"{BUCKET}/a b", "s3:GetObject"),
        ("ssm.get_parameter", {"Name": "/app/key"}, "ssm:*", PARAMETER, "ssm:GetParameter"),
        ("events.describe_rule", {"Name": "r"}, "events:*", RULE, "events:DescribeRule"),
        ("lambda.invoke", {"FunctionName": "other"}, "*", FUNCTION, "lambda:InvokeFunction"),
    ],
)
def test_a_call_needs_a_permission(
    caller: Caller,
    call: str,
    parameters: dict[str, Any],
    allowed_action: str,
    resource: str,
    action_in_message: str,
) -> None:
    caller.allow()
    error = caller.call(call, **parameters).replace('"', "")  # S3 quotes the resource
    assert (
        f" is not authorized to perform: {action_in_message} on resource: {resource} "
        f"because no identity-based policy allows the {action_in_message} action"
    ) in error
    caller.allow({"Action": allowed_action, "Resource": resource})
    assert "is not authorized" not in caller.call(call, **parameters)


def test_a_refusal_is_in_the_function_s_log(caller: Caller) -> None:
    caller.allow()
    caller.call("dynamodb.get_item", **ITEM)
    line = f"The policy of the role {caller.role} does not allow dynamodb:GetItem on {TABLE}."
    assert line in log_of(caller.aws, caller.function)


DENY = {"Effect": "Deny", "Action": "dynamodb:Get*", "Resource": TABLE}


@pytest.mark.parametrize(
    ("statements", "error"),
    [
        ([{"Action": "dynamodb:*", "Resource": "*"}], "(ResourceNotFoundException)"),
        ([{"NotAction": "sqs:*", "NotResource": BUCKET}], "(ResourceNotFoundException)"),
        ([{"Action": "dynamodb:GetItem", "Resource": f"{TABLE}-other"}], "no identity-based"),
        ([{"Action": "*", "Resource": "*"}, DENY], "with an explicit deny in an identity-based"),
    ],
)
def test_a_policy_is_read_as_on_aws(
    caller: Caller, statements: list[dict[str, Any]], error: str
) -> None:
    caller.allow(*statements)
    assert error in caller.call("dynamodb.get_item", **ITEM)


@pytest.mark.parametrize(
    ("statements", "is_allowed"),
    [
        ([{"Action": "ssm:GetParameters", "Resource": PARAMETER}], True),
        ([{"Action": "ssm:GetParameter", "Resource": PARAMETER}], False),
        ([{"Action": "*", "Resource": PARAMETER}, DENY | {"Action": "*", "Resource": "*"}], False),
    ],
)
def test_a_call_whose_resource_is_not_known_needs_a_permission_for_any(
    caller: Caller, statements: list[dict[str, Any]], is_allowed: bool
) -> None:
    caller.allow(*statements)
    error = caller.call("ssm.get_parameters", Names=["/app/key"])
    assert ("is not authorized to perform: ssm:GetParameters" not in error) == is_allowed


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("dynamodb.list_tables", "dynamodb:ListTables"),
        ("sqs.list_queues", "sqs:ListQueues"),
        ("s3.list_buckets", "s3:ListAllMyBuckets"),
    ],
)
def test_a_call_without_a_resource_needs_a_permission_for_all(
    caller: Caller, call: str, action: str
) -> None:
    caller.allow({"Action": "*", "Resource": [TABLE, QUEUE, BUCKET]})
    assert "AccessDenied" in caller.call(call)
    caller.allow({"Action": action, "Resource": "*"})
    assert caller.call(call) == ""


def test_only_who_may_list_a_bucket_learns_that_an_object_is_not_there(caller: Caller) -> None:
    get = {"Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
    caller.allow(get)
    error = caller.call("s3.get_object", Bucket="a-bucket", Key="none")
    assert f's3:ListBucket on resource: "{BUCKET}" because' in error
    caller.allow(get, {"Action": "s3:ListBucket", "Resource": BUCKET})
    assert "(NoSuchKey)" in caller.call("s3.get_object", Bucket="a-bucket", Key="none")


def test_a_function_calls_with_its_role(caller: Caller, aws: str) -> None:
    code = "import boto3\ndef handler(*_): return boto3.client('sts').get_caller_identity()['Arn']"
    function = make_function(aws, code, caller.role)
    identity = f"arn:aws:sts::000000000000:assumed-role/{caller.role}/{function}"
    assert invoke(aws, function, {}) == identity


def test_a_role_of_your_account_is_not_known_and_may_do_everything(aws: str) -> None:
    role = {"Role": "arn:aws:iam::123456789012:role/mine"}
    listing = {"service": "s3", "operation": "list_buckets", "parameters": {}}
    assert invoke(aws, make_function(aws, CALLER, **role), listing) == ""


def create_queue(aws: str, key: str, secret: str, token: str | None = None) -> None:
    """Create a queue with somebody's credentials."""
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    sqs = SESSION.create_client("sqs", "us-east-1", endpoint_url=aws, **keys)
    sqs.create_queue(QueueName="of-somebody")


@pytest.mark.parametrize("key", ["test", "AKIAIOSFODNN7EXAMPLE", "000000000000"])
def test_you_may_do_everything_with_any_credentials(aws: str, key: str) -> None:
    create_queue(aws, key, "any")


def test_a_user_and_a_role_that_you_make_have_their_own_permissions(aws: str) -> None:
    client(aws, "iam").create_user(UserName="me")
    user = client(aws, "iam").create_access_key(UserName="me")["AccessKey"]
    role = f"arn:aws:iam::000000000000:role/{make_role(aws)}"
    session = client(aws, "sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    for keys in (user, session):
        token = keys.get("SessionToken")
        with pytest.raises(ClientError, match="AccessDenied"):
            create_queue(aws, keys["AccessKeyId"], keys["SecretAccessKey"], token)
