"""What AWS has of a stage, as Chalice's record lists it.

Chalice writes its record, a file, when a deploy is complete. An interrupted deploy leaves none, and
a fresh clone has none, so the kit asks AWS. Log groups are not listed: they stay when a stage is
deleted, and Chalice finds them by name.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError
from chalice.awsclient import TypedAWSClient

from chalicekit.errors import Refusal
from chalicekit.project import Project
from chalicekit.settings import API

Resource = dict[str, Any]
NOT_FOUND = {
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
}
# What Chalice's record calls the ARN and the name of an event source
EVENT_SOURCES = {
    "sqs": ("queue_arn", "queue"),
    "kinesis": ("kinesis_arn", "stream"),
    "dynamodb": ("stream_arn", "stream"),
}


@dataclass(frozen=True)
class Function:
    """A function of the stage.

    Attributes:
        name: What Chalice's record calls it; for a function of a stack, its name in AWS.
        arn: Its ARN.
        role_arn: The ARN of its role.
        log_group: The name of the group that it logs to.
        stack: The name of the CloudFormation stack that made it, or "" if Chalice did.

    """

    name: str
    arn: str
    role_arn: str
    log_group: str
    stack: str


class Inventory:
    """The resources of a stage in the account and the region of its session.

    Attributes:
        deleting: Whether what an interrupted deploy left over is to be found, too; otherwise, it is
            only what the next deploy can go on with.
        recorded_apis: The REST API in Chalice's record, if there is one.

    """

    def __init__(self, project: Project, deleting: bool = False) -> None:
        """Raise Refusal if Chalice's record is about another name of the app."""
        self.project, self.config, self.name = project, project.config, project.name
        self.client = cache(project.session.create_client)
        self.deleting = deleting
        record = read_record(project)
        refuse_older_name(project, record)
        self.recorded_apis = [item for item in record if "rest_api_url" in item]

    def deployed(self, topics: Collection[str] = ()) -> list[Resource]:
        """Return the resources that Chalice created; it deletes them in the reverse order.

        `topics` are those of the app as it writes them: names or ARNs.
        """
        found = [*self.roles(), *self.layers()]
        for function in self.functions:
            found.append(resource("lambda_function", function.name, lambda_arn=function.arn))
        for function in self.functions:
            if function.name != API:  # what calls that besides the API is not Chalice's
                found += [*self.event_sources(function), *self.triggers(function, topics)]
        apis = [*self.rest_apis(), *self.websocket_apis()]
        found += [*apis, *self.domains(apis)]
        # Of several with one name, the first is in use, and Chalice deletes the others.
        used = Counter[str]()
        for item in found:
            name = item["name"]
            used[name] += 1
            if used[name] > 1:
                item["name"] = name_to_delete(name, str(used[name]))
        return found

    @property
    def functions(self) -> list[Function]:
        """The functions that Chalice deployed."""
        return [function for function in self.all_functions if not function.stack]

    @property
    def stacks(self) -> list[str]:
        """The names of the CloudFormation stacks that the stage's other functions belong to."""
        return list(dict.fromkeys(item.stack for item in self.all_functions if item.stack))

    @cached_property
    def all_functions(self) -> list[Function]:
        """The stage's functions: Chalice's own, and those of CloudFormation stacks."""
        found = []
        client = self.client("lambda")
        own_tag = f":stage={self.project.stage}:app={self.config.app_name}"
        for item in find_all(client, "list_functions", "Functions"):
            name, arn = item["FunctionName"], item["FunctionArn"]
            if not is_name_of(name, self.name):
                continue
            tags = client.list_tags(Resource=arn)["Tags"]
            if tags.get("aws-chalice", "").endswith(own_tag):
                stack = tags.get("aws:cloudformation:stack-name", "")
                short = name if stack else name[len(self.name) + 1 :] or API
                log_group = item.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
                found.append(Function(short, arn, item["Role"], log_group, stack))
        return found

    def layers(self) -> Iterator[Resource]:
        """Yield the versions of the layer that `automatic_layer` creates, the newest first."""
        if self.config.automatic_layer:
            operation, name = "list_layer_versions", f"{self.name}-managed-layer"
            found = find_all(self.client("lambda"), operation, "LayerVersions", LayerName=name)
            for version in found:
                arn = version["LayerVersionArn"]
                yield resource("lambda_layer", "managed-layer", layer_version_arn=arn)

    def event_sources(self, function: Function) -> Iterator[Resource]:
        """Yield the queues and the streams that a function reads, the newest first.

        Older ones of a kind are left over from an interrupted deploy.
        """
        operation, key = "list_event_source_mappings", "EventSourceMappings"
        mappings = find_all(self.client("lambda"), operation, key, FunctionName=function.arn)
        for mapping in sorted(mappings, key=lambda item: item["LastModified"], reverse=True):
            source = mapping["EventSourceArn"]
            service = source.split(":")[2]
            if service not in EVENT_SOURCES or mapping["State"] == "Deleting":
                continue
            arn_key, name_key = EVENT_SOURCES[service]
            values = {
                name_key: source.rpartition(":")[2].removeprefix("stream/"),
                arn_key: source,
                "event_uuid": mapping["UUID"],
                "lambda_arn": function.arn,
            }
            yield resource(f"{service}_event", f"{function.name}-{service}-event-source", **values)

    def triggers(self, function: Function, topics: Collection[str]) -> Iterator[Resource]:
        """Yield the rule, the buckets and the topics that call a function."""
        rule = f"{self.name}-{function.name}-event"
        if find(self.client("events").describe_rule, Name=rule):
            yield resource("cloudwatch_event", f"{function.name}-event", rule_name=rule)
        for source in self.callers(function):
            service, name = source.split(":")[2], source.rpartition(":")[2]
            if service == "sns":
                yield from self.subscriptions(function, source, topics)
            elif service == "s3":
                buckets = self.client("s3")
                if find(buckets.get_bucket_notification_configuration, Bucket=name):
                    values = {"bucket": name, "lambda_arn": function.arn}
                    yield resource("s3_event", f"{function.name}-s3event", **values)

    def subscriptions(
        self, function: Function, topic: str, topics: Collection[str]
    ) -> Iterator[Resource]:
        """Yield the subscriptions of a function to the topic with an ARN.

        Chalice's record calls the topic as the app does, one of `topics`.
        """
        operation, key = "list_subscriptions_by_topic", "Subscriptions"
        for found in find_all(self.client("sns"), operation, key, TopicArn=topic):
            if found["Endpoint"] == function.arn:
                values = {
                    "topic": topic if topic in topics else topic.rpartition(":")[2],
                    "topic_arn": topic,
                    "lambda_arn": function.arn,
                    "subscription_arn": found["SubscriptionArn"],
                }
                yield resource("sns_event", f"{function.name}-sns-subscription", **values)

    def rest_apis(self) -> Iterator[Resource]:
        """Yield the APIs that Chalice created and that call the stage's function.

        A deploy goes on with one of them; if there are several, that is said on standard error.
        """
        urls = {api["rest_api_id"]: api["rest_api_url"] for api in self.recorded_apis}
        found = [api for api in self.candidates([*urls]) if self.calls_function(api)]
        if len(found) > 1 and not self.deleting:
            ids = ", ".join(found)
            click.echo(f"Several APIs call this function ({ids}): {found[0]} is used.", err=True)
            del found[1:]
        for api in found:
            url = urls.get(api) or self.url("https", api)
            yield resource("rest_api", "rest_api", rest_api_id=api, rest_api_url=url)

    def candidates(self, recorded: list[str]) -> list[str]:
        """Return the ids of the APIs that may be the stage's, the recorded ones first.

        Their names say nothing: they come from `Chalice(app_name=...)`, which may have changed. If
        neither the record nor the function's policy has ids, a deploy may have been interrupted
        between the API and the policy: then they are all that Chalice created.
        """
        listed = find_all(self.client("apigateway"), "get_rest_apis", "items")
        # Chalice's definition has a version, and an API that was created by hand has none.
        of_chalice = [api["id"] for api in listed if api.get("version")]
        handlers = [function for function in self.functions if function.name == API]
        callers = [arn for handler in handlers for arn in self.callers(handler)]
        permitted = [arn.split(":")[5].partition("/")[0] for arn in callers]
        known = [api for api in dict.fromkeys([*recorded, *permitted]) if api in of_chalice]
        if not known and handlers:
            return of_chalice
        return known

    def calls_function(self, api_id: str) -> bool:
        """Tell whether a method of an API calls the stage's function."""
        parameters = {"restApiId": api_id, "embed": ["methods"], "limit": 500}
        paths = self.client("apigateway").get_resources(**parameters)["items"]
        methods = [method for path in paths for method in path.get("resourceMethods", {}).values()]
        uris = [method.get("methodIntegration", {}).get("uri", "") for method in methods]
        return any(f":function:{self.name}/" in uri for uri in uris)

    def callers(self, function: Function) -> list[str]:
        """Return the ARNs of those that may call a function, according to its policy."""
        found = find(self.client("lambda").get_policy, FunctionName=function.arn)
        statements = json.loads(found["Policy"])["Statement"] if found else []
        conditions = [statement.get("Condition", {}).get("ArnLike", {}) for statement in statements]
        return [item["AWS:SourceArn"] for item in conditions if "AWS:SourceArn" in item]

    def websocket_apis(self) -> Iterator[Resource]:
        """Yield the WebSocket APIs."""
        if not any(function.name.startswith("websocket_") for function in self.functions):
            return
        client = self.client("apigatewayv2")
        for api in find_all(client, "get_apis", "Items"):
            if api["Name"] == f"{self.name}-websocket-api":
                api_id = api["ApiId"]
                name = "websocket_api"
                if not client.get_stages(ApiId=api_id)["Items"]:
                    # Chalice does not create a missing stage, so the API is replaced.
                    name = name_to_delete(name, "without-stage")
                values = {"websocket_api_id": api_id, "websocket_api_url": self.url("wss", api_id)}
                yield resource("websocket_api", name, **values)

    def url(self, scheme: str, api_id: str) -> str:
        """Return AWS's URL of an API."""
        session = self.project.session
        region = session.get_config_variable("region")
        suffix = TypedAWSClient(session).endpoint_dns_suffix("apigateway", region)
        stage = self.config.api_gateway_stage
        return f"{scheme}://{api_id}.execute-api.{region}.{suffix}/{stage}/"

    def domains(self, apis: Iterable[Resource]) -> Iterator[Resource]:
        """Yield the custom domains in the settings with their mappings to `apis`."""
        ids = {api.get("rest_api_id") or api.get("websocket_api_id") for api in apis}
        for name in ("api_gateway_custom_domain", "websocket_api_custom_domain"):
            domain = (getattr(self.config, name) or {}).get("domain_name")
            client = self.client("apigatewayv2")
            mappings = domain and find(client.get_api_mappings, DomainName=domain)
            if not mappings:
                continue
            own = [item["ApiMappingKey"] for item in mappings["Items"] if item["ApiId"] in ids]
            if self.deleting and len(own) < len(mappings["Items"]):
                if own:  # and not once more when they are deleted
                    click.echo(f"{domain} also maps to other APIs, so it is kept.", err=True)
                continue
            # Some of API Gateway's mappings to the whole domain have the key (none).
            mapped = [{"key": "/" + key.removeprefix("(none)")} for key in own]
            yield resource("domain_name", name, domain_name=domain, api_mapping=mapped)

    def roles(self) -> Iterator[Resource]:
        """Yield the roles that Chalice created, not those that `iam_role_arn` names.

        An interrupted deploy may have created a role without its function. The next one goes on
        with it, so it is only listed to be deleted. Nothing is asked about roles that are given:
        who deploys may not be allowed to ask.
        """
        functions = {function.name for function in self.functions}
        if self.deleting:
            functions |= names_in_source(self.project.folder)
        # Chalice's names for roles, and what its record calls them
        own = {f"{self.name}-{name}": f"{name}_role" for name in functions}
        own[self.name] = "default-role"

        in_use = {role_name(function.role_arn) for function in self.functions}
        if self.deleting and self.config.manage_iam_role:
            in_use |= own.keys()  # as far as AWS has them
        scopes = [self.config.scope(self.project.stage, name) for name in functions]
        given = {role_name(scope.iam_role_arn) for scope in scopes if scope.iam_role_arn}

        for role in sorted((own.keys() & in_use) - given):
            if found := find(self.client("iam").get_role, RoleName=role):
                values = {"role_name": role, "role_arn": found["Role"]["Arn"]}
                yield resource("iam_role", own[role], **values)


def role_name(arn: str) -> str:
    """Return the name of the role with an ARN."""
    return arn.rpartition("/")[2]


# A function with one of Chalice's decorators, unless that is for the API's function
FUNCTION = re.compile(r"^@\w+\.(?!route|middleware)\w+\([^@]*?^def (\w+)", re.MULTILINE)
# The names that are given to functions, and what blueprints put before them
NAME = re.compile(r"""\bname\s*=\s*["'](.+?)["']""")
PREFIX = re.compile(r"""\bname_prefix\s*=\s*["'](.+?)["']""")


def names_in_source(folder: Path) -> set[str]:
    """Return what functions may be called, from the source of a project, which need not run.

    Too many do no harm: AWS is asked for each.
    """
    paths = [folder / "app.py", *(folder / "chalicelib").rglob("*.py")]
    source = "\n".join(path.read_text("utf-8", "replace") for path in paths if path.is_file())
    names = [API, *FUNCTION.findall(source), *NAME.findall(source)]
    return {prefix + name for prefix in ("", *PREFIX.findall(source)) for name in names}


def read_record(project: Project) -> list[Resource]:
    """Return what Chalice's record lists; nothing if there is no record or it is incomplete."""
    path = record_file(project)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [dict(item) for item in content["resources"]]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return []


def refuse_older_name(project: Project, record: list[Resource]) -> None:
    """Raise Refusal if a record is about a previous name of the app.

    What was deployed under that name would be forgotten.
    """
    for item in record:
        name = item.get("lambda_arn", project.name).rpartition(":")[2]
        if not is_name_of(name, project.name):
            raise Refusal(
                f"{record_file(project)} records {name}, the app's previous name: "
                f"run `{project.command('delete')}` under that name first, or remove the file to "
                "keep that deployment."
            )


def record_file(project: Project) -> Path:
    """Return the path of Chalice's record of a stage."""
    return project.records / f"{project.stage}.json"


def is_name_of(function: str, api_function: str) -> bool:
    """Tell whether a function is of the stage whose API has the function `api_function`."""
    return f"{function}-".startswith(f"{api_function}-")


def name_to_delete(name: str, reason: str) -> str:
    """Return a name that no app has: Chalice deletes the resource that is recorded under it."""
    return f"{name}-{reason}"


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
