"""What a function may do in the emulated AWS: what its role's policy allows, as on AWS."""

import json
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

ACCOUNT = "us-east-1:000000000000"
TABLE, BUCKET = f"arn:aws:dynamodb:{ACCOUNT}:table/things", "arn:aws:s3:::a-bucket"
KEY, DENIED = {"id": {"S": "1"}}, "AccessDeniedException"


class Caller:
    """A function that makes calls of AWS's, and the policy of its role."""

    def __init__(self, aws: str) -> None:
        self.aws, self.role = aws, make_role(aws)
        code = (ECHO / "caller.py").read_text(encoding="utf-8")
        self.function = make_function(aws, code, self.role)
        client(aws, "s3").create_bucket(Bucket="a-bucket")

    def allow(self, *statements: dict[str, Any]) -> None:
        """Set the policy."""
        set_policy(self.aws, self.role, *statements)

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """Let the function make a call; return the code, status and message of its error."""
        event = {"service": service, "operation": operation, "parameters": parameters}
        return invoke(self.aws, self.function, event)


@pytest.fixture(scope="module")
def caller(aws: str) -> Caller:
    """A function that makes calls."""
    return Caller(aws)


@pytest.mark.parametrize(
    ("call", "parameters", "permission", "code", "status"),
    [
        (
            "dynamodb.get_item",
            {"TableName": "things", "Key": KEY},
            f"dynamodb:GetItem {TABLE}",
            DENIED,
            400,
        ),
        (
            "dynamodb.put_item",
            {"TableName": "things", "Item": KEY},
            f"dynamodb:PutItem {TABLE}",
            DENIED,
            400,
        ),
        (
            "dynamodb.query",
            {"TableName": "things", "IndexName": "by-name", "KeyConditionExpression": "id = id"},
            f"dynamodb:Query {TABLE}/index/by-name",
            DENIED,
            400,
        ),
        (
            "dynamodb.batch_write_item",
            {"RequestItems": {"things": [{"PutRequest": {"Item": KEY}}]}},
            f"dynamodb:BatchWriteItem {TABLE}",
            DENIED,
            400,
        ),
        (
            "dynamodb.transact_write_items",
            {"TransactItems": [{"Delete": {"TableName": "things", "Key": KEY}}]},
            f"dynamodb:DeleteItem {TABLE}",
            DENIED,
            400,
        ),
        (
            "dynamodbstreams.describe_stream",
            {"StreamArn": f"{TABLE}/stream/2026-01-01T00:00:00.000"},
            f"dynamodb:DescribeStream {TABLE}/stream/*",
            DENIED,
            400,
        ),
        (
            "dynamodb.execute_statement",
            {"Statement": """SELECT * FROM "things" WHERE id = '1'"""},
            f"dynamodb:PartiQLSelect {TABLE}",
            DENIED,
            400,
        ),
        (
            "sqs.send_message_batch",
            {"QueueUrl": "AWS/000000000000/jobs", "Entries": [{"Id": "1", "MessageBody": "text"}]},
            f"sqs:SendMessage arn:aws:sqs:{ACCOUNT}:jobs",
            "AccessDenied",
            403,
        ),
        (
            "sqs.send_message",
            {"QueueUrl": "AWS/000000000000/jobs", "MessageBody": "text"},
            f"sqs:SendMessage arn:aws:sqs:{ACCOUNT}:jobs",
            "AccessDenied",
            403,
        ),
        (
            "sqs.get_queue_url",
            {"QueueName": "jobs"},
            f"sqs:GetQueueUrl arn:aws:sqs:{ACCOUNT}:jobs",
            "AccessDenied",
            403,
        ),
        (
            "sns.publish_batch",
            {
                "TopicArn": f"arn:aws:sns:{ACCOUNT}:news",
                "PublishBatchRequestEntries": [{"Id": "1", "Message": "text"}],
            },
            f"sns:Publish arn:aws:sns:{ACCOUNT}:news",
            "AuthorizationError",
            403,
        ),
        (
            "sns.publish",
            {"TopicArn": f"arn:aws:sns:{ACCOUNT}:news", "Message": "text"},
            f"sns:Publish arn:aws:sns:{ACCOUNT}:news",
            "AuthorizationError",
            403,
        ),
        (
            "s3.get_object",
            {"Bucket": "a-bucket", "Key": "a/b"},
            f"s3:GetObject {BUCKET}/a/b",
            "AccessDenied",
            403,
        ),
        (
            "s3.head_object",
            {"Bucket": "a-bucket", "Key": "a"},
            f"s3:GetObject {BUCKET}/a",
            "403",
            403,
        ),
        (
            "s3.put_object",
            {"Bucket": "a-bucket", "Key": "a", "Body": "text"},
            f"s3:PutObject {BUCKET}/a",
            "AccessDenied",
            403,
        ),
        (
            "s3.create_multipart_upload",
            {"Bucket": "a-bucket", "Key": "a"},
            f"s3:PutObject {BUCKET}/a",
            "AccessDenied",
            403,
        ),
        (
            "s3.list_objects_v2",
            {"Bucket": "a-bucket"},
            f"s3:ListBucket {BUCKET}",
            "AccessDenied",
            403,
        ),
        ("s3.head_bucket", {"Bucket": "a-bucket"}, f"s3:ListBucket {BUCKET}", "403", 403),
        ("s3.list_buckets", {}, "s3:ListAllMyBuckets *", "AccessDenied", 403),
        (
            "secretsmanager.get_secret_value",
            {"SecretId": "password"},
            f"secretsmanager:GetSecretValue arn:aws:secretsmanager:{ACCOUNT}:secret:password*",
            DENIED,
            400,
        ),
        (
            "ssm.get_parameter",
            {"Name": "/app/dev/key"},
            f"ssm:GetParameter arn:aws:ssm:{ACCOUNT}:parameter/app/dev/key",
            DENIED,
            400,
        ),
        (
            "ssm.get_parameters",
            {"Names": ["/app/dev/key", "/app/dev/other:2"]},
            f"ssm:GetParameters arn:aws:ssm:{ACCOUNT}:parameter/app/dev/*",
            DENIED,
            400,
        ),
        (
            "ssm.get_parameters",
            {"Names": ["key:2"]},
            f"ssm:GetParameters arn:aws:ssm:{ACCOUNT}:parameter/key",
            DENIED,
            400,
        ),
        (
            "ssm.get_parameters_by_path",
            {"Path": "/app/dev"},
            f"ssm:GetParametersByPath arn:aws:ssm:{ACCOUNT}:parameter/app/dev",
            DENIED,
            400,
        ),
        (
            "ssm.get_parameters_by_path",
            {"Path": "/app/dev"},
            f"ssm:GetParametersByPath arn:aws:ssm:{ACCOUNT}:parameter/app/dev/*",
            DENIED,
            400,
        ),
        (
            "lambda.invoke",
            {"FunctionName": "other"},
            f"lambda:InvokeFunction arn:aws:lambda:{ACCOUNT}:function:other",
            DENIED,
            403,
        ),
        (
            "events.put_events",
            {"Entries": [{"Source": "app", "DetailType": "made", "Detail": "{}"}]},
            f"events:PutEvents arn:aws:events:{ACCOUNT}:event-bus/default",
            DENIED,
            400,
        ),
        (
            "kinesis.put_record",
            {"StreamName": "clicks", "Data": "x", "PartitionKey": "x"},
            f"kinesis:PutRecord arn:aws:kinesis:{ACCOUNT}:stream/clicks",
            DENIED,
            400,
        ),
        (
            "stepfunctions.start_execution",
            {"stateMachineArn": f"arn:aws:states:{ACCOUNT}:stateMachine:steps"},
            f"states:StartExecution arn:aws:states:{ACCOUNT}:stateMachine:steps",
            DENIED,
            400,
        ),
        (
            "logs.create_log_group",
            {"logGroupName": "/own"},
            f"logs:CreateLogGroup arn:aws:logs:{ACCOUNT}:log-group:/own:*",
            DENIED,
            400,
        ),
        (
            "sts.assume_role",
            {"RoleArn": "arn:aws:iam::000000000000:role/other", "RoleSessionName": "me"},
            "sts:AssumeRole arn:aws:iam::000000000000:role/other",
            "AccessDenied",
            403,
        ),
        (
            "ses.send_email",
            {
                "Source": "a@b.c",
                "Destination": {},
                "Message": {"Subject": {"Data": ""}, "Body": {}},
            },
            f"ses:SendEmail arn:aws:ses:{ACCOUNT}:identity/a@b.c",
            "AccessDenied",
            403,
        ),
        (
            "sesv2.send_email",
            {
                "FromEmailAddress": "a@b.c",
                "Content": {"Simple": {"Subject": {"Data": ""}, "Body": {}}},
            },
            f"ses:SendEmail arn:aws:ses:{ACCOUNT}:identity/b.c",
            DENIED,
            403,
        ),
        (
            "cognito-idp.admin_get_user",
            {"UserPoolId": "us-east-1_abcdefghi", "Username": "me"},
            f"cognito-idp:AdminGetUser arn:aws:cognito-idp:{ACCOUNT}:userpool/us-east-1_abcdefghi",
            DENIED,
            400,
        ),
        ("iam.list_roles", {}, "iam:ListRoles *", "AccessDenied", 403),
        ("cloudformation.list_stacks", {}, "cloudformation:ListStacks *", "AccessDenied", 403),
        ("ec2.describe_instances", {}, "ec2:DescribeInstances *", "UnauthorizedOperation", 403),
    ],
)
def test_a_call_needs_a_permission(
    caller: Caller, call: str, parameters: dict[str, Any], permission: str, code: str, status: int
) -> None:
    service, operation = call.split(".")
    parameters = json.loads(json.dumps(parameters).replace("AWS/", f"{caller.aws}/"))
    action, resource = permission.split()
    caller.allow()
    refused, refused_status, message = caller.call(service, operation, **parameters)
    assert (refused, refused_status) == (code, status)
    assert code == "403" or "because no identity-based policy allows the " in message
    caller.allow({"Action": action, "Resource": resource})
    allowed, _, message = caller.call(service, operation, **parameters)
    assert allowed != code or "identity-based policy" not in message


@pytest.mark.parametrize(
    ("action", "call", "parameters", "allowed"),
    [
        # AWS knows which topic a subscription is of; the emulated AWS does not look it up
        (
            "sns:GetSubscriptionAttributes",
            "sns.get_subscription_attributes",
            {"SubscriptionArn": "a"},
            True,
        ),
        ("sns:Publish", "sns.get_subscription_attributes", {"SubscriptionArn": "a"}, False),
        # These have no resource on AWS: only `"Resource": "*"` allows them
        ("dynamodb:ListTables", "dynamodb.list_tables", {}, False),
        ("s3:ListAllMyBuckets", "s3.list_buckets", {}, False),
        ("cloudwatch:PutMetricData", "cloudwatch.put_metric_data", {"Namespace": "a"}, False),
    ],
)
def test_a_call_that_names_no_resource(
    caller: Caller, action: str, call: str, parameters: dict[str, Any], allowed: bool
) -> None:
    caller.allow({"Action": action, "Resource": "arn:aws:any:any:any:thing"})
    _, _, message = caller.call(*call.split("."), **parameters)
    assert ("because no identity-based policy allows" not in message) == allowed


def test_s3_quotes_the_resource(caller: Caller) -> None:
    caller.allow()
    _, _, message = caller.call("s3", "get_object", Bucket="a-bucket", Key="a")
    assert f's3:GetObject on resource: "{BUCKET}/a" because' in message


ITEM = {"TableName": "things", "Key": KEY}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([{"Action": "dynamodb:*", "Resource": "*"}], True),
        ([{"Action": ["sqs:*", "dynamodb:Get*"], "Resource": [BUCKET, f"{TABLE[:-2]}*"]}], True),
        ([{"Action": "dynamodb:getitem", "Resource": TABLE}], True),
        ([{"NotAction": "sqs:*", "Resource": TABLE}], True),
        ([{"Action": "dynamodb:GetItem", "NotResource": BUCKET}], True),
        ([{"Action": "dynamodb:GetItem", "Resource": f"{TABLE}-other"}], False),
        ([{"Action": "dynamodb:GetItem", "Resource": f"{TABLE}/*"}], False),
        ([{"Action": "dynamodb:PutItem", "Resource": TABLE}], False),
        ([{"NotAction": "dynamodb:*", "Resource": "*"}], False),
        ([{"Action": "dynamodb:GetItem", "NotResource": TABLE}], False),
        (
            [
                {"Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "dynamodb:Get*", "Resource": TABLE},
            ],
            False,
        ),
    ],
)
def test_a_policy_is_read_as_on_aws(
    caller: Caller, statements: list[dict[str, Any]], allowed: bool
) -> None:
    caller.allow(*statements)
    code, *_ = caller.call("dynamodb", "get_item", **ITEM)
    assert code == ("ResourceNotFoundException" if allowed else DENIED)


def test_a_refusal_is_in_the_function_s_log(caller: Caller) -> None:
    caller.allow()
    _, _, message = caller.call("dynamodb", "get_item", **ITEM)
    assert f"dynamodb:GetItem on resource: {TABLE} because no identity-based policy" in message
    line = f"The policy of the role {caller.role} does not allow dynamodb:GetItem on {TABLE}."
    assert line in log_of(caller.aws, caller.function)


def test_a_function_calls_with_its_role(caller: Caller, aws: str) -> None:
    code = "import boto3\ndef handler(*_): return boto3.client('sts').get_caller_identity()['Arn']"
    function = make_function(aws, code, caller.role)
    identity = f"arn:aws:sts::000000000000:assumed-role/{caller.role}/{function}"
    assert invoke(aws, function, {}) == identity


@pytest.mark.parametrize("key", ["test", "AKIAIOSFODNN7EXAMPLE", "000000000000"])
def test_you_may_do_everything_with_any_credentials(aws: str, key: str) -> None:
    credentials = {"aws_access_key_id": key, "aws_secret_access_key": "any"}
    sqs = SESSION.create_client("sqs", "us-east-1", endpoint_url=aws, **credentials)
    assert sqs.create_queue(QueueName="yours")["QueueUrl"]


def test_a_user_that_you_make_has_its_own_permissions(aws: str) -> None:
    iam = client(aws, "iam")
    iam.create_user(UserName="me")
    key = iam.create_access_key(UserName="me")["AccessKey"]
    sqs = SESSION.create_client(
        "sqs",
        "us-east-1",
        endpoint_url=aws,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.create_queue(QueueName="theirs")


def test_a_role_that_was_assumed_has_its_own_permissions(aws: str) -> None:
    role = f"arn:aws:iam::000000000000:role/{make_role(aws)}"
    keys = client(aws, "sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    credentials = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }
    sqs = SESSION.create_client("sqs", "us-east-1", endpoint_url=aws, **credentials)
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.create_queue(QueueName="theirs")


@pytest.mark.parametrize(
    ("actions", "missing"),
    [
        ([], "ReceiveMessage"),
        (["sqs:ReceiveMessage"], "DeleteMessage"),
        (["sqs:ReceiveMessage", "sqs:DeleteMessage"], "GetQueueAttributes"),
        (["sqs:*"], ""),
    ],
)
def test_a_queue_needs_a_role_that_may_read_it(
    caller: Caller, actions: list[str], missing: str
) -> None:
    queue = client(caller.aws, "sqs").create_queue(QueueName="read")["QueueUrl"]
    source = f"arn:aws:sqs:{ACCOUNT}:read"
    caller.allow({"Action": actions or "logs:*", "Resource": source})
    functions, refusal = client(caller.aws, "lambda"), ""
    try:
        functions.create_event_source_mapping(FunctionName=caller.function, EventSourceArn=source)
    except ClientError as error:
        refusal = str(error)
    permissions = f"The provided execution role does not have permissions to call {missing} on SQS"
    assert (permissions in refusal) if missing else not refusal
    client(caller.aws, "sqs").delete_queue(QueueUrl=queue)


@pytest.mark.parametrize("service", ["kinesis", "dynamodb"])
def test_a_stream_needs_a_role_that_may_read_it(caller: Caller, service: str) -> None:
    caller.allow({"Action": f"{service}:GetRecords", "Resource": "*"})
    name = "stream/clicks" if service == "kinesis" else "table/things/stream/2026"
    with pytest.raises(ClientError, match="Cannot access stream"):
        client(caller.aws, "lambda").create_event_source_mapping(
            FunctionName=caller.function,
            EventSourceArn=f"arn:aws:{service}:{ACCOUNT}:{name}",
            StartingPosition="LATEST",
        )
