"""A blueprint, with a data file and a dependency."""

import json
from pathlib import Path

import greeting
from chalice import Blueprint

orders = Blueprint(__name__)
WORDS = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))


@orders.route("/{name}")
def order(name: str) -> dict[str, str]:
    """Answer with JSON."""
    return {"text": greeting.greet(WORDS["hello"], name)}
