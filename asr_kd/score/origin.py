"""Which run a page is of, and the command that makes it anew."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asr_kd.options import option


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What the writer of a ``results.json`` is told about the run."""

    recipe: str = option("the recipe's name, for the report", default="")
    protocol: str = option("the recipe's protocol, where it has several", default="")
    command: str = option("the command that makes the run anew, for the report", default="")

    def facts(self) -> dict[str, str]:
        """The first keys of its ``results.json``."""
        return asdict(self)


def name_of(results: Mapping[str, Any]) -> str:
    """Recipe and protocol; empty where neither was told."""
    return ", ".join(filter(None, (results.get("recipe"), results.get("protocol"))))


def titled(what: str, results: Mapping[str, Any]) -> str:
    """``what: recipe, protocol``."""
    return ": ".join(filter(None, (what, name_of(results))))


def remade_by(results: Mapping[str, Any]) -> str:
    """A sentence for the page; empty where the command was not told."""
    return f"Remake with `{results['command']}`." if results.get("command") else ""
