"""What the settings in `.chalice/config.json` can be, and the kit's own among them.

Chalice takes unknown names and wrong kinds of values without a word; AWS refuses some of them after
the upload.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

import click
from chalice.config import Config

from chalicekit.project import Project
from chalicekit.runtime.environment import RESERVED_VARIABLES

FILE = ".chalice/config.json"
API = "api_handler"  # Chalice's name for the function of the API
VARIABLES_LIMIT = 4096  # docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html


class KitSettings(NamedTuple):
    """The kit's own settings: the object `chalicekit` in `.chalice/config.json`, or in a stage."""

    include: tuple[str, ...]  # patterns of paths that are packaged although untracked
    layer_modules: tuple[str, ...]  # names of modules that layers bring, or `*` for any


def kit_settings(config: Config) -> KitSettings:
    """Return the kit's own settings for a stage; those of the stage come first."""
    everywhere = config.config_from_disk.get("chalicekit") or {}
    found = everywhere | (stage_of(config).get("chalicekit") or {})
    # A stage with layers may import any module, unless its settings name those of the layers.
    has_layers = any(function.layers for function in configured_functions(config).values())
    modules = found.get("layer_modules", ["*"] if has_layers else [])
    return KitSettings(tuple(found.get("include", ())), tuple(modules))


def configured_functions(config: Config) -> dict[str, Config]:
    """Return the settings of the API's function, and of each that has settings of its own."""
    everywhere = config.config_from_disk.get("lambda_functions") or {}
    names = [API, *everywhere, *(stage_of(config).get("lambda_functions") or {})]
    return {name: config.scope(config.chalice_stage, name) for name in names}


def stage_of(config: Config) -> dict[str, Any]:
    """Return the settings of a stage alone."""
    stage: dict[str, Any] = config.config_from_disk.get("stages", {}).get(config.chalice_stage, {})
    return stage


class Kind(NamedTuple):
    """What values a setting can have: in words for a message, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def number(low: int, high: int) -> Kind:
    """Return the kind of a whole number from `low` to `high`."""
    words = f"a number from {low} to {high}"
    return Kind(words, lambda value: type(value) is int and low <= value <= high)


def one_of(*values: str | int) -> Kind:
    """Return the kind of a value that is one of these."""
    return Kind(f"one of {', '.join(map(str, values))}", lambda value: value in values)


ANY = Kind("anything", lambda value: True)
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXT = Kind("a string", lambda value: isinstance(value, str))
TEXTS = Kind(
    "a list of strings", lambda value: isinstance(value, list) and all(map(TEXT.fits, value))
)
LAYERS = Kind(
    "a list of at most 5 ARNs",
    lambda value: TEXTS.fits(value) and len(value) <= 5 and all(arn[:4] == "arn:" for arn in value),
)
DOMAIN = Kind(
    "an object with domain_name and certificate_arn",
    lambda value: (
        value == {} or (OBJECT.fits(value) and {"domain_name", "certificate_arn"} <= value.keys())
    ),
)
API_STAGE = Kind(
    "letters, digits, - and _",
    lambda value: TEXT.fits(value) and bool(re.fullmatch("[A-Za-z0-9_-]{1,128}", value)),
)
LOG_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192]
LOG_DAYS += [2557, 2922, 3288, 3653]

# Chalice's settings, and what AWS takes for them; "*" stands for any name. Those of a function can
# also be a stage's, and those of a stage can also be those of all stages.
# aws.github.io/chalice/topics/configfile.html, docs.aws.amazon.com/lambda/latest/api
Known = dict[str, Any]  # of names to a Kind, or to such a dictionary for an object
KIT_SETTINGS: Known = {"include": TEXTS, "layer_modules": TEXTS}
FUNCTION_SETTINGS: Known = {
    "autogen_policy": BOOLEAN,
    "environment_variables": {"*": TEXT},
    "iam_policy_file": TEXT,
    "iam_role_arn": TEXT,
    "lambda_memory_size": number(128, 10240),
    "lambda_timeout": number(1, 900),
    "layers": LAYERS,
    "log_retention_in_days": one_of(*LOG_DAYS),
    "manage_iam_role": BOOLEAN,
    "reserved_concurrency": number(0, 1_000_000),
    "security_group_ids": TEXTS,
    "subnet_ids": TEXTS,
    "tags": {"*": TEXT},
    "xray": BOOLEAN,
}
STAGE_SETTINGS: Known = FUNCTION_SETTINGS | {
    "api_gateway_custom_domain": DOMAIN,
    "api_gateway_endpoint_type": one_of("EDGE", "REGIONAL", "PRIVATE"),
    "api_gateway_endpoint_vpce": ANY,  # a string or a list of them
    "api_gateway_policy_file": TEXT,
    "api_gateway_stage": API_STAGE,
    "automatic_layer": BOOLEAN,
    "chalicekit": KIT_SETTINGS,
    "lambda_architecture": one_of("x86_64", "arm64"),
    "lambda_functions": {"*": FUNCTION_SETTINGS},
    "minimum_compression_size": number(0, 10485760),
    "websocket_api_custom_domain": DOMAIN,
}
SETTINGS: Known = STAGE_SETTINGS | {
    "app_name": TEXT,
    "profile": TEXT,
    "stages": ANY,
    "version": ANY,
}


def wrong_settings(project: Project) -> Iterator[str]:
    """Yield what is wrong with the settings of a stage."""
    yield from wrong_object(project.settings, SETTINGS, "")
    yield from wrong_object(stage_of(project.config), STAGE_SETTINGS, f"stages.{project.stage}.")


def wrong_object(values: dict[str, Any], known: Known, start: str) -> Iterator[str]:
    """Yield what is wrong with the settings in an object; `start` is its place in the file."""
    for name, value in values.items():
        kind = known.get(name) or known.get("*")
        if not kind:
            is_comment = name.startswith(("_", "$", "#", "/"))
            if not is_comment:
                yield from unknown_name(start + name, name, known)
        elif value is not None or name not in known:  # null is as if it were not there
            words, fits = OBJECT if isinstance(kind, dict) else kind
            if not fits(value):
                yield f"{FILE}: {start}{name} must be {words}, not {json.dumps(value)[:80]}."
            elif isinstance(kind, dict):
                yield from wrong_object(value, kind, f"{start}{name}.")


def unknown_name(where: str, name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield that a name is wrong if it looks like a slip of the pen; if not, only say so."""
    similar = get_close_matches(name, known, 1, 0.8)
    similar += [other for other in known if len(name) > 5 and other.endswith(f"_{name}")]
    if similar:
        yield f"{FILE}: {where} is not known: do you mean {similar[0]}?"
    else:
        click.echo(f"{FILE}: {where} has no effect.", err=True)


def wrong_variables(project: Project) -> Iterator[str]:
    """Yield which environment variables AWS does not take."""
    for function, settings in configured_functions(project.config).items():
        variables = settings.environment_variables
        where = f"{FILE}: environment_variables of {full_name(project, function)}"
        if reserved := sorted(RESERVED_VARIABLES & variables.keys()):
            yield f"{where}: Lambda sets {', '.join(reserved)} itself, choose other names."
        for name in variables:
            if name not in reserved and not re.fullmatch("[A-Za-z][A-Za-z0-9_]+", name):
                yield (
                    f"{where}: Lambda does not take the name {name!r}: start with a letter, "
                    "then add at least one letter, digit or underscore."
                )
        size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
        if size > VARIABLES_LIMIT:
            yield (
                f"{where} are {size} bytes, and Lambda takes {VARIABLES_LIMIT}: put large values "
                "into a file in chalicelib/ or into Parameter Store."
            )


def full_name(project: Project, name: str) -> str:
    """Return the name in AWS of a function that has this name for Chalice."""
    return project.name if name == API else f"{project.name}-{name}"
