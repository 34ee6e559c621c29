"""Two systems side by side: seeds, folds, words of other programs, and what may not be compared."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_kd.cli.main import main
from asr_kd.errors import DataError, MismatchError
from asr_kd.score.comparison import _seed_errors, compare_sides, load_side
from asr_kd.score.comparison_page import render_comparison
from asr_kd.score.origin import Origin
from asr_kd.score.results import build_results
from asr_kd.score.systems import load_systems

from .conftest import write_decoded
from .test_systems import edit_info

Make = Callable[..., Path]


def compare(a: list[Path], b: list[Path], samples: int = 300) -> dict:  # type: ignore[type-arg]
    return compare_sides(load_side(a), load_side(b), num_samples=samples, seed=1)


def seeds_of(experiment: Path, name: str) -> list[Path]:
    return sorted((experiment / "decode").glob(f"{name}-?"))


def test_the_figures_are_those_of_score(make_experiment: Make) -> None:
    experiment = make_experiment("exp")
    found = compare(seeds_of(experiment, "baseline"), seeds_of(experiment, "distilled"))
    scored = build_results(load_systems([experiment]), origin=Origin(recipe="r"), num_folds=1, num_samples=300, seed=1)
    (pair,) = (pair for pair in scored["pairs"] if (pair["a"], pair["b"]) == ("baseline", "distilled"))
    assert found["metrics"]["wer"]["difference"] == pytest.approx(pair["wer_difference"])
    assert found["matched_pairs"]["p"] == pytest.approx(pair["matched_pairs_p"])
    assert found["matched_pairs"]["segments"] == pair["segments"]
    for side, row in (("a", scored["systems"][0]), ("b", scored["systems"][2])):
        for metric in ("wer", "frame_accuracy"):
            assert found["metrics"][metric][side] == pytest.approx(row[metric])
            assert found["metrics"][metric][f"{side}_std"] == pytest.approx(row[f"{metric}_std"])


def test_swapping_the_systems_swaps_the_sign(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=60)
    sides = seeds_of(experiment, "baseline"), seeds_of(experiment, "ensemble")
    forth, back = compare(*sides), compare(*reversed(sides))
    for metric, row in forth["metrics"].items():
        other = back["metrics"][metric]
        assert other["difference"] == pytest.approx(-row["difference"])
        assert other["difference_ci"] == pytest.approx([-row["difference_ci"][1], -row["difference_ci"][0]])
        assert (other["a"], other["b"]) == (row["b"], row["a"])
    assert forth["matched_pairs"]["z"] == pytest.approx(-back["matched_pairs"]["z"])
    assert forth["metrics"]["frame_accuracy"]["difference"] > 0 > forth["metrics"]["wer"]["difference"]


def test_kinds_of_error_add_up(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=60)
    metrics = compare(seeds_of(experiment, "baseline"), seeds_of(experiment, "ensemble"))["metrics"]
    for side in ("a", "b", "difference"):
        assert metrics["wer"][side] == pytest.approx(sum(metrics[kind][side] for kind in ("sub", "del", "ins")))


def test_the_order_of_utterances_does_not_matter(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=40)
    sides = seeds_of(experiment, "baseline")[:1], seeds_of(experiment, "ensemble")
    before = compare(*sides)
    for file in ("ref.txt", "hyp.txt", "utt2spk"):
        path = sides[1][0] / file
        path.write_text("\n".join(reversed(path.read_text().splitlines())) + "\n")
    assert compare(*sides) == before


def test_folds_together_are_one_test_set(make_experiment: Make, tmp_path: Path) -> None:
    whole = make_experiment("whole", num_utterances=60)
    parts = []
    for speaker in ("anna", "bert"):
        for directory in (whole / "decode").iterdir():
            part = tmp_path / speaker / "decode" / directory.name
            parts.append(part)
            shutil.copytree(directory, part)
            for file in ("ref.txt", "hyp.txt", "frames.tsv"):
                lines = (part / file).read_text().splitlines()
                (part / file).write_text(
                    "\n".join(line for line in lines if line.startswith((speaker, "utt\t"))) + "\n"
                )
    folds = compare(
        [p for p in parts if p.name.startswith("baseline")], [p for p in parts if p.name.startswith("ensemble")]
    )
    together = compare(seeds_of(whole, "baseline"), seeds_of(whole, "ensemble"))
    for side in ("a", "b"):
        assert len(folds[side].pop("directories")) == 2 * len(together[side].pop("directories"))
        folds[side]["seeds"].sort()
    assert folds == together


def test_words_of_another_program_need_only_two_files(make_experiment: Make, tmp_path: Path) -> None:
    ours = make_experiment("exp", num_utterances=30) / "decode/ensemble-1"
    theirs = tmp_path / "kaldi"
    theirs.mkdir()
    for file in ("ref.txt", "hyp.txt"):
        shutil.copy(ours / file, theirs)
    found = compare([ours], [theirs])
    assert found["b"]["name"] == "kaldi"
    assert set(found["metrics"]) == {"wer", "sub", "del", "ins", "ser"}
    assert found["metrics"]["wer"]["difference"] == 0
    assert "frame accuracy is left out" in render_comparison(found)


def test_frames_of_other_states_are_not_compared(make_experiment: Make) -> None:
    decode = make_experiment("exp", num_utterances=30) / "decode"
    edit_info(decode / "ensemble-1", num_pdfs=2000)
    found = compare([decode / "baseline-1"], [decode / "ensemble-1"])
    assert "frame_accuracy" not in found["metrics"]
    assert found["labelled_frames"] is None


@pytest.mark.parametrize(("labels", "compared"), [("a", True), ("b", False), ("", True)])
def test_frames_of_other_labels_are_not_compared(make_experiment: Make, labels: str, compared: bool) -> None:
    decode = make_experiment("exp", num_utterances=30) / "decode"
    edit_info(decode / "baseline-1", labels="a")
    edit_info(decode / "ensemble-1", labels=labels)
    found = compare([decode / "baseline-1"], [decode / "ensemble-1"])
    assert ("frame_accuracy" in found["metrics"]) is compared


def test_folds_have_labels_of_their_own_each(make_experiment: Make) -> None:
    first, second = (make_experiment(name, speakers=(name,), num_utterances=10) for name in ("carl", "dora"))
    for fold in (first, second):
        for name in ("baseline-1", "ensemble-1"):
            edit_info(fold / "decode" / name, labels=fold.name)
    a, b = ([fold / "decode" / name for fold in (first, second)] for name in ("baseline-1", "ensemble-1"))
    assert "frame_accuracy" in compare(a, b)["metrics"]
    edit_info(b[1], labels="z")
    assert "frame_accuracy" not in compare(a, b)["metrics"]


def test_frames_alone_can_be_compared(make_experiment: Make) -> None:
    decode = make_experiment("exp", num_utterances=30) / "decode"
    for name in ("baseline-1", "ensemble-1"):
        (decode / name / "hyp.txt").unlink()
    found = compare([decode / "baseline-1"], [decode / "ensemble-1"])
    assert set(found["metrics"]) == {"frame_accuracy", "cross_entropy"}
    assert found["matched_pairs"] is None
    assert "WER" not in render_comparison(found)


def test_chance_in_training_widens_the_interval(make_experiment: Make) -> None:
    """Three seeds a side whose frame accuracies lie far apart: the utterances alone would call the sides different."""
    experiment = make_experiment("exp")
    a, b = ([experiment / f"decode/{side}-{seed}" for seed in (1, 2, 3)] for side in ("one", "two"))
    for directory, more in zip((*a, *b), (0, 30, 60, 15, 45, 75), strict=True):
        shutil.copytree(experiment / "decode/baseline-1", directory)
        edit_info(directory, name=directory.name[:3], seed=int(directory.name[-1]))
        header, *rows = (directory / "frames.tsv").read_text().splitlines()
        cells = [row.split("\t") for row in rows]
        lines = [f"{utt}\t{n}\t{min(int(n), int(c) * (100 + more) // 100)}\t{ce}" for utt, n, c, ce in cells]
        (directory / "frames.tsv").write_text("\n".join([header, *lines]) + "\n")
    row = compare(a, b, samples=2000)["metrics"]["frame_accuracy"]
    assert row["bootstrap_p"] < 0.01
    assert row["with_seeds_p"] > 0.2
    assert row["with_seeds_ci"][0] < 0 < row["difference_ci"][0]


def test_few_seeds_say_nothing_of_other_seeds(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=30)
    row = compare(seeds_of(experiment, "ensemble"), seeds_of(experiment, "distilled"))["metrics"]["wer"]
    assert row["with_seeds_ci"] is row["with_seeds_p"] is None


def test_the_interval_with_seeds_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(600):
        a, b = rng.normal(size=3), rng.normal(size=2)
        errors = _seed_errors(a.tolist(), b.tolist(), 800, rng)
        assert errors is not None
        low, high = np.quantile(b.mean() - a.mean() + errors, [0.025, 0.975])
        covered += low <= 0 <= high
    assert 0.92 <= covered / 600 <= 0.98


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("name", DataError, "after --vs"),
        ("reference", MismatchError, "other reference words than .* for anna-0000"),
        ("utterance", MismatchError, "tested on 39 utterances"),
        ("twice", DataError, "name one of them only"),
        ("empty", DataError, "neither words"),
        ("frames", DataError, "not the utterances of ref.txt"),
    ],
)
def test_what_cannot_be_compared_is_said(
    make_experiment: Make, change: str, error: type[Exception], message: str
) -> None:
    decode = make_experiment("exp", num_utterances=40) / "decode"
    a, b = [decode / "baseline-1", decode / "baseline-2"], [decode / "ensemble-1"]
    if change == "name":
        a.append(b[0])
    elif change == "twice":
        edit_info(a[1], seed=1)
    elif change == "empty":
        shutil.rmtree(b[0])
        b[0].mkdir()
    else:
        for file in {"reference": ["ref.txt"], "frames": ["ref.txt", "hyp.txt"]}.get(
            change, ["ref.txt", "hyp.txt", "frames.tsv"]
        ):
            lines = (b[0] / file).read_text().splitlines()
            kept = [line for line in lines if not line.startswith("anna-0000")]
            (b[0] / file).write_text("\n".join([*kept, *(["anna-0000 other"] if change == "reference" else [])]) + "\n")
    with pytest.raises(error, match=message):
        compare(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no words", "only one of the two has del"),
        ("states", "frames of 99 and of 2000 pdfs"),
        ("labels", "other numbers of labelled frames"),
    ],
)
def test_seeds_of_one_system_are_tested_alike(make_experiment: Make, change: str, message: str) -> None:
    first, second = seeds_of(make_experiment("exp", num_utterances=20), "baseline")[:2]
    if change == "no words":
        (second / "hyp.txt").unlink()
    elif change == "states":
        edit_info(second, num_pdfs=2000)
    else:
        header, *rows = (second / "frames.tsv").read_text().splitlines()
        (second / "frames.tsv").write_text("\n".join([header, "anna-0000\t999\t1\t1.0", *rows[1:]]) + "\n")
    with pytest.raises(MismatchError, match=f"{first} and {second}: {message}"):
        load_side([first, second])


def test_the_command_prints_a_table_and_writes_json(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode = make_experiment("exp", num_utterances=60) / "decode"
    sides = [*map(str, seeds_of(decode.parent, "baseline")), "--vs", *map(str, seeds_of(decode.parent, "distilled"))]
    assert main(["compare", *sides, "--samples", "200", "--json", str(tmp_path / "c.json")]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("A  baseline seeds 1 2 3 (")
    assert "B - A, WER: -" in printed
    found = json.loads((tmp_path / "c.json").read_text())
    assert f"{100 * found['metrics']['wer']['a']:.2f} ± {100 * found['metrics']['wer']['a_std']:.2f}" in printed
    assert found["b"]["seeds"] == [1, 2]
    assert main(["compare", str(decode / "baseline-1"), str(decode / "ensemble-1"), "--samples", "200"]) == 0
    assert "seeds too" not in capsys.readouterr().out


def test_sure_differences_have_no_finite_z(tmp_path: Path) -> None:
    ref = {f"s-{i}": ["one", "two"] for i in range(40)}
    for name, hyp in (("right", ref), ("wrong", {utt: ["one", "six"] for utt in ref})):
        write_decoded(tmp_path / name, ref=ref, hyp=hyp, frames=dict.fromkeys(ref, (5, 5, 0.5)), name=name)
    found = compare([tmp_path / "right"], [tmp_path / "wrong"])
    assert found["matched_pairs"] == {"z": None, "p": 0.0, "segments": 40}
    json.loads(json.dumps(found, allow_nan=False))
    assert "higher, significant" in render_comparison(found)
