"""Every conf file of a recipe is read by a command that has its options."""

import dataclasses
import re
from pathlib import Path

import pytest
from project import CONFS, RECIPES, confs_called_for, fields_of, name_of, options_of

from asr_kd.options import parse

# One of several flags must be given, so none of them is.
NEEDED_WITHOUT_BEING_REQUIRED = {"sweep": ["--teachers", "x"]}


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_every_conf_file_of_a_recipe_is_given_to_a_command(recipe: Path) -> None:
    assert {path.stem for path in recipe.glob("conf/*.conf")} == set(confs_called_for(recipe))


@pytest.mark.parametrize(("conf", "command"), CONFS, ids=[name_of(conf) for conf, _ in CONFS])
def test_a_conf_file_parses_as_the_options_of_its_command(conf: Path, command: str) -> None:
    options = options_of(command)
    given = set(re.findall(r"^--([a-z0-9-]+)", conf.read_text(), re.MULTILINE))
    flags: list[str] = []
    places: list[str] = []
    for field, _ in fields_of(options):
        flag = field.name.replace("_", "-")
        word = str(field.metadata["choices"][0]) if field.metadata["choices"] else "x"
        if field.metadata["positional"]:
            places.append(word)
        elif field.default is dataclasses.MISSING and flag not in given:
            flags += [f"--{flag}", word]
    flags += NEEDED_WITHOUT_BEING_REQUIRED.get(command, [])
    parse(options, ["--config", str(conf), *flags, "--", *places], command=command, description="")
