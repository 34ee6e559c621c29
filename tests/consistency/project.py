"""What the agreement tests read the project with: its options, conf files, recipes and documents."""

import dataclasses
import importlib
import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "asr_kd"
RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/recipe.sh"))
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
EVERYWHERE = {"--help", "--debug", "--config"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def options_of(command: str) -> Any:
    return importlib.import_module(f"asr_kd.cli.{command.replace('-', '_')}").Options


def fields_of(options: Any) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Every option of a command with its type, those of groups too."""
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        if field.metadata.get("group"):
            yield from fields_of(hints[field.name])
        else:
            yield field, hints[field.name]


def flags_of(command: str) -> set[str]:
    named = (field.name for field, _ in fields_of(options_of(command)) if not field.metadata["positional"])
    return {f"--{name.replace('_', '-')}" for name in named} | EVERYWHERE


def stages_of(recipe: Path) -> str:
    """The shell with a recipe's stages: its own or those of run.sh."""
    own = recipe / "pipeline.sh"
    return (own if own.exists() else ROOT / "run.sh").read_text()


# What a recipe may do without: a longer lexicon, states in context, n-gram models.
OPTIONAL_CONFS = {"extend_lexicon", "tying", "tied", "lm", "lm_large"}


def confs_called_for(recipe: Path) -> dict[str, str]:
    """The command that each conf file is given to, as run.sh, the experiments and the recipe's own scripts say."""
    stages = stages_of(recipe)
    experiments = "".join(path.read_text() for path in sorted(ROOT.glob("local/experiments/*.sh")))
    shell = stages + (recipe / "local/prepare_data.sh").read_text() + experiments + (recipe / "recipe.sh").read_text()
    kinds = re.search(r'^students="(.*?)"', (recipe / "recipe.sh").read_text(), re.MULTILINE)
    assert kinds, f"{recipe}/recipe.sh names no students"
    of_specialists = re.findall(r"^specialists_student=(\w+)", (ROOT / "run.sh").read_text() + shell, re.MULTILINE)
    called: dict[str, str] = {}
    for command, name in re.findall(
        r'asr-kd ([a-z-]+)[^\n]*?--config "\$(?:conf|recipe/conf)/([^"]+)\.conf"', shell.replace("\\\n", " ")
    ):
        meant = {
            "$kind": kinds[1].split(),
            "$name": names_given_to(command, stages),
            "$specialists_student": of_specialists[-1:],
        }
        names = meant.get(name, [name])
        called |= dict.fromkeys(names, command)
    of_experiments = set(re.findall(r'--config "\$conf/([^"]+)\.conf"', experiments))
    optional = of_experiments | OPTIONAL_CONFS
    return {conf: command for conf, command in called.items() if conf not in optional or has(recipe, conf)}


def has(recipe: Path, conf: str) -> bool:
    return (recipe / f"conf/{conf}.conf").exists()


def names_given_to(command: str, shell: str) -> list[str]:
    """The conf files that a shell function which calls a command with ``$conf/$name.conf`` is called with."""
    for function, body in re.findall(r"^(\w+)\(\) \{\n(.*?)^\}", shell, re.MULTILINE | re.DOTALL):
        if f"asr-kd {command} " in body and "$conf/$name.conf" in body:
            return re.findall(rf"^\s+{function} (\w+) ", shell, re.MULTILINE)
    return []


CONFS = [
    (recipe / f"conf/{conf}.conf", command) for recipe in RECIPES for conf, command in confs_called_for(recipe).items()
]


def fenced(document: Path, language: str | None = None) -> list[str]:
    """The fenced blocks of a document; only those of a language, where one is named."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [text for kind, text in blocks if language is None or kind == language]


def calls(text: str) -> Iterator[list[str]]:
    """The words of every call of asr-kd in some shell, a loop's variable being 1."""
    for line in re.sub(r"\$\w+", "1", text.replace("\\\n", " ")).splitlines():
        words = shlex.split(line, comments=True) if "asr-kd" in line else []
        if words[:1] == ["asr-kd"] and re.fullmatch("[a-z-]+", words[1]):
            yield words[1:]


def section(document: Path, title: str) -> str:
    parts = re.split(r"^(?=## )", document.read_text(), flags=re.MULTILINE)
    found = [part for part in parts if part.startswith(f"## {title}\n")]
    assert len(found) == 1, f"{document}: {len(found)} sections '## {title}'"
    return found[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of a document's tables, their heads left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, line in enumerate(lines) if set(line) <= set("|-: ")}
    kept = [line for number, line in enumerate(lines) if number not in heads and number - 1 not in heads]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in kept]
