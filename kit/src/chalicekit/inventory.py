"""What AWS has of a stage, as Chalice's record lists it.

Chalice writes its record, a file, when a deploy is complete. An interrupted deploy leaves none, and
a fresh clone has none, so the kit asks AWS. Log groups are not listed: they stay when a stage is
deleted, and Chalice finds them by name.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import Session
from chalice import Chalice
from chalice.app import SNSEventConfig
from chalice.awsclient import TypedAWSClient
from chalice.config import Config

Resource = dict[str, Any]
NOT_FOUND = {"NoSuchBucket", "NoSuchEntity", "NotFound", "NotFoundException"}
NOT_FOUND |= {"ResourceNotFoundException"}
# What Chalice's record calls the ARN and the name of an event source
EVENT_SOURCES = {
    "sqs": ("queue_arn", "queue"),
    "kinesis": ("kinesis_arn", "stream"),
    "dynamodb": ("stream_arn", "stream"),
}

# In a source: a call with a text, which makes an app, and a function with one of Chalice's
# decorators, unless that is for the API's own function.
ASSIGNED = re.compile(r"""^\w+ *= *[\w.]+\(\s*["'](.+?)["']""", re.MULTILINE)
FUNCTION = re.compile(r"^@\w+\.(?!route|middleware)\w+\([^@]*?^def (\w+)", re.MULTILINE)


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


@dataclass(frozen=True)
class Function:
    """A function of the stage.

    `name` is the one in Chalice's record, and `stack` the CloudFormation stack that made the
    function, or "" if Chalice did.
    """

    name: str
    arn: str
    role_arn: str
    log_group: str
    layers: tuple[str, ...]
    stack: str


@dataclass(frozen=True)
class Names:
    """What an app calls its API, its functions and its topics, as far as that is known."""

    apis: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()

    @classmethod
    def of_app(cls, app: Chalice) -> "Names":
        """Return the names in an app."""
        topics = [item.topic for item in app.event_sources if isinstance(item, SNSEventConfig)]
        return cls(apis=frozenset({app.app_name}), topics=frozenset(topics))

    @classmethod
    def of_source(cls, folder: Path) -> "Names":
        """Return the names in the source of a project, which need not be Python that runs.

        Too many do no harm: AWS is asked for each.
        """
        paths = [folder / "app.py", *(folder / "chalicelib").rglob("*.py")]
        found = [path.read_text("utf-8", "replace") for path in paths if path.is_file()]
        source = "\n".join(found)
        apis = {*given("app_name", source), *ASSIGNED.findall(source)}
        names = {"api_handler", *FUNCTION.findall(source), *given("name", source)}
        prefixes = ("", *given("name_prefix", source))
        functions = {prefix + name for prefix in prefixes for name in names}
        return cls(apis=frozenset(apis), functions=frozenset(functions))


def given(keyword: str, source: str) -> list[str]:
    """Return the texts that the calls in a source have for a keyword."""
    return re.findall(rf"""\b{keyword}\s*=\s*["'](.+?)["']""", source)


@dataclass
class Inventory:
    """The resources of a stage in the account and the region of a session.

    Attributes:
        session: For the calls.
        config: The stage's settings.
        names: What the app calls its parts.
        previous: The resources of the last record, which tells which of several APIs is in use.
        deleting: Whether everything is to be found, or what a deploy goes on with.
        warnings: What the user should know about the resources that were found.

    """

    session: Session
    config: Config
    names: Names = field(default_factory=Names)
    previous: list[Resource] = field(default_factory=list)
    deleting: bool = False
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"{self.config.app_name}-{self.config.chalice_stage}"
        self.client = cache(self.session.create_client)
        self.policy = cache(self.read_policy)

    @cached_property
    def all_functions(self) -> list[Function]:
        """The stage's functions: Chalice's own, and those of CloudFormation stacks."""
        found = []
        tag = f":stage={self.config.chalice_stage}:app={self.config.app_name}"
        for item in find_all(self.client("lambda"), "list_functions", "Functions"):
            name = item["FunctionName"]
            if not f"{name}-".startswith(f"{self.name}-"):
                continue
            tags = self.client("lambda").list_tags(Resource=item["FunctionArn"])["Tags"]
            stack = tags.get("aws:cloudformation:stack-name", "")
            if stack or tags.get("aws-chalice", "").endswith(tag):
                log_group = item.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
                layers = tuple(layer["Arn"] for layer in item.get("Layers", []))
                short = name if stack else name[len(self.name) + 1 :] or "api_handler"
                arn = item["FunctionArn"]
                found.append(Function(short, arn, item["Role"], log_group, layers, stack))
        return found

    @property
    def functions(self) -> list[Function]:
        """The functions that Chalice deployed."""
        return [function for function in self.all_functions if not function.stack]

    @property
    def stacks(self) -> list[str]:
        """The names of the CloudFormation stacks that the stage's other functions belong to."""
        return list(dict.fromkeys(item.stack for item in self.all_functions if item.stack))

    def resources(self) -> list[Resource]:
        """Return the resources that Chalice created; it deletes them in the reverse order."""
        found = [*self.roles(), *self.layers()]
        for function in self.functions:
            values = {"lambda_arn": function.arn}
            found.append(resource("lambda_function", function.name, **values))
        for function in self.functions:
            if function.name != "api_handler":  # what calls that besides the API is not Chalice's
                found += [*self.event_sources(function), *self.triggers(function)]
        apis = [*self.rest_apis(), *self.websocket_apis()]
        return [*found, *apis, *self.domains(apis)]

    def roles(self) -> Iterator[Resource]:
        """Yield the roles that Chalice created, not those that `iam_role_arn` names.

        An interrupted deploy may have created a role without its function. The next one goes on
        with it, so it is only listed to be deleted. Nothing is asked about roles that are given:
        who deploys may not be allowed to ask.
        """
        names = {function.name for function in self.functions} | self.names.functions
        scopes = {name: self.config.scope(self.config.chalice_stage, name) for name in names}
        given = {scope.iam_role_arn for scope in scopes.values()}
        arns = {function.role_arn for function in self.functions} - given
        used = {arn.rpartition("/")[2] for arn in arns}
        roles = dict[str, str]()
        for name, scope in sorted(scopes.items()):
            for role, recorded in (
                (self.name, "default-role"),
                (f"{self.name}-{name}", f"{name}_role"),
            ):
                if role in used or (self.deleting and scope.manage_iam_role):
                    roles[role] = recorded
        for role, recorded in roles.items():
            if found := find(self.client("iam").get_role, RoleName=role):
                values = {"role_name": role, "role_arn": found["Role"]["Arn"]}
                yield resource("iam_role", recorded, **values)

    def layers(self) -> Iterator[Resource]:
        """Yield the versions of the layer that `automatic_layer` creates; the newest is in use."""
        layer = f"{self.name}-managed-layer"
        used = [arn for function in self.functions for arn in function.layers]
        if not self.config.automatic_layer and not any(f":{layer}:" in arn for arn in used):
            return
        versions = find_all(
            self.client("lambda"), "list_layer_versions", "LayerVersions", LayerName=layer
        )
        for number, version in enumerate(versions):
            name = f"managed-layer-{version['Version']}" if number else "managed-layer"
            yield resource("lambda_layer", name, layer_version_arn=version["LayerVersionArn"])

    def event_sources(self, function: Function) -> Iterator[Resource]:
        """Yield the queues and the streams that a function reads, the newest of a kind first.

        Older ones are left over from an interrupted deploy. Chalice deletes them: no app has them.
        """
        operation, key = "list_event_source_mappings", "EventSourceMappings"
        mappings = find_all(self.client("lambda"), operation, key, FunctionName=function.arn)
        names = set[str]()
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
            name = f"{function.name}-{service}-event-source"
            if name in names:
                name += f"-{mapping['UUID']}"
            names.add(name)
            yield resource(f"{service}_event", name, **values)

    def triggers(self, function: Function) -> Iterator[Resource]:
        """Yield the rule, the buckets and the topics that call a function."""
        rule = f"{self.name}-{function.name}-event"
        if find(self.client("events").describe_rule, Name=rule):
            yield resource("cloudwatch_event", f"{function.name}-event", rule_name=rule)
        for source in self.policy(function):
            name = source.rpartition(":")[2]
            if ":s3:" in source and name:  # with an empty name, botocore refuses to ask
                buckets = self.client("s3")
                if find(buckets.get_bucket_notification_configuration, Bucket=name):
                    values = {"bucket": name, "lambda_arn": function.arn}
                    yield resource("s3_event", f"{function.name}-s3event", **values)
            elif ":sns:" in source:
                operation, topic = "list_subscriptions_by_topic", {"TopicArn": source}
                for found in find_all(self.client("sns"), operation, "Subscriptions", **topic):
                    if found["Endpoint"] == function.arn:
                        values = {
                            "topic": source if source in self.names.topics else name,
                            "topic_arn": source,
                            "lambda_arn": function.arn,
                            "subscription_arn": found["SubscriptionArn"],
                        }
                        yield resource("sns_event", f"{function.name}-sns-subscription", **values)

    def read_policy(self, function: Function) -> list[str]:
        """Return the ARNs of those that may call a function, according to its policy."""
        found = find(self.client("lambda").get_policy, FunctionName=function.arn)
        statements = json.loads(found["Policy"])["Statement"] if found else []
        conditions = [statement.get("Condition", {}) for statement in statements]
        return [condition.get("ArnLike", {}).get("AWS:SourceArn", "") for condition in conditions]

    def rest_apis(self) -> Iterator[Resource]:
        """Yield the APIs that call the stage's function, the one in use first.

        The name tells little: Chalice takes it from `Chalice(app_name=...)`, other names come from
        `app_name` in the settings, and both may have changed. So the ids come from the record, from
        the function's policy, and from the names for an API that was to get its permission next.
        """
        apis = self.client("apigateway")
        recorded = {item["rest_api_id"]: item for item in self.previous if "rest_api_id" in item}
        handlers = [function for function in self.functions if function.name == "api_handler"]
        sources = [source for handler in handlers for source in self.policy(handler)]
        calling = [source.split(":") for source in sources if ":execute-api:" in source]
        permitted = [arn[5].partition("/")[0] for arn in calling]
        listed = {api["id"]: api for api in find_all(apis, "get_rest_apis", "items")}
        names = self.names.apis | {self.config.app_name}
        named = [api_id for api_id, api in listed.items() if api["name"] in names]
        candidates = dict.fromkeys([*recorded, *permitted, *named])
        found = [
            api_id
            for api_id in candidates
            if api_id in listed
            # One that somebody else created has no version; Chalice's definition has one.
            and (api_id in recorded or api_id in named or listed[api_id].get("version"))
            and self.calls_function(api_id)
        ]
        if len(found) > 1 and not self.deleting:
            ids = ", ".join(found)
            self.warnings.append(f"Several APIs call this function ({ids}): {found[0]} is used.")
        for number, api_id in enumerate(found if self.deleting else found[:1]):
            name = f"rest_api-{api_id}" if number else "rest_api"
            url = recorded.get(api_id, {}).get("rest_api_url") or self.url("https", api_id)
            yield resource("rest_api", name, rest_api_id=api_id, rest_api_url=url)

    def calls_function(self, api_id: str) -> bool:
        """Tell whether a method of an API calls the stage's function."""
        parameters = {"restApiId": api_id, "embed": ["methods"], "limit": 500}
        found = find(self.client("apigateway").get_resources, **parameters) or {"items": []}
        methods = [item.get("resourceMethods", {}).values() for item in found["items"]]
        called = [
            method.get("methodIntegration", {}).get("uri", "") for m in methods for method in m
        ]
        return any(f":function:{self.name}/" in uri for uri in called)

    def url(self, scheme: str, api_id: str) -> str:
        """Return AWS's URL of an API."""
        region = self.session.get_config_variable("region")
        suffix = TypedAWSClient(self.session).endpoint_dns_suffix("apigateway", region)
        stage = self.config.api_gateway_stage
        return f"{scheme}://{api_id}.execute-api.{region}.{suffix}/{stage}/"

    def websocket_apis(self) -> Iterator[Resource]:
        """Yield the WebSocket APIs. One without a stage gets another name, so that it is replaced.

        Chalice would not create the missing stage.
        """
        if not any(function.name.startswith("websocket_") for function in self.functions):
            return
        apis = self.client("apigatewayv2")
        for api in find_all(apis, "get_apis", "Items"):
            if api["Name"] == f"{self.name}-websocket-api":
                api_id = api["ApiId"]
                complete = apis.get_stages(ApiId=api_id)["Items"]
                name = "websocket_api" if complete else f"websocket_api-{api_id}"
                values = {"websocket_api_id": api_id, "websocket_api_url": self.url("wss", api_id)}
                yield resource("websocket_api", name, **values)

    def domains(self, apis: Iterable[Resource]) -> Iterator[Resource]:
        """Yield the custom domains with their mappings to `apis`."""
        ids = {api.get("rest_api_id") or api.get("websocket_api_id") for api in apis}
        recorded = {
            item["name"]: item["domain_name"] for item in self.previous if "domain_name" in item
        }
        for name in ("api_gateway_custom_domain", "websocket_api_custom_domain"):
            configured = getattr(self.config, name) or {}
            domain = configured.get("domain_name") or recorded.get(name)
            client = self.client("apigatewayv2")
            mappings = domain and find(client.get_api_mappings, DomainName=domain)
            if not mappings:
                continue
            own = [item["ApiMappingKey"] for item in mappings["Items"] if item["ApiId"] in ids]
            if (self.deleting or not configured) and len(own) < len(mappings["Items"]):
                self.warnings.append(f"{domain} also maps to other APIs, so it is kept.")
                continue
            mapped = [{"key": "/" + key.removeprefix("(none)")} for key in own]
            yield resource("domain_name", name, domain_name=domain, api_mapping=mapped)
