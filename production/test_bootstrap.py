"""The bootstrap stack: who may take which role, and what the role may do."""

import json
import re
from typing import Any, NamedTuple

import pytest
from cfnlint.decode import decode

from chalicekit.iam import allows
from chalicekit.pytest_plugin import EmulatedAws
from production.shared import APP, PROJECT, outputs_of, properties_by_name, read


def compact(name: str) -> str:
    """Return a file as docs/production.md gives it to a parameter: of 4096 characters at most."""
    return re.sub(r"[ \n]", "", read(name))


PARAMETERS = {
    "Repository": "OWNER@1/NAME@2",
    "OidcProviderArn": "any",
    "DevPolicy": compact(".chalice/policy-dev.json"),
    "ProdPolicy": compact(".chalice/policy-prod.json"),
    "DeployerPolicy": compact("production/deployer-policy.json"),
}


class Role(NamedTuple):
    """A role: the statement that says who may take it, and its policy."""

    trust: dict[str, Any]
    policy: dict[str, Any]


def roles_of_the_bootstrap(aws: EmulatedAws, **parameters: str) -> dict[str, Role]:
    """Deploy the bootstrap stack, and delete it; return its roles by the names of its outputs."""
    stacks, given = aws.client("cloudformation"), (PARAMETERS | parameters).items()
    stacks.create_stack(
        StackName="bootstrap",
        TemplateBody=read("production/bootstrap.yaml"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given],
    )
    created, each_second = stacks.get_waiter("stack_create_complete"), {"Delay": 1}
    created.wait(StackName="bootstrap", WaiterConfig=each_second)
    outputs = outputs_of(aws, "bootstrap").items()
    roles = {name: role_of(aws, arn) for name, arn in outputs if name.endswith("RoleArn")}
    stacks.delete_stack(StackName="bootstrap")
    return roles


def role_of(aws: EmulatedAws, arn: str) -> Role:
    """Return a role of the stack: each has one statement of trust, and one policy."""
    iam, name = aws.client("iam"), arn.rpartition("/")[2]
    (trust,) = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    return Role(trust, iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])


@pytest.mark.parametrize(
    ("stage", "deployer", "function"),
    [
        ("dev", "DevRoleArn", "DevFunctionRoleArn"),
        ("prod", "ProdRoleArn", "ProdFunctionRoleArn"),
    ],
)
def test_one_environment_of_github_deploys_a_stage_and_its_functions_have_its_policy(
    emulated_aws: EmulatedAws, stage: str, deployer: str, function: str
) -> None:
    roles = roles_of_the_bootstrap(emulated_aws)
    assert roles[deployer].trust["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": f"repo:OWNER@1/NAME@2:environment:{stage}",
    }
    assert roles[function].policy == json.loads(read(f".chalice/policy-{stage}.json"))


def test_dev_s_deployer_has_the_policy_for_dev_only(emulated_aws: EmulatedAws) -> None:
    policy = roles_of_the_bootstrap(emulated_aws)["DevRoleArn"].policy
    for_every_stage = read("production/deployer-policy.json")
    assert policy == json.loads(for_every_stage.replace(f"{APP}-*", f"{APP}-dev*"))
    assert not allows(policy, "iam:CreateRole", f"arn:aws:iam::1:role/{APP}-prod-api_handler")


@pytest.mark.parametrize(("prod_roles", "makes_roles"), [("made", True), ("given", False)])
def test_prod_s_deployer_makes_roles_only_if_the_administrator_lets_it(
    emulated_aws: EmulatedAws, prod_roles: str, makes_roles: bool
) -> None:
    roles = roles_of_the_bootstrap(emulated_aws, ProdRoles=prod_roles)
    policy = roles["ProdExecutionRoleArn"].policy
    role = f"arn:aws:iam::1:role/{APP}-prod-function-us-east-1"
    assert allows(policy, "iam:PassRole", role)
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert allows(policy, action, role) == makes_roles


def test_the_bootstrap_leaves_what_others_need_and_fits_into_a_second_region() -> None:
    template, _ = decode(str(PROJECT / "production" / "bootstrap.yaml"))
    policies = {name: item.get("DeletionPolicy") for name, item in template["Resources"].items()}
    kept = {name for name, policy in policies.items() if policy == "RetainExceptOnCreate"}
    assert kept == {"OidcProvider", "Bucket", "ApiGatewayLogsRole", "ApiGatewayAccount"}
    for role in properties_by_name(template, "IAM::Role").values():
        assert "RoleName" not in role or role["RoleName"]["Fn::Sub"].endswith("-${AWS::Region}")
