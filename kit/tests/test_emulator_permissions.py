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
PARAMETER = f"arn:aws:ssm:{ACCOUNT}:parameter"
KEY, DENIED = {"id": {"S": "1"}}, "AccessDeniedException"


class Caller:
    """A function that makes calls of AWS's, and the policy of its role."""

    def __init__(self, aws: str) -> None:
        self.aws, self.role = aws, make_role(aws)
        code = (ECHO / "caller.py").read_text(encoding="utf-8")
        self.function = make_function(aws, code, self.role)
        client(aws, "s3").create_bucket(Bucket="a-bucket")
        client(aws, "s3").put_object(Bucket="a-bucket", Key="a/b", Body="text")

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


JOBS = {"QueueUrl": "AWS/000000000000/jobs"}
NEWS = {"TopicArn": f"arn:aws:sns:{ACCOUNT}:news"}
BATCH = {"RequestItems": {"things": [{"PutRequest": {"Item": KEY}}]}}
SELECT = {"Statement": """SELECT * FROM "things" WHERE id = '1'"""}
NAMES = {"Names": ["/app/dev/key", "/app/dev/other:2"]}
# The code and the status of a refusal, where they are not DENIED and 400
REFUSALS = dict.fromkeys(("sqs", "s3", "sts"), ("AccessDenied", 403))
REFUSALS |= {"sns": ("AuthorizationError", 403), "ec2": ("UnauthorizedOperation", 403)}
REFUSALS |= {"lambda": (DENIED, 403)}


@pytest.mark.parametrize(
    ("call", "parameters", "permission"),
    [
        ("dynamodb.get_item", {"TableName": "things", "Key": KEY}, f"dynamodb:GetItem {TABLE}"),
        ("dynamodb.batch_write_item", BATCH, f"dynamodb:BatchWriteItem {TABLE}"),
        ("dynamodb.execute_statement", SELECT, f"dynamodb:PartiQLSelect {TABLE}"),
        (
            "dynamodbstreams.describe_stream",
            {"StreamArn": f"{TABLE}/stream/2026-01-01T00:00:00.000"},
            f"dynamodb:DescribeStream {TABLE}/stream/*",
        ),
        ("sqs.get_queue_url", {"QueueName": "jobs"}, f"sqs:GetQueueUrl arn:aws:sqs:{ACCOUNT}:jobs"),
        (
            "sqs.send_message_batch",
            JOBS | {"Entries": [{"Id": "1", "MessageBody": "text"}]},
            f"sqs:SendMessage arn:aws:sqs:{ACCOUNT}:jobs",
        ),
        (
            "sns.publish_batch",
            NEWS | {"PublishBatchRequestEntries": [{"Id": "1", "Message": "text"}]},
            f"sns:Publish {NEWS['TopicArn']}",
        ),
        ("s3.get_object", {"Bucket": "a-bucket", "Key": "a/b"}, f"s3:GetObject {BUCKET}/a/b"),
        ("s3.list_buckets", {}, "s3:ListAllMyBuckets *"),
        ("ssm.get_parameter", {"Name": "/app/key"}, f"ssm:GetParameter {PARAMETER}/app/key"),
        ("ssm.get_parameters", NAMES, f"ssm:GetParameters {PARAMETER}/app/dev/*"),
        ("ssm.get_parameters", {"Names": ["key:2"]}, f"ssm:GetParameters {PARAMETER}/key"),
        (
            "ssm.get_parameters_by_path",
            {"Path": "/app/dev"},
            f"ssm:GetParametersByPath {PARAMETER}/app/dev",
        ),
        (
            "ssm.get_parameters_by_path",
            {"Path": "/app/dev"},
            f"ssm:GetParametersByPath {PARAMETER}/app/dev/*",
        ),
        (
            "lambda.invoke",
            {"FunctionName": "other"},
            f"lambda:InvokeFunction arn:aws:lambda:{ACCOUNT}:function:other",
        ),
        (
            "logs.create_log_group",
            {"logGroupName": "/own"},
            f"logs:CreateLogGroup arn:aws:logs:{ACCOUNT}:log-group:/own:*",
        ),
        (
            "sts.assume_role",
            {"RoleArn": "arn:aws:iam::000000000000:role/other", "RoleSessionName": "me"},
            "sts:AssumeRole arn:aws:iam::000000000000:role/other",
        ),
        ("ec2.describe_instances", {}, "ec2:DescribeInstances *"),
    ],
)
def test_a_call_needs_a_permission(
    caller: Caller, call: str, parameters: dict[str, Any], permission: str
) -> None:
    service, operation = call.split(".")
    parameters = json.loads(json.dumps(parameters).replace("AWS/", f"{caller.aws}/"))
    action, resource = permission.split()
    code, status = REFUSALS.get(service, (DENIED, 400))
    caller.allow()
    refused, refused_status, message = caller.call(service, operation, **parameters)
    assert (refused, refused_status) == (code, status)
    assert "because no identity-based policy allows the " in message
    caller.allow({"Action": action, "Resource": resource})
    allowed, _, message = caller.call(service, operation, **parameters)
    assert allowed != code or "identity-based policy" not in message


@pytest.mark.parametrize(
    ("action", "call", "parameters", "allowed"),
    [
        # AWS knows which topic a subscription is of; the emulated AWS does not look it up
        ("sns:GetSubscription*", "sns.get_subscription_attributes", {"SubscriptionArn": "a"}, True),
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


def test_the_key_of_an_object_may_have_spaces(caller: Caller) -> None:
    client(caller.aws, "s3").put_object(Bucket="a-bucket", Key="a b", Body="text")
    caller.allow({"Action": "s3:GetObject", "Resource": f"{BUCKET}/*"})
    assert caller.call("s3", "get_object", Bucket="a-bucket", Key="a b")[1] == 200


def test_only_who_may_list_a_bucket_learns_that_an_object_is_not_there(caller: Caller) -> None:
    get = {"Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
    caller.allow(get)
    code, status, message = caller.call("s3", "get_object", Bucket="a-bucket", Key="none")
    assert (code, status) == ("AccessDenied", 403)
    assert f's3:ListBucket on resource: "{BUCKET}" because' in message
    caller.allow(get, {"Action": "s3:ListBucket", "Resource": BUCKET})
    code, status, _ = caller.call("s3", "get_object", Bucket="a-bucket", Key="none")
    assert (code, status) == ("NoSuchKey", 404)


def test_a_text_message_is_for_no_topic(caller: Caller) -> None:
    caller.allow({"Action": "sns:Publish", "Resource": NEWS["TopicArn"]})
    code, _, message = caller.call("sns", "publish", PhoneNumber="+15550100", Message="a")
    assert code == "AuthorizationError"
    assert "SNS:Publish on resource: +15550100" in message


def test_s3_quotes_the_resource(caller: Caller) -> None:
    caller.allow()
    _, _, message = caller.call("s3", "get_object", Bucket="a-bucket", Key="a")
    assert f's3:GetObject on resource: "{BUCKET}/a" because' in message


ITEM = {"TableName": "things", "Key": KEY}
DENY = {"Effect": "Deny", "Action": "dynamodb:Get*", "Resource": TABLE}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([{"Action": "dynamodb:*", "Resource": "*"}], True),
        ([{"Action": ["sqs:*", "dynamodb:get*"], "Resource": [BUCKET, f"{TABLE[:-2]}*"]}], True),
        ([{"NotAction": "sqs:*", "NotResource": BUCKET}], True),
        ([{"Action": "dynamodb:GetItem", "Resource": f"{TABLE}-other"}], False),
        ([{"NotAction": "dynamodb:*", "Resource": "*"}], False),
        ([{"Action": "*", "Resource": "*"}, DENY], False),
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


def create_queue(aws: str, key: str, secret: str, token: str | None = None) -> None:
    """Create a queue with somebody's credentials."""
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    sqs = SESSION.create_client("sqs", "us-east-1", endpoint_url=aws, **keys)
    sqs.create_queue(QueueName="theirs")


def test_a_role_of_your_account_is_not_known_and_may_do_everything(aws: str) -> None:
    role = {"Role": "arn:aws:iam::123456789012:role/mine"}
    function = make_function(aws, (ECHO / "caller.py").read_text(encoding="utf-8"), **role)
    listing = {"service": "s3", "operation": "list_buckets", "parameters": {}}
    assert invoke(aws, function, listing) == ["", 200, ""]
    queue = client(aws, "sqs").create_queue(QueueName="of-your-account")["QueueUrl"]
    source = f"arn:aws:sqs:{ACCOUNT}:{queue.rpartition('/')[2]}"
    client(aws, "lambda").create_event_source_mapping(FunctionName=function, EventSourceArn=source)
    with pytest.raises(ClientError, match="The role with name nobody cannot be found"):
        make_function(aws, "", role="nobody")


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
