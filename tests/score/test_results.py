"""The dictionary of results: what gain kept is, and that folds pool into one test set."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.score.bootstrap import Estimate
from asr_kd.score.origin import Origin
from asr_kd.score.results import build_results, fraction_kept
from asr_kd.score.systems import load_systems

from .conftest import write_decoded
from .test_systems import edit_info

Make = Callable[..., Path]


def score(*experiments: Path, samples: int = 500) -> dict[str, Any]:
    return build_results(
        load_systems(experiments),
        origin=Origin(recipe="digits", command="./run.sh"),
        num_folds=len(experiments),
        num_samples=samples,
        seed=1,
    )


def replace_student(experiment: Path, by: str, *, seeds: tuple[int, ...]) -> None:
    """Put copies of another system's runs in the place of the student's."""
    for seed in (1, 2):
        shutil.rmtree(experiment / f"decode/distilled-{seed}")
    for seed in seeds:
        copy = experiment / f"decode/distilled-{seed}"
        shutil.copytree(experiment / f"decode/{by}-{seed}", copy)
        edit_info(copy, name="distilled")


def test_rates_are_means_over_seeds_and_match_their_counts(make_experiment: Make) -> None:
    rows = score(make_experiment("exp"))["systems"]
    for row in rows:
        assert row["wer"] == (row["sub"] + row["ins"] + row["del"]) / row["ref_words"]
        for metric in ("wer", "frame_accuracy"):
            assert row[metric] == pytest.approx(np.mean([run[metric] for run in row["runs"]]))
            assert row[f"{metric}_ci"][0] <= row[metric] <= row[f"{metric}_ci"][1]
    assert [row["seeds"] for row in rows] == [3, 1, 2, 1]
    assert rows[0]["wer_std"] == pytest.approx(np.std([run["wer"] for run in rows[0]["runs"]], ddof=1))
    assert rows[1]["wer_std"] is None


@pytest.mark.parametrize(("by", "seeds", "kept"), [("ensemble", (1,), 1.0), ("baseline", (1, 2, 3), 0.0)])
def test_a_student_that_is_another_system_keeps_all_or_nothing(
    make_experiment: Make, by: str, seeds: tuple[int, ...], kept: float
) -> None:
    experiment = make_experiment("exp")
    replace_student(experiment, by, seeds=seeds)
    gain = score(experiment)["gain_kept"]
    for metric in ("frame_accuracy", "wer"):
        assert gain[metric] == kept
        assert gain[f"{metric}_ci"] == [kept, kept]
    comparison = gain["significance"][f"distilled_vs_{by}"]
    assert comparison["wer_difference"] == 0
    assert comparison["matched_pairs_p"] == comparison["bootstrap_p"] == 1.0


finite = st.floats(-1, 1)


@given(finite, finite.filter(lambda x: abs(x) > 1e-3), st.floats(-2, 3))
@settings(max_examples=50)
def test_fraction_kept_undoes_the_mix_of_baseline_and_ensemble(base: float, gain: float, share: float) -> None:
    def estimate(value: float) -> Estimate:
        return Estimate(value, np.array([value]))

    kept = fraction_kept(estimate(base), estimate(base + gain), estimate(base + share * gain))
    assert kept.value == pytest.approx(share, abs=1e-9)
    assert kept.samples_B[0] == pytest.approx(share, abs=1e-9)


def test_the_spread_of_gain_kept_is_that_of_the_students_seeds_in_parts_of_the_gain(make_experiment: Make) -> None:
    results = score(make_experiment("exp"))
    rows = {row["name"]: row for row in results["systems"]}
    for metric in ("frame_accuracy", "wer"):
        gain = abs(rows["ensemble"][metric] - rows["baseline"][metric])
        shares = [run[metric] / gain for run in rows["distilled"]["runs"]]
        assert results["gain_kept"][f"{metric}_std"] == pytest.approx(np.std(shares, ddof=1))


def test_holms_p_is_of_the_matched_pairs_of_all_comparisons(make_experiment: Make) -> None:
    pairs = score(make_experiment("exp", num_utterances=60))["pairs"]
    assert len(pairs) == 6
    ps = sorted(pair["matched_pairs_p"] for pair in pairs)
    for pair in pairs:
        # Holm 1979: of all p not above its own, each times the number of comparisons from it on, the largest.
        not_larger = [min(1.0, (6 - rank) * p) for rank, p in enumerate(ps) if p <= pair["matched_pairs_p"]]
        assert pair["holm_p"] == pytest.approx(max(not_larger))
    assert any(pair["matched_pairs_p"] != pytest.approx(pair["bootstrap_p"]) for pair in pairs)


def test_no_share_of_a_gain_within_noise(make_experiment: Make) -> None:
    experiment = make_experiment("exp")
    shutil.rmtree(experiment / "decode/ensemble-1")
    shutil.copytree(experiment / "decode/baseline-1", experiment / "decode/ensemble-1")
    edit_info(experiment / "decode/ensemble-1", name="ensemble")
    gain = score(experiment)["gain_kept"]
    assert gain["wer"] is None
    assert gain["wer_ci"] is None
    assert "the ensemble's gain in WER is not above noise" in gain["reason"]["wer"]


def test_no_share_of_a_loss(tmp_path: Path) -> None:
    ref = {f"s-{i:03d}": ["one", "two"] for i in range(50)}
    for name, wrong, correct in (("baseline", 10, 8), ("ensemble", 40, 6), ("distilled", 20, 7)):
        hyp = {utt: ["one", "two"] if i >= wrong else ["one"] for i, utt in enumerate(ref)}
        frames = dict.fromkeys(ref, (10, correct, 9.0))
        write_decoded(tmp_path / "decode" / name, ref=ref, hyp=hyp, frames=frames, name=name)
    gain = score(tmp_path)["gain_kept"]
    assert gain["wer"] is gain["frame_accuracy"] is None
    assert "worse than the baseline in frame accuracy" in gain["reason"]["frame_accuracy"]
    assert "worse than the baseline in WER" in gain["reason"]["wer"]


def test_without_an_ensemble_there_is_a_reason_not_a_figure(make_experiment: Make) -> None:
    experiment = make_experiment("exp")
    shutil.rmtree(experiment / "decode/ensemble-1")
    results = score(experiment)
    assert results["ensemble_gain"] is None
    assert results["gain_kept"]["reason"]["wer"] == "no system named 'ensemble' was decoded"
    assert list(results["gain_kept"]["significance"]) == ["distilled_vs_baseline"]


def test_every_student_has_its_share(make_experiment: Make) -> None:
    results = score(make_experiment("exp"))
    assert 0.6 < results["gain_kept"]["frame_accuracy"] < 1.1
    assert results["gain_kept_distilled_small"]["frame_accuracy"] < results["gain_kept"]["frame_accuracy"]
    assert results["gain_kept_distilled_small"]["frame_accuracy_std"] is None
    assert results["gain_kept"]["frame_accuracy_std"] > 0


def test_pooled_folds_equal_one_fold_that_holds_all_utterances(make_experiment: Make, tmp_path: Path) -> None:
    whole = make_experiment("whole")
    for directory in (whole / "decode").iterdir():
        for fold, speaker in (("one", "anna"), ("two", "bert")):
            part = tmp_path / fold / "decode" / directory.name
            shutil.copytree(directory, part)
            for file in ("ref.txt", "hyp.txt", "utt2spk", "frames.tsv"):
                lines = (part / file).read_text().splitlines()
                kept = [line for line in lines if line.startswith((speaker, "utt\t"))]
                (part / file).write_text("\n".join(kept) + "\n")
    pooled, together = score(tmp_path / "one", tmp_path / "two"), score(whole)
    assert pooled.pop("folds") == 2
    assert together.pop("folds") == 1
    assert pooled == together


def test_figures_tuned_apart_in_each_fold_are_not_given_as_one(make_experiment: Make) -> None:
    folds = [make_experiment("one", num_utterances=20), make_experiment("two", speakers=("carl",), num_utterances=20)]
    for fold, (scale, wer) in zip(folds, ((0.2, 0.10), (0.4, 0.20)), strict=True):
        edit_info(fold / "decode/ensemble-1", acoustic_scale=scale, dev_wer=wer, insertion_penalty=1.0)
    (run,) = score(*folds)["systems"][1]["runs"]
    assert run["acoustic_scale"] is None
    assert run["insertion_penalty"] == 1.0
    assert run["dev_wer"] == pytest.approx(0.15)
