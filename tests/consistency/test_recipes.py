"""Every recipe and every method of distillation has its files, its rows in the documents and its tests."""

import ast
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from project import PACKAGE, RECIPES, ROOT, fenced, name_of, rows, section


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
        local = re.findall(r"\w+", " ".join(re.findall(r"^ +local (.*)", text, re.MULTILINE)))
        set_here = set(re.findall(r"^ *(\w+)=", text, re.MULTILINE))
        assert set_here - own - set(local) <= set(table)
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
