"""Find a stage's resources in AWS, as Chalice's record lists them.

Chalice writes its record, a file, when a deploy is complete. An interrupted deploy leaves none, and
a fresh clone has none, so the record is created from the resources in AWS. It has every kind that
Chalice deploys except two. Log groups are found by name and stay when a stage is deleted. SNS
subscriptions are listed only to be deleted: AWS ignores a second subscription, and only the app
knows whether it uses a topic's name or its ARN.
"""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import Session
from chalice.awsclient import TypedAWSClient
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.models import ManagedIAMRole

from chalicekit.build.files import load_chalice_commands
from chalicekit.settings import PROJECT

Resource = dict[str, Any]
NOT_FOUND = {
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
}
# The record's keys for the ARN and the name of an event source
EVENT_SOURCES = {
    "sqs": ("queue_arn", "queue"),
    "kinesis": ("kinesis_arn", "stream"),
    "dynamodb": ("stream_arn", "stream"),
}


def resource(kind: str, name: str, **values: Any) -> Resource:
    """Return a resource as Chalice records it."""
    return {"name": name, "resource_type": kind, **values}


def find(call: Callable[..., Any], **parameters: Any) -> Any:
    """Return AWS's response, or None if the resource does not exist."""
    try:
        return call(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_FOUND:
            return None
        raise


def find_all(client: Any, operation: str, key: str, **parameters: Any) -> list[Any]:
    """Return the list under `key` in an operation's response, empty if there is no resource."""
    pages = client.get_paginator(operation).paginate(**parameters)
    found: list[Any] = (find(pages.build_full_result) or {}).get(key, [])
    return found


class StageInAws:
    """A stage in the account and the region of a session."""

    def __init__(self, config: Config, session: Session, deleting: bool) -> None:
        """Find the stage's functions: Chalice's own, and those of CloudFormation stacks."""
        self.config, self.deleting = config, deleting
        self.name = f"{config.app_name}-{config.chalice_stage}"
        self.client = cache(session.create_client)
        self.aws_lambda = self.client("lambda")
        region = session.get_config_variable("region")
        suffix = TypedAWSClient(session).endpoint_dns_suffix("apigateway", region)
        self.api_url = f"execute-api.{region}.{suffix}/{config.api_gateway_stage}/"
        self.warnings: list[str] = []
        self.functions: dict[str, Any] = {}
        self.stacks: dict[str, list[Any]] = {}
        tag = f":stage={config.chalice_stage}:app={config.app_name}"
        for function in find_all(self.aws_lambda, "list_functions", "Functions"):
            if f"{function['FunctionName']}-".startswith(f"{self.name}-"):
                tags = self.aws_lambda.list_tags(Resource=function["FunctionArn"])["Tags"]
                if "aws:cloudformation:stack-name" in tags:
                    stack = self.stacks.setdefault(tags["aws:cloudformation:stack-name"], [])
                    stack.append(function)
                elif tags.get("aws-chalice", "").endswith(tag):
                    name = function["FunctionName"][len(self.name) + 1 :] or "api_handler"
                    self.functions[name] = function

    def resources(self, previous: list[Resource]) -> Iterator[Resource]:
        """Yield the resources that Chalice created; it deletes them in the reverse order.

        `previous` are the resources of the last record: it tells which of several APIs is in use.
        """
        yield from self.roles()
        yield from self.layers()
        for name, function in self.functions.items():
            yield resource("lambda_function", name, lambda_arn=function["FunctionArn"])
        for name in self.functions.keys() - {"api_handler"}:
            arn = self.functions[name]["FunctionArn"]
            yield from self.event_sources(name, arn)
            yield from self.triggers(name, arn)
        in_use = {item["rest_api_id"] for item in previous if "rest_api_id" in item}
        apis = [*self.rest_apis(in_use), *self.websocket_apis()]
        yield from apis
        api_ids = {api[key] for api in apis for key in api if key.endswith("_api_id")}
        domains = {item["name"]: item["domain_name"] for item in previous if "domain_name" in item}
        for name in ("api_gateway_custom_domain", "websocket_api_custom_domain"):
            configured = getattr(self.config, name) or {}
            domain_name = configured.get("domain_name", domains.get(name))
            if domain_name:
                yield from self.domain_names(name, domain_name, api_ids)

    def roles(self) -> Iterator[Resource]:
        """Yield the roles that Chalice created, not those that `iam_role_arn` names."""
        roles: dict[str, str] = {}
        for name, function in self.functions.items():
            configured = self.config.scope(self.config.chalice_stage, name).iam_role_arn
            role = function["Role"].rpartition("/")[2]
            names = {self.name: "default-role", f"{self.name}-{name}": f"{name}_role"}
            if role in names and function["Role"] != configured:
                roles[role] = names[role]
        if self.deleting:  # an interrupted deploy may have created only the role
            roles |= roles_of_app(self.config.chalice_stage)
        for role_name, name in roles.items():
            found = find(self.client("iam").get_role, RoleName=role_name)
            if found:
                arn = found["Role"]["Arn"]
                yield resource("iam_role", name, role_name=role_name, role_arn=arn)

    def layers(self) -> Iterator[Resource]:
        """Yield the versions of the layer that `automatic_layer` creates; the newest is in use."""
        if self.config.automatic_layer:
            layer = f"{self.name}-managed-layer"
            versions = find_all(
                self.aws_lambda, "list_layer_versions", "LayerVersions", LayerName=layer
            )
            for number, version in enumerate(versions):
                name = f"managed-layer-{version['Version']}" if number else "managed-layer"
                yield resource("lambda_layer", name, layer_version_arn=version["LayerVersionArn"])

    def event_sources(self, name: str, arn: str) -> Iterator[Resource]:
        """Yield the queues and the streams that a function reads, the newest of a kind first.

        Older ones are left of an interrupted deploy. Chalice deletes them, since no app has them.
        """
        key = "EventSourceMappings"
        mappings = find_all(self.aws_lambda, "list_event_source_mappings", key, FunctionName=arn)
        names = set[str]()
        for found in sorted(mappings, key=lambda mapping: mapping["LastModified"], reverse=True):
            source = found["EventSourceArn"]
            service = source.split(":")[2]
            if service in EVENT_SOURCES and found["State"] != "Deleting":
                arn_key, name_key = EVENT_SOURCES[service]
                values = {
                    name_key: source.rpartition(":")[2].removeprefix("stream/"),
                    arn_key: source,
                    "event_uuid": found["UUID"],
                    "lambda_arn": arn,
                }
                source_name = f"{name}-{service}-event-source"
                if source_name in names:
                    source_name += f"-{found['UUID']}"
                names.add(source_name)
                yield resource(f"{service}_event", source_name, **values)

    def triggers(self, name: str, arn: str) -> Iterator[Resource]:
        """Yield the rules, buckets and topics that may call a function, according to its policy."""
        rule = f"{self.name}-{name}-event"
        if find(self.client("events").describe_rule, Name=rule):
            yield resource("cloudwatch_event", f"{name}-event", rule_name=rule)
        policy = find(self.aws_lambda.get_policy, FunctionName=arn)
        for statement in json.loads(policy["Policy"])["Statement"] if policy else []:
            source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "")
            source_name = source.rpartition(":")[2]
            if ":s3:" in source:
                buckets = self.client("s3")
                if find(buckets.get_bucket_notification_configuration, Bucket=source_name):
                    values = {"bucket": source_name, "lambda_arn": arn}
                    yield resource("s3_event", f"{name}-s3event", **values)
            elif ":sns:" in source and self.deleting:
                operation, topic = "list_subscriptions_by_topic", {"TopicArn": source}
                for found in find_all(self.client("sns"), operation, "Subscriptions", **topic):
                    if found["Endpoint"] == arn:
                        values = {
                            "topic": source_name,
                            "topic_arn": source,
                            "lambda_arn": arn,
                            "subscription_arn": found["SubscriptionArn"],
                        }
                        yield resource("sns_event", f"{name}-sns-subscription", **values)

    def rest_apis(self, in_use: set[str]) -> Iterator[Resource]:
        """Yield the app's APIs that call the stage's function, starting with the one in use."""
        apis = self.client("apigateway")
        function = f":function:{self.name}/"
        found = [
            api["id"]
            for api in find_all(apis, "get_rest_apis", "items")
            if api["name"] == self.config.app_name
            and function in str(apis.get_resources(restApiId=api["id"], embed=["methods"]))
        ]
        found.sort(key=lambda api_id: api_id not in in_use)
        for number, api_id in enumerate(found if self.deleting else found[:1]):
            name = f"rest_api-{api_id}" if number else "rest_api"
            url = f"https://{api_id}.{self.api_url}"
            yield resource("rest_api", name, rest_api_id=api_id, rest_api_url=url)
        if len(found) > 1 and not self.deleting:
            names = ", ".join(found)
            self.warnings.append(f"Several APIs call this function ({names}): {found[0]} is used.")

    def websocket_apis(self) -> Iterator[Resource]:
        """Yield the WebSocket APIs. One without a stage gets another name, so that it is replaced.

        Chalice would not create the missing stage.
        """
        if not any(name.startswith("websocket_") for name in self.functions):
            return
        apis = self.client("apigatewayv2")
        for api in find_all(apis, "get_apis", "Items"):
            if api["Name"] == f"{self.name}-websocket-api":
                api_id = api["ApiId"]
                complete = apis.get_stages(ApiId=api_id)["Items"]
                name = "websocket_api" if complete else f"websocket_api-{api_id}"
                values = {
                    "websocket_api_id": api_id,
                    "websocket_api_url": f"wss://{api_id}.{self.api_url}",
                }
                yield resource("websocket_api", name, **values)

    def domain_names(self, name: str, domain_name: str, apis: set[str]) -> Iterator[Resource]:
        """Yield a custom domain with its mappings to `apis`."""
        mappings = find(self.client("apigatewayv2").get_api_mappings, DomainName=domain_name)
        if mappings is None:
            return
        keys = [item["ApiMappingKey"] for item in mappings["Items"] if item["ApiId"] in apis]
        deleting = self.deleting or not getattr(self.config, name)
        if deleting and len(keys) < len(mappings["Items"]):
            self.warnings.append(f"{domain_name} also maps to other APIs, so it is kept.")
            return
        mapped = [{"key": "/" + key.removeprefix("(none)")} for key in keys]
        yield resource("domain_name", name, domain_name=domain_name, api_mapping=mapped)


def roles_of_app(stage: str) -> dict[str, str]:
    """Return the roles that Chalice creates for the app: their names in AWS and in the record."""
    config = (
        load_chalice_commands().Factory(str(PROJECT), environ=os.environ).create_config_obj(stage)
    )
    graph = ApplicationGraphBuilder().build(config, stage)
    return {
        model.role_name: model.resource_name
        for model in DependencyBuilder().build_dependencies(graph)
        if isinstance(model, ManagedIAMRole)
    }
