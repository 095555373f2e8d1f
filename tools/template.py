"""What `make package` adds to Chalice's template for CloudFormation: `.chalice/template.json`.

Chalice merges it (`--merge-template`). In it, APIHandler stands for each function of the app (a
schedule's or an authorizer's, too), and APP-STAGE for the app's name and the stage.
"""

import json
from typing import Any

from chalice.package import TemplateDeepMerger

Template = dict[str, Any]

merge = TemplateDeepMerger.merge


def merge_for_each_function(
    merger: TemplateDeepMerger, added: Template, template: Template
) -> Template:
    """Return Chalice's template with `added` merged in, once for each function."""
    text = json.dumps(added)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            template = merge(merger, json.loads(text.replace("APIHandler", name)), template)
    return template
