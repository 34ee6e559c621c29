"""The recipes' pages of results and the documented keys are what the program writes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import RECIPES, ROOT, name_of, section

from asr_kd.score.frame_results import render_frames
from asr_kd.score.origin import Origin
from asr_kd.score.report import read_results, render
from asr_kd.score.results import build_results
from asr_kd.score.systems import load_systems

STUDENT = "distilled"


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
    results = build_results(systems, origin=Origin(recipe="r"), num_folds=1, num_samples=100, seed=1)
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
    # What the intervals are over depends on the corpus.
    head, tail = render([]).split("## How to read")[1].split("test utterances")
    assert page.read_text().split("## How to read")[1].startswith(head) and page.read_text().endswith(tail)
