"""What the settings in `.chalice/config.json` can be, and the kit's own among them.

Chalice takes unknown names and wrong kinds of values without a word; AWS refuses some of them after
the upload.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click
from chalice.config import Config

FILE = ".chalice/config.json"
API = "api_handler"  # Chalice's name for the function of the API


@dataclass(frozen=True)
class Kind:
    """What values a setting can have: in words for a message, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def text(pattern: str = "(?s:.*)", words: str = "a string") -> Kind:
    """Return the kind of a text that matches a pattern."""
    return Kind(words, lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)))


def number(low: int = 0, high: int = 2**31) -> Kind:
    """Return the kind of a whole number from `low` to `high`."""
    words = f"a number from {low} to {high}" if high < 2**31 else "a number"
    return Kind(words, lambda value: type(value) is int and low <= value <= high)


ANY = Kind("anything", lambda value: True)
TEXT, BOOLEAN = text(), Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
TEXTS = Kind(
    "a list of strings",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
)
NAMED_TEXTS = Kind("an object of strings", OBJECT.fits)  # each value is checked, too
OBJECTS = Kind(
    "an object of objects",
    lambda value: isinstance(value, dict) and all(map(OBJECT.fits, value.values())),
)
DOMAIN = Kind(
    "an object with domain_name and certificate_arn",
    lambda value: (
        isinstance(value, dict)
        and (not value or {"domain_name", "certificate_arn"} <= value.keys())
    ),
)
LAYERS = Kind(
    "a list of at most 5 ARNs",
    lambda value: (
        TEXTS.fits(value) and len(value) <= 5 and all(item.startswith("arn:") for item in value)
    ),
)
LOG_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192]
LOG_DAYS += [2557, 2922, 3288, 3653]
# Chalice's settings, and what AWS takes for them. Those of a function can also be a stage's, and
# those of a stage can also be those of all stages.
# aws.github.io/chalice/topics/configfile.html, docs.aws.amazon.com/lambda/latest/api
FUNCTION_SETTINGS = {
    "autogen_policy": BOOLEAN,
    "environment_variables": NAMED_TEXTS,
    "iam_policy_file": TEXT,
    "iam_role_arn": TEXT,
    "lambda_memory_size": number(128, 10240),
    "lambda_timeout": number(1, 900),
    "layers": LAYERS,
    "log_retention_in_days": Kind(f"one of {LOG_DAYS}", lambda value: value in LOG_DAYS),
    "manage_iam_role": BOOLEAN,
    "reserved_concurrency": number(),
    "security_group_ids": TEXTS,
    "subnet_ids": TEXTS,
    "tags": NAMED_TEXTS,
    "xray": BOOLEAN,
}
STAGE_SETTINGS = FUNCTION_SETTINGS | {
    "api_gateway_custom_domain": DOMAIN,
    "api_gateway_endpoint_type": text("EDGE|REGIONAL|PRIVATE", "EDGE, REGIONAL or PRIVATE"),
    "api_gateway_endpoint_vpce": ANY,  # a string or a list of them
    "api_gateway_policy_file": TEXT,
    "api_gateway_stage": text("[A-Za-z0-9_-]{1,128}", "letters, digits, - and _"),
    "automatic_layer": BOOLEAN,
    "chalicekit": OBJECT,
    "lambda_architecture": text("x86_64|arm64", "x86_64 or arm64"),
    "lambda_functions": OBJECTS,
    "minimum_compression_size": number(0, 10485760),
    "websocket_api_custom_domain": DOMAIN,
}
SETTINGS = STAGE_SETTINGS | {"app_name": TEXT, "profile": TEXT, "stages": OBJECTS, "version": ANY}
KIT_SETTINGS = {"include": TEXTS, "layer_modules": TEXTS}


@dataclass(frozen=True)
class KitSettings:
    """The kit's own settings: the object `chalicekit` in `.chalice/config.json`, or in a stage.

    Attributes:
        include: Patterns of the paths that are packaged although git does not track them.
        layer_modules: The names of the modules that layers bring, or `*` if they may bring any.

    """

    include: tuple[str, ...]
    layer_modules: tuple[str, ...]


def kit_settings(config: Config) -> KitSettings:
    """Return the kit's own settings for a stage."""
    disk, stage = config.config_from_disk, stage_of(config)
    found = {**as_object(disk.get("chalicekit")), **as_object(stage.get("chalicekit"))}
    has_layers = any(function.layers for function in configured_functions(config).values())
    modules = found.get("layer_modules", ["*"] if has_layers else [])
    return KitSettings(tuple(found.get("include", ())), tuple(modules))


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one for anything else, which is refused elsewhere."""
    return value if isinstance(value, dict) else {}


def stage_of(config: Config) -> dict[str, Any]:
    """Return the settings of a stage alone."""
    stages = as_object(config.config_from_disk.get("stages"))
    return as_object(stages.get(config.chalice_stage))


def configured_functions(config: Config) -> dict[str, Config]:
    """Return the settings of the API's function, and of each that has settings of its own."""
    names = {API: None}
    for level in (config.config_from_disk, stage_of(config)):
        names |= dict.fromkeys(as_object(level.get("lambda_functions")))
    return {name: config.scope(config.chalice_stage, name) for name in names}


def wrong_settings(config: Config) -> Iterator[str]:
    """Yield what is wrong with the settings of a stage."""
    disk, stage = config.config_from_disk, stage_of(config)
    where = f"stages.{config.chalice_stage}."
    yield from wrong_values(disk, "", SETTINGS)
    yield from wrong_values(stage, where, STAGE_SETTINGS)
    for level, start in ((disk, ""), (stage, where)):
        own = as_object(level.get("chalicekit"))
        yield from wrong_values(own, f"{start}chalicekit.", KIT_SETTINGS)
        for name, values in as_object(level.get("lambda_functions")).items():
            start_of_function = f"{start}lambda_functions.{name}."
            yield from wrong_values(as_object(values), start_of_function, FUNCTION_SETTINGS)


def wrong_values(values: Mapping[str, Any], start: str, known: Mapping[str, Kind]) -> Iterator[str]:
    """Yield what is wrong with settings that have one place; say what has no effect there."""
    for key, value in values.items():
        if known.get(key) is NAMED_TEXTS and isinstance(value, dict):
            for name, item in value.items():
                yield from wrong_value(f"{start}{key}.{name}", item, TEXT)
        elif key in known:
            yield from wrong_value(f"{start}{key}", value, known[key]) if value is not None else ()
        elif key[:1] not in "_$#/":  # which people use for comments
            yield from unknown(f"{start}{key}", key, known)


def wrong_value(where: str, value: Any, kind: Kind) -> Iterator[str]:
    """Yield what is wrong with one value."""
    if not kind.fits(value):
        yield f"{FILE}: {where} must be {kind.words}, not {json.dumps(value)[:80]}."


def unknown(where: str, key: str, known: Iterable[str]) -> Iterator[str]:
    """Yield that a key looks like a slip of the pen; only say it if it looks like none."""
    similar = get_close_matches(key, known, 1, 0.8)
    similar += [name for name in known if len(key) > 5 and name.endswith(f"_{key}")]
    if similar:
        yield f"{FILE}: {where} is not known: do you mean {similar[0]}?"
    else:
        click.echo(f"{FILE}: {where} has no effect.", err=True)
