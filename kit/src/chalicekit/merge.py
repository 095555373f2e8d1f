"""Merge a CloudFormation template of yours into the one that Chalice writes."""

import json
import re
from typing import Any

from chalice.package import TemplateDeepMerger

from chalicekit.cors import with_cors_errors

Template = dict[str, Any]


class FragmentMerger(TemplateDeepMerger):
    """Chalice's merger for `--merge-template`, which also fits an app with other functions.

    In the template, `APP-STAGE` stands for the name of the app and the stage, and `APIHandler` for
    each function in turn, a schedule's or an authorizer's as well. What concerns a resource that
    the app lacks is left out: an app without routes has no `RestAPI`. Where a view has `cors`, the
    errors of API Gateway itself get its CORS headers, which `chalice deploy` cannot set.
    """

    def __init__(self, name: str) -> None:
        """Create a merger; `name` replaces APP-STAGE."""
        self.name = name

    def merge(self, file_template: Template, chalice_template: Template) -> Template:
        """Return Chalice's template with the other one merged into it."""
        text = json.dumps(file_template).replace("APP-STAGE", self.name)
        merged = chalice_template
        functions = [
            name
            for name, resource in chalice_template["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        ]
        for function in functions:
            merged = super().merge(json.loads(text.replace("APIHandler", function)), merged)
        return with_cors_errors(without_missing(merged, chalice_template))


def without_missing(merged: Template, original: Template) -> Template:
    """Return a template without what lacks a type, and what refers to that; a log of it stays.

    Only resources and outputs that `original` does not have are left out.
    """
    kept = dict(merged["Resources"])
    added = kept.keys() - original["Resources"].keys()
    missing = {name for name in added if "Type" not in kept[name]}
    while found := {
        name for name in added - missing if any(refers(kept[name], lost) for lost in missing)
    }:
        missing |= found
    for name in missing:
        del kept[name]
    outputs = {
        name: output
        for name, output in merged.get("Outputs", {}).items()
        if not any(refers(output, lost) for lost in missing)
    }
    return {**merged, "Resources": kept, "Outputs": outputs}


def refers(part: Any, name: str) -> bool:
    """Tell whether a part of a template refers to a resource by Ref, Fn::GetAtt or Fn::Sub."""
    return bool(re.search(rf'["{{]{re.escape(name)}["}}.]', json.dumps(part)))
