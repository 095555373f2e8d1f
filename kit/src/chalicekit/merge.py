"""`package --merge-template`: merge a template of yours into the one that Chalice writes.

API Gateway's own errors get the app's CORS headers there; `chalice deploy` cannot set them.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from chalice.package import TemplateDeepMerger

Template = dict[str, Any]
ORIGIN = "Access-Control-Allow-Origin"
CORS_HEADERS = (ORIGIN, "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")


class TemplateMerger(TemplateDeepMerger):
    """Chalice's merger, for a template that fits every app.

    In the template, `APP-STAGE` stands for the name of the app and the stage, and `APIHandler` for
    each function in turn, a schedule's or an authorizer's as well. What concerns a resource that
    the app lacks is left out: an app without routes has no `RestAPI`.
    """

    def __init__(self, name: str) -> None:
        """Create a merger; `name` replaces APP-STAGE."""
        self.name = name

    def merge(self, file_template: Template, chalice_template: Template) -> Template:
        """Return Chalice's template with the other one merged into it."""
        text = json.dumps(file_template).replace("APP-STAGE", self.name)
        merged, kept = chalice_template, set(chalice_template["Resources"])
        for name, resource in chalice_template["Resources"].items():
            if resource["Type"] == "AWS::Serverless::Function":
                merged = super().merge(json.loads(text.replace("APIHandler", name)), merged)
        remove_incomplete(merged, kept)
        add_cors_headers(merged)
        return merged


def remove_incomplete(template: Template, kept: Collection[str]) -> None:
    """Remove the resources that have no type, and all that refers to them, but none of `kept`."""
    resources, outputs = template["Resources"], template.get("Outputs", {})
    incomplete = [name for name, resource in resources.items() if "Type" not in resource]
    while incomplete:
        name = incomplete.pop()
        del resources[name]
        referring = [other for other, content in resources.items() if refers(content, name)]
        incomplete += [other for other in referring if other not in {*incomplete, *kept}]
        for output in [output for output, content in outputs.items() if refers(content, name)]:
            del outputs[output]


def refers(content: Any, name: str) -> bool:
    """Tell whether a part of a template refers to a resource by Ref, Fn::GetAtt or Fn::Sub."""
    # as "NAME" or "NAME.Attribute", or in a text as ${NAME} or ${NAME.Attribute}
    return bool(re.search(rf'["{{]{re.escape(name)}["}}.]', json.dumps(content)))


def add_cors_headers(template: Template) -> None:
    """Let the API send the CORS headers of its views with its own errors, such as 403, too.

    Without them, a page in a browser sees a network error instead of the status. An error has the
    same headers for all routes: if these allow several origins, it allows any. Headers that the
    template sets are kept.
    docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
    """
    if "RestAPI" not in template["Resources"]:
        return
    api = template["Resources"]["RestAPI"]["Properties"]
    paths = api["DefinitionBody"]["paths"].values()
    found = [headers for methods in paths if (headers := cors_headers(methods))]
    if not found:
        return
    is_the_same = all(headers == found[0] for headers in found)
    responses = api.setdefault("GatewayResponses", {})
    for name in ("DEFAULT_4XX", "DEFAULT_5XX", *responses):
        parameters = responses.setdefault(name, {}).setdefault("ResponseParameters", {})
        already_set = parameters.get("Headers", {})
        parameters["Headers"] = (found[0] if is_the_same else {ORIGIN: "'*'"}) | already_set


def cors_headers(methods: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a path's preflight response that an error needs as well."""
    if "options" not in methods:
        return {}
    response = methods["options"]["x-amazon-apigateway-integration"]["responses"]["default"]
    parameters = response.get("responseParameters", {})  # a view for OPTIONS has none
    named = {header: parameters.get(f"method.response.header.{header}") for header in CORS_HEADERS}
    return {header: value for header, value in named.items() if value}
