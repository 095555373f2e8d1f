"""A blueprint, with a data file and a dependency."""

import json
from pathlib import Path

import greeting
from chalice import Blueprint
from chalice.app import CloudWatchEvent

orders = Blueprint(__name__)
WORDS = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))


@orders.route("/{name}")
def order(name: str) -> dict[str, str]:
    """Answer with JSON."""
    return {"text": greeting.greet(WORDS["hello"], name)}


@orders.schedule("rate(1 hour)")
def clean_up(event: CloudWatchEvent) -> None:
    """Do something other than respond to requests."""
    orders.log.info("cleaned up", extra={"removed": 3})
