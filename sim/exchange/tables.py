"""The files of `tables/`, read once: facts about the exchange that one recording may change."""

import json
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """The content of `tables/<name>`, a TOML or JSON file. It is shared: nobody may change it."""
    text = files("sim.exchange").joinpath("tables", name).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    return content
