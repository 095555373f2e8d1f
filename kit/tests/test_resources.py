"""A stage's tables, queues and buckets are a stack of their own, and keep their data."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from chalicekit import resources
from chalicekit.aws import EmulatedSession
from chalicekit.project import Project
from tests.emulated import client
from tests.sample import TABLE, Sample, refusal

QUEUE = {
    "Type": "AWS::SQS::Queue",
    "Properties": {"QueueName": {"Fn::Sub": "${App}-${Stage}-jobs"}},
}
WRONG = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": "long"}}


class Shop(Sample):
    """A project with resources, whose stage dev is in the emulated AWS."""

    def __init__(self, folder: Path, aws: str, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder, aws)
        self.capsys, self.stack = capsys, f"{self.name}-dev-resources"

    def ensure(self) -> list[str]:
        """Bring the stack up; return the lines that are printed."""
        self.capsys.readouterr()
        resources.ensure(self.project())
        return self.capsys.readouterr().out.splitlines()

    def put(self) -> None:
        """Put an item into the table."""
        item = {"code": {"S": "a"}}
        client(self.aws, "dynamodb").put_item(TableName=f"{self.name}-dev-links", Item=item)

    def items(self) -> int:
        """Return how many items the table has, which must exist."""
        found = client(self.aws, "dynamodb").scan(TableName=f"{self.name}-dev-links")
        return int(found["Count"])

    def queue(self) -> str:
        """Return the URL of the queue, which must exist."""
        found = client(self.aws, "sqs").get_queue_url(QueueName=f"{self.name}-dev-jobs")
        return str(found["QueueUrl"])


@pytest.fixture
def shop(tmp_path: Path, aws: str, capsys: pytest.CaptureFixture[str]) -> Shop:
    """A project with a table and a queue."""
    shop = Shop(tmp_path / "shop", aws, capsys)
    shop.declare(Links=TABLE, Jobs=QUEUE)
    return shop


def test_a_project_without_the_file_has_no_stack(tmp_path: Path) -> None:
    project = Project(tmp_path, emulator="http://127.0.0.1:1")  # nobody is asked
    resources.ensure(project)
    assert resources.kept(project) == ""


def test_the_stack_is_created_and_updated(shop: Shop) -> None:
    shop.declare(Links=TABLE)
    assert shop.ensure() == [f"Creating stack: {shop.stack}"]
    shop.put()
    assert shop.ensure() == []
    change_sets = client(shop.aws, "cloudformation").list_change_sets(StackName=shop.stack)
    assert "FAILED" not in str(change_sets["Summaries"])  # that is one without changes
    shop.declare(Links=TABLE, Jobs=QUEUE)
    assert shop.ensure() == [f"Updating stack: {shop.stack}"]
    assert shop.items() == 1
    assert shop.queue()


def test_the_template_in_the_readme_makes_a_table(shop: Shop) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (template,) = [text for text in readme.split("```json\n") if '"Resources"' in text]
    shop.write(".chalice/resources.json", template.split("```")[0])
    shop.ensure()
    assert shop.items() == 0


def test_a_template_may_be_yaml_with_cloudformations_tags(shop: Shop) -> None:
    (shop.folder / ".chalice" / "resources.json").unlink()
    shop.write(
        ".chalice/resources.yaml",
        f"""\
Parameters: {{Stage: {{Type: String}}}}
Resources:
  Failed: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub "{shop.name}-${{Stage}}-failed"}}}}
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Join ["-", [{shop.name}, !Ref Stage, jobs]]
      RedrivePolicy: {{deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}}
  Policy:
    Type: AWS::SQS::QueuePolicy
    Properties: {{Queues: [!Ref Jobs], PolicyDocument: {{Version: 2012-10-17, Statement: []}}}}
""",
    )
    shop.ensure()
    wanted = {"QueueUrl": shop.queue(), "AttributeNames": ["RedrivePolicy"]}
    found = client(shop.aws, "sqs").get_queue_attributes(**wanted)["Attributes"]
    assert f":{shop.name}-dev-failed" in found["RedrivePolicy"]


@pytest.mark.parametrize("operation", ["CreateChangeSet", "ExecuteChangeSet", "DeleteStack"])
def test_a_rerun_continues_after_an_interruption(shop: Shop, operation: str) -> None:
    if operation == "DeleteStack":  # that is called for a stack whose creation failed
        shop.declare(Wrong=WRONG)
        refusal(shop.ensure)
        shop.declare(Links=TABLE)

    def end(**_: Any) -> None:
        raise KeyboardInterrupt

    interrupted = shop.project()
    interrupted.session.register(f"after-call.cloudformation.{operation}", end)
    with pytest.raises(KeyboardInterrupt):
        resources.ensure(interrupted)
    shop.ensure()
    assert (shop.ensure(), shop.items()) == ([], 0)


def test_a_change_that_would_delete_data_is_refused(shop: Shop) -> None:
    shop.ensure()
    shop.declare(Links=TABLE)
    file = ".chalice/resources.json"
    assert refusal(shop.ensure) == (
        f"{file} would delete {shop.name}-dev-jobs with its data. If you mean it: "
        f"`aws --endpoint-url {shop.aws} cloudformation deploy --stack-name {shop.stack} "
        f"--template-file {file} --parameter-overrides App={shop.name} Stage=dev`."
    )
    renamed = json.loads(json.dumps(QUEUE).replace("-jobs", "-tasks"))
    shop.declare(Links=TABLE, Jobs=renamed)  # which is another queue
    assert f"would delete {shop.name}-dev-jobs with its data" in refusal(shop.ensure)
    assert shop.queue()
    shop.put()
    shop.declare(Jobs=QUEUE)  # the template retains the table
    shop.ensure()
    assert shop.items() == 1


def test_the_data_of_a_deleted_stack_is_taken_over(shop: Shop) -> None:
    shop.declare(Links=TABLE)
    shop.ensure()
    shop.put()
    client(shop.aws, "cloudformation").delete_stack(StackName=shop.stack)  # it is not waited for
    taken = f"Taking over what exists: {shop.name}-dev-links"
    assert shop.ensure() == [taken, f"Creating stack: {shop.stack}"]
    assert shop.items() == 1


def test_a_failed_creation_says_what_failed_and_can_be_rerun(shop: Shop) -> None:
    shop.declare(Links=TABLE, Wrong=WRONG)
    assert refusal(shop.ensure).startswith(f"The stack {shop.stack} failed: Wrong: Invalid value")
    shop.declare(Links=TABLE)
    assert shop.ensure() == [f"Creating stack: {shop.stack}"]


def test_a_failed_update_leaves_what_there_was(shop: Shop) -> None:
    shop.ensure()
    shop.put()
    shop.declare(Links=TABLE, Jobs=QUEUE, Wrong=WRONG)
    assert refusal(shop.ensure).startswith(f"The stack {shop.stack} failed: Wrong: Invalid value")
    assert shop.items() == 1


def test_what_failed_first_in_an_operation_is_named() -> None:
    stacks, now = Mock(), {"ClientRequestToken": "now"}
    events = [  # the newest first
        {**now, "LogicalResourceId": "D", "ResourceStatus": "ROLLBACK_COMPLETE"},
        {**now, "LogicalResourceId": "C", "ResourceStatus": "CREATE_FAILED"},
        {**now, "LogicalResourceId": "B", "ResourceStatus": "CREATE_FAILED"},
        {"ClientRequestToken": "then", "LogicalResourceId": "A", "ResourceStatus": "CREATE_FAILED"},
    ]
    stacks.get_paginator().paginate().build_full_result.return_value = {"StackEvents": events}
    assert resources.failure(stacks, "id", "now") == "B: no reason is given"


@pytest.mark.parametrize(
    ("statuses", "is_new"),
    [
        (["DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"], True),
        (["UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"], False),
        (["REVIEW_IN_PROGRESS", "REVIEW_IN_PROGRESS"], True),  # it has only a change set
    ],
)
def test_what_is_under_way_in_a_stack_is_waited_for(
    tmp_path: Path, statuses: list[str], is_new: bool
) -> None:
    stacks, states = Mock(), [{"StackId": "id", "StackStatus": status} for status in statuses]
    stacks.describe_stacks.side_effect = [{"Stacks": [state]} for state in states]
    assert resources.settle(stacks, "name", Project(tmp_path)) == is_new


NO_RESOURCES = "is not a CloudFormation template: it has no Resources."


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("resources.json", "{", "cannot be read: Expecting property name"),
        ("resources.json", "[]", NO_RESOURCES),
        ("resources.json", '{"Resources": [1]}', NO_RESOURCES),
        ("resources.yaml", "[", "cannot be read: while parsing a flow node"),
        ("resources.yaml", "Resources: a: b", "cannot be read: mapping values are not allowed"),
    ],
)
def test_a_file_that_is_no_template_is_refused(
    tmp_path: Path, file: str, text: str, message: str
) -> None:
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / file).write_text(text)
    line = refusal(resources.ensure, Project(tmp_path))
    assert line.startswith(f".chalice/{file} {message}")


def test_a_kind_that_aws_does_not_know_is_refused(shop: Shop) -> None:
    shop.declare(Links={"Type": "AWS::No::Such"})
    assert refusal(shop.ensure).startswith("AWS refused: ")


def test_two_templates_are_refused(shop: Shop) -> None:
    shop.write(".chalice/resources.yaml", "")
    message = "Both resources.json and resources.yaml are in .chalice: keep one."
    assert refusal(shop.ensure) == message


def test_a_name_that_is_taken_is_refused(shop: Shop) -> None:
    shop.ensure()
    other = Shop(shop.folder / "other", shop.aws, shop.capsys)
    other.declare(Links=json.loads(json.dumps(TABLE).replace("${App}", shop.name)))
    assert f"{shop.name}-dev-links already exists in stack" in refusal(other.ensure)


def test_a_busy_stack_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = {"ResourceSignal": {"Timeout": "PT1M"}}
    waiting = {"Type": "AWS::CloudFormation::WaitCondition", "CreationPolicy": policy}
    template = json.dumps({"Resources": {"Wait": waiting}})
    client(shop.aws, "cloudformation").create_stack(StackName=shop.stack, TemplateBody=template)
    monkeypatch.setattr(resources, "BUSY_SECONDS", 0)
    assert refusal(shop.ensure) == (
        f"The stack {shop.stack} is busy (CREATE_IN_PROGRESS): run "
        f"`{shop.project().command('deploy')}` when it has finished."
    )


def test_delete_says_what_is_kept(shop: Shop) -> None:
    emulated = shop.project()
    account = Project(shop.folder, configured=EmulatedSession(shop.aws))
    assert (resources.kept(emulated), resources.kept(account)) == ("", "")
    shop.ensure()
    kept = f"The stack {shop.stack} is kept with its data"
    assert resources.kept(emulated) == f"{kept}, until the emulator ends."
    assert resources.kept(account) == (
        f"{kept}. To delete it: `aws cloudformation delete-stack --stack-name {shop.stack}`, then "
        "each resource that its DeletionPolicy retains."
    )


def test_an_app_may_have_a_name_that_a_stack_may_not_have(shop: Shop) -> None:
    shop.name = shop.name.replace("-", "_")
    shop.configure(app_name=shop.name)
    shop.ensure()
    assert shop.queue()
