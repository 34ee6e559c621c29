"""Documents name commands, options, files, layers and stages that are there."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
from project import (
    CONFS,
    DOCUMENTS,
    PACKAGE,
    RECIPES,
    ROOT,
    calls,
    fenced,
    flags_of,
    name_of,
    options_of,
    rows,
    section,
)

from asr_kd.cli.main import COMMANDS
from asr_kd.options import parse


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_a_document_names_exists(document: Path) -> None:
    named = set(re.findall(r"asr-kd ([a-z][a-z-]*)", document.read_text()))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_option_beside_a_command_in_a_document_exists(document: Path) -> None:
    for words in (words for block in fenced(document) for words in calls(block)):
        used = {word.split("=")[0] for word in words[1:] if word.startswith("--") and word != "--"}
        assert used <= flags_of(words[0]), f"{document}: asr-kd {shlex.join(words)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_the_commands_of_a_bash_block_are_whole(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for words in (words for block in fenced(document, "bash") for words in calls(block)):
        parse(options_of(words[0]), words[1:], command=words[0], description="")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_a_document_links_to_exists(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]*)(?:#[\w-]+)?\)", document.read_text()):
        linked = document.parent / target if target else document
        assert linked.exists() or linked.name == "RESULTS.md", f"{document} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_of_the_package_a_document_names_exists(document: Path) -> None:
    named = re.findall(r"`((?:asr_kd|tests|local|docs)/[\w/.]+)`", document.read_text())
    folders = [ROOT, *RECIPES]
    assert [path for path in named if not any((folder / path).exists() for folder in folders)] == []


def tree_of_readme() -> dict[str, str]:
    """Path and purpose of each line of the README's tree of files."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", section(ROOT / "README.md", "Files"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, "README.md: the section Files holds one fenced block"
    lines = [re.fullmatch(r"(\S+)\s{2,}(\S.*)", line) for line in blocks[0].splitlines()]
    assert all(lines), "README.md: each line of the tree is a path and, after two spaces or more, its purpose"
    return {line[1]: line[2] for line in lines if line}


def test_the_readmes_tree_of_files_names_what_is_there_and_every_layer() -> None:
    tree = tree_of_readme()
    assert [path for path in tree if not (ROOT / path).exists()] == []
    packages = {f"asr_kd/{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    recipes = {f"recipes/{path.name}/" for path in RECIPES}
    assert packages | recipes | {"run.sh", "local/", "tests/", "docs/", "setup.cfg"} <= set(tree)


def test_the_layers_of_the_architecture_are_those_that_are_checked() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    checked = setup["importlinter:contract:layers"]["layers"].split("\n")
    told = [set(re.findall(r"`(\w+)`", row[0])) for row in rows(section(ROOT / "docs/architecture.md", "Layers"))]
    assert told == [{name.strip().removeprefix("asr_kd.") for name in line.split("|")} for line in checked if line]


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md"])
def test_the_stages_of_a_table_are_those_of_run_sh(document: str) -> None:
    """Their numbers, and for each one the commands that run.sh calls in it."""
    shell = (ROOT / "run.sh").read_text()
    stages = dict(re.findall(r"at_stage (\d+) .*?; then\n(.*?)(?=at_stage|\Z)", shell, re.DOTALL))
    functions = dict(re.findall(r"(\w+)\(\) \{\n(.*?)\n\}", shell, re.DOTALL))
    for name in ("prepare_language", "train_lms", "pronounced_words"):
        stages = {number: text.replace(name, functions[name]) for number, text in stages.items()}
    told = {row[0]: row[1] for row in rows((ROOT / document).read_text()) if row[0].isdigit() and len(row) > 2}
    assert set(told) == set(stages)
    for number, commands in told.items():
        for command in set(re.findall(r"`([a-z-]+)`", commands)) - {"make-digits", "make-fsdd"}:
            assert f"asr-kd {command} " in stages[number] or command in stages[number].split(), (number, command)


@pytest.mark.parametrize(("conf", "command"), CONFS, ids=[name_of(conf) for conf, _ in CONFS])
def test_the_formats_say_which_command_a_conf_file_is_for(conf: Path, command: str) -> None:
    said = {row[0]: row[1] for row in rows(section(ROOT / "docs/formats.md", "Conf files"))}
    found = [commands for confs, commands in said.items() if f"`{conf.name}`" in confs]
    assert found and all(f"`{command}`" in commands for commands in found)
