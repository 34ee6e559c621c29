"""RESULTS.md and the printed summary say what the figures say, and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_kd.errors import DataError
from asr_kd.score.report import read_results, render
from asr_kd.score.summary import summary_table, wer_verdict

from .test_results import score

Make = Callable[..., Path]


@pytest.fixture
def results(make_experiment: Make) -> dict[str, Any]:
    return score(make_experiment("exp"))


def test_every_figure_of_the_table_is_in_the_report(results: dict[str, Any]) -> None:
    text = render([results])
    for row in results["systems"]:
        assert f"| {row['name']} | {row['members']} | {row['params']:,} | {row['seeds']} |" in text
        assert f"**{100 * row['wer']:.2f}**" in text
        errors = row["sub"] + row["ins"] + row["del"]
        assert f"[ {errors} / {row['ref_words']}, {row['ins']} ins, {row['del']} del, {row['sub']} sub ]" in text
    assert f"| distilled | {100 * results['gain_kept']['frame_accuracy']:.0f} % [" in text
    assert "Remake with `./run.sh`." in text


def test_several_protocols_share_one_page(results: dict[str, Any]) -> None:
    text = render([results, results | {"protocol": "held-out", "folds": 3, "command": "./run.sh --protocol held-out"}])
    assert text.count("\n## digits") == 2
    assert "## digits, held-out" in text
    assert "Remake with `./run.sh --protocol held-out`. Pooled over 3 folds" in text
    assert text.count("The paper's table") == 1


def test_a_missing_share_is_told_with_its_reason(results: dict[str, Any]) -> None:
    gain = results["gain_kept"] | {"wer": None, "wer_ci": None, "wer_std": None, "reason": {"wer": "too noisy"}}
    results["gain_kept"] = gain
    assert "No share of the gain is given (`-`): too noisy." in render([results])
    assert "WER -\n" in summary_table(results) + "\n"
    assert "too noisy" in summary_table(results)


@pytest.mark.parametrize(
    ("pairs_p", "bootstrap_p", "difference", "verdict"),
    [
        (0.2, 0.3, -0.01, "within noise"),
        (0.04, 0.06, -0.01, "the two tests disagree"),
        (0.01, 0.02, -0.01, "lower, significant"),
        (0.0, 0.0002, 0.01, "higher, significant"),
    ],
)
def test_a_difference_is_called_what_its_tests_allow(
    pairs_p: float, bootstrap_p: float, difference: float, verdict: str
) -> None:
    comparison = {
        "wer_difference": difference,
        "wer_difference_ci": [difference - 0.01, difference + 0.01],
        "matched_pairs_p": pairs_p,
        "bootstrap_p": bootstrap_p,
    }
    assert verdict in wer_verdict(comparison)


def test_summary_columns_are_aligned(results: dict[str, Any]) -> None:
    header, *rows = summary_table(results).splitlines()[:5]
    assert all(row.index("[") < header.index("]") and len(row) == len(header) for row in rows)


def test_missing_results_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run asr-kd score first"):
        read_results(tmp_path / "results.json")
