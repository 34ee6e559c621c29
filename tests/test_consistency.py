"""What is written twice agrees: conf files and options, documents and commands, recipes and their results."""

import ast
import configparser
import dataclasses
import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from asr_kd.cli.main import COMMANDS, main
from asr_kd.options import parse
from asr_kd.score.frame_results import render_frames
from asr_kd.score.report import read_results, render
from asr_kd.score.results import build_results
from asr_kd.score.systems import load_systems

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "asr_kd"
RECIPES = sorted(path.parent for path in ROOT.glob("recipes/*/recipe.sh"))
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
EVERYWHERE = {"--help", "--debug", "--config"}
STUDENT = "distilled"
# One of several flags must be given, so none of them is.
NEEDED_WITHOUT_BEING_REQUIRED = {"sweep": ["--teachers", "x"]}


@pytest.fixture(autouse=True)
def _restored_sigterm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


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


# Commands


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {path.stem.replace("_", "-") for path in PACKAGE.glob("cli/*.py")} - {"--init--", "main"}
    assert modules == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_options_a_run_and_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"asr_kd.cli.{command.replace('-', '_')}")
    assert dataclasses.is_dataclass(module.Options) and callable(module.run)
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert module.__doc__.splitlines()[0] in shown
    assert flags_of(command) - {"--help"} <= set(re.findall(r"--[a-z0-9-]+", shown))


# Conf files


def stages_of(recipe: Path) -> str:
    """The shell with a recipe's stages: its own or those of run.sh."""
    own = recipe / "pipeline.sh"
    return (own if own.exists() else ROOT / "run.sh").read_text()


# What a recipe may do without: states in context, n-gram models.
OPTIONAL_CONFS = {"tying", "tied", "lm", "lm_large"}


def confs_called_for(recipe: Path) -> dict[str, str]:
    """The command that each conf file is given to, as run.sh, the experiments and the recipe's own scripts say."""
    stages = stages_of(recipe)
    experiments = "".join(path.read_text() for path in sorted(ROOT.glob("local/experiments/*.sh")))
    shell = stages + (recipe / "local/prepare_data.sh").read_text() + experiments + (recipe / "recipe.sh").read_text()
    kinds = re.search(r'^students="(.*?)"', (recipe / "recipe.sh").read_text(), re.MULTILINE)
    assert kinds, f"{recipe}/recipe.sh names no students"
    called: dict[str, str] = {}
    for command, name in re.findall(
        r'asr-kd ([a-z-]+)[^\n]*?--config "\$(?:conf|recipe/conf)/([^"]+)\.conf"', shell.replace("\\\n", " ")
    ):
        names = {"$kind": kinds[1].split(), "$name": names_given_to(command, stages)}.get(name, [name])
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


# Documents


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
    by_default = re.search(r"\|\| prepare_language\(\) \{\n(.*?)\n\}", shell, re.DOTALL)
    assert by_default
    stages = {number: text.replace("prepare_language", by_default[1]) for number, text in stages.items()}
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


# Results


def made_up_experiment(folder: Path) -> Path:
    """Decode directories of five runs, each with other errors."""
    runs = [("baseline", 1), ("baseline", 2), ("ensemble", 1), (STUDENT, 1), (f"{STUDENT}_small", 1)]
    for place, (name, seed) in enumerate(runs):
        directory = folder / "decode" / f"{name}-{seed}"
        directory.mkdir(parents=True)
        info = {"name": name, "seed": seed, "members": 1, "params": 9, "num_pdfs": 5, "conf": "train.conf"}
        (directory / "system.json").write_text(json.dumps(info))
        (directory / "ref.txt").write_text("a-1 ONE TWO\na-2 TWO\n")
        (directory / "hyp.txt").write_text("a-1 ONE TWO\na-2\n" if place % 2 else "a-1 ONE\na-2 ONE\n")
        (directory / "utt2spk").write_text("a-1 a\na-2 a\n")
        rates = f"a-1\t10\t{5 + place}\t9.5\na-2\t8\t{1 + place}\t7.5\n"
        (directory / "frames.tsv").write_text("utt\tnum_frames\tnum_correct\tcross_entropy\n" + rates)
    return folder


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_in(inner)


def test_the_formats_list_every_key_of_the_results(tmp_path: Path) -> None:
    systems = load_systems([made_up_experiment(tmp_path)])
    results = build_results(systems, recipe="r", protocol="", num_folds=1, num_samples=100, seed=1)
    told = set(re.findall(r"`([^`]+)`", section(ROOT / "docs/formats.md", "Scores")))
    generic = {
        key.replace(f"{STUDENT}_small", "<name>").replace(f"{STUDENT}_vs", "<student>_vs") for key in keys_in(results)
    }
    assert {key.replace("<name>_vs", "<student>_vs") for key in generic} <= told


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_a_recipes_page_of_results_is_what_the_program_writes(recipe: Path) -> None:
    """The figures where the run's own are still there; else that part which no run changes."""
    page = recipe / "RESULTS.md"
    if not page.exists():
        pytest.skip(f"{page} is not written yet")
    if (recipe / "pipeline.sh").exists():
        made_here = recipe / "exp/score/results.json"
        if made_here.exists():
            assert page.read_text() == render_frames(read_results(made_here))
        assert "Written by `asr-kd score-frames` from the runs themselves" in page.read_text()
        return
    paths = [recipe / "exp/results.json", *sorted(recipe.glob("exp/*/results.json"))]
    made = [path for path in paths if path.is_file() and path.parent.name != "score"]
    if made:
        assert page.read_text() == render([read_results(path) for path in made])
    assert page.read_text().endswith(render([])[render([]).index("## How to read") :])


# Recipes and methods


@pytest.mark.parametrize("folder", sorted(path for path in ROOT.glob("recipes/*") if path.is_dir()), ids=name_of)
def test_a_recipe_has_its_files(folder: Path) -> None:
    assert (folder / "recipe.sh").is_file()
    assert any(folder.glob("conf/*.conf"))
    assert os.access(folder / "local/prepare_data.sh", os.X_OK), "local/prepare_data.sh must be executable"


def test_the_documents_list_every_variable_of_a_recipe() -> None:
    table = {
        name: row[1]
        for row in rows(section(ROOT / "docs/adding.md", "A recipe"))
        for name in re.findall(r"`(\w+)`", row[0])
    }
    needed = {name for name, what in table.items() if not what.startswith(("optional", "only"))}
    for recipe in RECIPES:
        text = (recipe / "recipe.sh").read_text()
        own = set(re.findall(r"^recipe_options=\((.*)\)", text, re.MULTILINE)[0].split())
        set_here = set(re.findall(r"^ *(\w+)=", text, re.MULTILINE))
        assert set_here - own <= set(table)
        assert "pipeline" in set_here or needed <= set_here


def is_method(path: Path) -> bool:
    """Whether a file has an objective: a class with ``losses``."""
    classes = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    return any(isinstance(part, ast.FunctionDef) and part.name == "losses" for node in classes for part in node.body)


METHODS = [path for path in sorted(PACKAGE.glob("distill/*.py")) if is_method(path)]


@pytest.mark.parametrize("method", METHODS, ids=name_of)
def test_a_method_has_a_row_a_conf_and_a_test(method: Path) -> None:
    found = [row for row in rows((ROOT / "docs/methods.md").read_text()) if f"`{name_of(method)}`" in row]
    assert len(found) == 1
    confs, test = re.findall(r"`(\w+\.conf)`", found[0][4]), found[0][5].strip("`")
    assert confs and all(any(ROOT.glob(f"recipes/*/conf/{conf}")) for conf in confs)
    assert test == f"tests/distill/test_{method.name}" and (ROOT / test).is_file()


def test_every_row_of_methods_is_a_method() -> None:
    told = {row[1].strip("`") for row in rows((ROOT / "docs/methods.md").read_text()) if len(row) == 6}
    assert told == {name_of(method) for method in METHODS}


def test_the_example_of_a_method_computes_its_equation() -> None:
    example = next(block for block in fenced(ROOT / "docs/adding.md", "python") if "class LogitMatching" in block)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/adding.md", "exec"), names)
    members = [SimpleNamespace(logits=lambda x_BW, s=scale: s * x_BW) for scale in (1.0, 3.0)]
    logits_BP = torch.tensor([[1.0, 2.0]], requires_grad=True)
    losses = names["LogitMatching"](members).losses(logits_BP, SimpleNamespace(inputs_BW=torch.tensor([[1.0, 0.0]])))
    losses["logits"].backward()
    assert losses["logits"].item() == pytest.approx(((1 - 2) ** 2 + (2 - 0) ** 2) / 2)
    assert logits_BP.grad is not None and logits_BP.grad.tolist() == [[-1.0, 2.0]]


# Everything in the repository

# Spelt so that this file does not hold them itself.
ELSEWHERE = (
    re.compile(r"(?<![\w.$}~<>])/(?:work|tmp|home|root|mnt|Users)/"),
    re.compile(r"https?://[^\s)\"']*(?:[p]ypi|[p]ythonhosted|[a]rtifactory|[i]ndex-url|[r]egistry)"),
    re.compile(r"(?i)[p]ythonhosted|[a]rtifactory"),
)


def test_no_file_names_a_path_or_a_package_host_of_some_machine() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    ).stdout.split("\0")
    if listed == [""]:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listed):
        path = ROOT / name
        text = path.read_text(encoding="utf-8", errors="ignore") if path.is_file() else ""
        found += [f"{name}: {match[0]}" for pattern in ELSEWHERE for match in pattern.finditer(text)]
    assert found == []
