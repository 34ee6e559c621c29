"""The part of the report about words: significance of all pairs, vocabulary, perplexity, rescored systems."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.hmm.states import monophone_states
from asr_kd.lang.grammar import word_loop
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.units import Spelling
from asr_kd.score.report import render
from asr_kd.score.report_words import stars
from asr_kd.score.systems import load_systems
from asr_kd.score.vocabulary import language_models, out_of_vocabulary, read_vocabulary

from .conftest import WORDS
from .test_results import score
from .test_systems import edit_info

Make = Callable[..., Path]
RESCORED = ("baseline-1", "baseline-2", "baseline-3", "ensemble-1", "distilled-1", "distilled-2")


def rescore(experiment: Path, *, but: str = "") -> None:
    """Rescored systems: every third error of ``hyp.txt`` is mended."""
    for name in RESCORED:
        directory = experiment / "decode" / name
        if name.startswith(but) and but:
            continue
        system = name.split("-")[0]
        copy = experiment / "decode" / f"{system}+4-gram-{name[-1]}"
        shutil.copytree(directory, copy)
        refs, hyps = ((copy / file).read_text().splitlines() for file in ("ref.txt", "hyp.txt"))
        mended = [r if place % 3 == 0 else h for place, (r, h) in enumerate(zip(refs, hyps, strict=True))]
        (copy / "hyp.txt").write_text("\n".join(mended) + "\n")
        edit_info(copy, name=f"{system}+4-gram")


def test_rescored_systems_follow_the_others_in_the_same_order(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=40)
    rescore(experiment)
    plain = ["baseline", "ensemble", "distilled", "distilled_small"]
    assert [s.name for s in load_systems([experiment])] == [*plain, *(f"{name}+4-gram" for name in plain[:3])]


def test_a_rescored_student_is_measured_by_the_rescored_ensemble(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=1200)
    rescore(experiment)
    results = score(experiment)
    rates = {row["name"]: row["wer"] for row in results["systems"]}
    gain = results["gain_kept_distilled+4-gram"]
    expected = (rates["distilled+4-gram"] - rates["baseline+4-gram"]) / (
        rates["ensemble+4-gram"] - rates["baseline+4-gram"]
    )
    assert gain["wer"] == pytest.approx(expected)
    rivals = ("baseline+4-gram", "ensemble+4-gram", "distilled")
    assert list(gain["significance"]) == [f"distilled+4-gram_vs_{other}" for other in rivals]
    assert gain["significance"]["distilled+4-gram_vs_distilled"]["wer_difference"] < 0
    assert "gain_kept_ensemble+4-gram" not in results


def test_what_rescoring_chose_is_shown_where_something_was_rescored(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=20)
    assert "LM scale" not in render([score(experiment)])
    rescore(experiment)
    edit_info(experiment / "decode/distilled+4-gram-1", lm_scale=1.25, oracle_wer=0.0321)
    text = render([score(experiment)])
    assert "| LM scale |" in text
    assert "| 3.21 |" in text
    assert "| 1.25 |" in text


def test_without_a_rescored_ensemble_a_rescored_student_keeps_no_share(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=40)
    rescore(experiment, but="ensemble")
    gain = score(experiment)["gain_kept_distilled+4-gram"]
    assert gain["wer"] is None
    assert gain["reason"]["wer"] == "no system named 'ensemble+4-gram' was decoded"


def test_a_rescored_student_without_a_rescored_baseline_is_compared_and_keeps_no_share(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=40)
    rescore(experiment, but="baseline")
    results = score(experiment)
    gain = results["gain_kept_distilled+4-gram"]
    assert gain["wer"] is None
    assert gain["reason"]["wer"] == "no system named 'baseline+4-gram' was decoded"
    assert "distilled+4-gram_vs_ensemble+4-gram" in gain["significance"]
    assert "distilled+4-gram" in render([results])


def test_many_systems_are_compared_in_one_table(make_experiment: Make) -> None:
    experiment = make_experiment("exp")
    rescore(experiment)
    results = score(experiment)
    text = render([results])
    assert len(results["pairs"]) == 7 * 6 // 2
    assert "for all 21 comparisons together" in text
    for pair in results["pairs"]:
        assert pair["holm_p"] >= pair["matched_pairs_p"]
        assert f"{100 * pair['wer_difference']:+.2f}{stars(pair['holm_p'])}".replace("*", "\\*") in text
    few = [row for row in results["systems"] if "+" not in row["name"]]
    assert "All systems against each other" not in render([results | {"systems": few}])


@pytest.mark.parametrize(("p", "mark"), [(0.0005, "***"), (0.005, "**"), (0.04, "*"), (0.05, "")])
def test_stars_are_nists(p: float, mark: str) -> None:
    assert stars(p) == mark


def test_words_outside_the_vocabulary_are_counted_with_their_errors(make_experiment: Make) -> None:
    systems = load_systems([make_experiment("exp")])
    found = out_of_vocabulary(systems, frozenset(WORDS) - {"nine"})
    references = systems[0].runs[0].references()
    assert found["words"] == sum(word == "nine" for words in references for word in words)
    assert found["rate"] == pytest.approx(found["words"] / sum(map(len, references)))
    assert found["different_words"] == 1
    assert 0.02 < found["share_of_errors"]["baseline"] < 0.2
    assert out_of_vocabulary(systems, frozenset(WORDS))["words"] == 0


def test_the_vocabulary_is_that_of_the_graph(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) is None
    (tmp_path / "graph").mkdir()
    symbols = ["<eps>", "one", "two", "#0", "<s>", "</s>"]
    (tmp_path / "graph/words.txt").write_text("".join(f"{word} {n}\n" for n, word in enumerate(symbols)))
    assert read_vocabulary(tmp_path) == {"one", "two"}


def test_a_graph_of_pieces_has_no_vocabulary(tmp_path: Path) -> None:
    spelling = Spelling.of(["ONE", "TWO"])
    lexicon = Lexicon(tuple((piece, spelling.of_piece(piece)) for piece in spelling.single_pieces()))
    inventory = monophone_states(lexicon, "SIL", 1, 1)
    (tmp_path / "graph").mkdir()
    save_graph(tmp_path / "graph", build_graph(lexicon, inventory, word_loop(lexicon)), lexicon, inventory)
    assert read_vocabulary(tmp_path) is None


ARPA = "\\data\\\nngram 1=4\n\n\\1-grams:\n-0.5\t</s>\n-99\t<s>\n-1.0\tone\n-0.25\ttwo\n\n\\end\\\n"


def test_perplexity_leaves_out_unknown_words(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA)
    (found,) = language_models([("one", "two", "three"), ("two",)], [tmp_path / "lm.arpa"])
    logs = [-1.0, -0.25, -0.5, -0.25, -0.5]
    assert found["perplexity"] == pytest.approx(10 ** (-np.mean(logs)), rel=1e-5)
    assert (found["unknown_words"], found["order"]) == (1, 1)


def test_a_model_of_pieces_has_no_perplexity_of_words(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(ARPA.replace("one", "▁one"))
    assert language_models([("one", "two")], [tmp_path / "lm.arpa"]) == []


def test_the_page_says_what_is_known_of_the_words(make_experiment: Make) -> None:
    results: dict[str, Any] = score(make_experiment("exp"))
    text = render([results])
    assert "**Words most often confused** (distilled, 2 seeds together)" in text
    assert "| anna | " in text
    assert "Outside the vocabulary" not in text
    shares = {row["name"]: 0.25 for row in results["systems"]}
    results["out_of_vocabulary"] = {"words": 9, "rate": 0.01, "different_words": 4, "share_of_errors": shares}
    results["language_models"] = [{"name": "lm/lm.arpa.gz", "order": 3, "perplexity": 297.0, "unknown_words": 229}]
    text = render([results])
    assert "(1.0 %), 4 different ones" in text
    assert "order 3: perplexity 297.0" in text
    many = [{**results["speakers"][0], "speaker": f"s{n}"} for n in range(100)]
    assert "of 100 speakers spreads" in render([results | {"speakers": many}])
