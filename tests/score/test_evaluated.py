"""Evaluated systems: counts of utterances and classes as written, and the table made of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr_kd.cli.main import main
from asr_kd.errors import DataError, MismatchError
from asr_kd.score.evaluated import read_evaluated, write_evaluated
from asr_kd.score.frame_results import frame_results, load_evaluated, render_frames

COUNTS = np.array([3, 1, 4, 2] * 30, dtype=np.int64)
NUM_FRAMES = int(COUNTS.sum())
LABELS = (np.arange(NUM_FRAMES) % 4 - (np.arange(NUM_FRAMES) % 11 == 0) * 5).clip(-1).astype(np.int32)


def write(folder: Path, name: str, *, seed: int, wrong: float, params: int = 10) -> Path:
    """A system that decides a given share of frames wrong."""
    rng = np.random.default_rng(seed)
    decisions = np.where(rng.random(NUM_FRAMES) < wrong, (LABELS + 1) % 4, LABELS).clip(0).astype(np.int32)
    out = folder / f"{name}-{seed}"
    out.mkdir()
    system = {"name": name, "seed": seed, "members": 1, "params": params, "num_pdfs": 4, "conf": ""}
    write_evaluated(
        out,
        utterances=[f"u{number}" for number in range(len(COUNTS))],
        speakers=["s"] * len(COUNTS),
        counts_U=COUNTS,
        labels_N=LABELS,
        decisions_N=decisions,
        label_logp_N=np.log(rng.random(NUM_FRAMES)).astype(np.float32),
        system=system,
    )
    return out


def test_counts_are_those_of_a_loop_over_the_frames(tmp_path: Path) -> None:
    found = read_evaluated(write(tmp_path, "big", seed=1, wrong=0.2))
    rng = np.random.default_rng(1)
    decisions = np.where(rng.random(NUM_FRAMES) < 0.2, (LABELS + 1) % 4, LABELS).clip(0)
    first, by_class = 0, np.zeros((4, 3), dtype=int)
    for place, count in enumerate(COUNTS):
        frames = [frame for frame in range(first, first + count) if LABELS[frame] >= 0]
        assert found.frames.num_frames[place] == len(frames)
        assert found.frames.num_correct[place] == sum(decisions[frame] == LABELS[frame] for frame in frames)
        for frame in frames:
            by_class[LABELS[frame], 0] += 1
            by_class[LABELS[frame], 1] += decisions[frame] == LABELS[frame]
            by_class[decisions[frame], 2] += 1
        first += count
    np.testing.assert_array_equal(found.classes_P3, by_class)
    assert found.num_errors == by_class[:, 0].sum() - by_class[:, 1].sum()


def test_the_gain_kept_is_the_share_of_errors_removed(tmp_path: Path) -> None:
    runs = [write(tmp_path, "small", seed=seed, wrong=0.4) for seed in (1, 2, 3)]
    runs += [write(tmp_path, "big", seed=seed, wrong=0.1, params=99) for seed in (4, 5, 6)]
    runs += [write(tmp_path, "student", seed=seed, wrong=0.2) for seed in (7, 8, 9)]
    results = frame_results(load_evaluated(runs), baseline="small", teacher="big", num_samples=500, seed=1)
    rows = {row["name"]: row for row in results["systems"]}
    expected = (rows["small"]["errors"] - rows["student"]["errors"]) / (rows["small"]["errors"] - rows["big"]["errors"])
    assert rows["student"]["kept"] == pytest.approx(expected)
    assert rows["student"]["kept_ci"][0] < expected < rows["student"]["kept_ci"][1]
    assert rows["small"]["kept"] is None
    assert rows["student"]["errors"] == pytest.approx(np.mean([run["errors"] for run in rows["student"]["runs"]]))
    assert sum(rows["big"]["errors_of_class"]) == pytest.approx(rows["big"]["errors"])
    assert rows["big"]["over"].keys() == {"small", "student"}
    over = rows["student"]["over"]["small"]
    assert over["frame_accuracy"] == rows["student"]["frame_accuracy"] - rows["small"]["frame_accuracy"]
    assert over["frame_accuracy_ci"][0] < over["frame_accuracy"] < over["frame_accuracy_ci"][1]
    page = render_frames(results | {"recipe": "made", "title": "up"})
    assert "No gain kept" not in page
    assert f"{rows['student']['errors']:.1f} ± " in page


@pytest.mark.parametrize("of_teacher", [0.3, 0.6], ids=["within noise", "a loss"])
def test_no_share_is_given_of_a_gain_that_is_not_above_noise(tmp_path: Path, of_teacher: float) -> None:
    wrong = {"small": 0.3, "big": of_teacher, "student": 0.2}
    runs = [write(tmp_path, name, seed=seed, wrong=share) for seed, (name, share) in enumerate(wrong.items())]
    results = frame_results(load_evaluated(runs), baseline="small", teacher="big", num_samples=500, seed=1)
    assert [row["kept"] for row in results["systems"]] == [None, None, None]
    page = render_frames(results | {"recipe": "made", "title": "up"})
    assert "No gain kept is given: big is not better than small beyond chance" in page


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path, "a", seed=1, wrong=0.3), write(tmp_path, "a", seed=2, wrong=0.3, params=11)
    with pytest.raises(MismatchError, match="another shape"):
        load_evaluated([one, two])
    with pytest.raises(DataError, match="--teacher b: no such system; there are a"):
        frame_results(load_evaluated([one]), baseline="a", teacher="b", num_samples=100, seed=1)
    frames = one / "frames.tsv"
    frames.write_text("\n".join(frames.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(MismatchError, match="of other labelled frames"):
        load_evaluated([write(tmp_path, "c", seed=3, wrong=0.3), one])


def test_evaluate_counts_frames_as_decode_does(pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:  # type: ignore[no-untyped-def]
    exp = pipeline.exp
    words = ("--name", "ensemble", "--frames", exp / "frames/test", "--labels", exp / "ali/test", "--nj", 2)
    assert main([str(w) for w in ("evaluate", *words, "--", *pipeline.members, tmp_path / "out")]) == 0
    decoded = (exp / "decode/ensemble/frames.tsv").read_text().split()
    found = (tmp_path / "out/frames.tsv").read_text().split()
    assert len(found) == len(decoded)
    by_utterance = {found[i]: found[i + 1 : i + 3] for i in range(4, len(found), 4)}
    assert by_utterance == {decoded[i]: decoded[i + 1 : i + 3] for i in range(4, len(decoded), 4)}
    words = ("--name", "x", "--frames", exp / "frames/test", "--labels", exp / "ali/dev")
    assert main([str(w) for w in ("evaluate", *words, "--", pipeline.members[0], tmp_path / "other")]) == 1
    assert "none of" in complaint()


def test_frames_without_any_label_are_refused_each_time(pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:  # type: ignore[no-untyped-def]
    labels = tmp_path / "ali"
    shutil.copytree(pipeline.exp / "ali/test", labels)
    np.save(labels / "pdfs.npy", np.full_like(np.load(labels / "pdfs.npy"), -1))
    words = ("--name", "x", "--frames", pipeline.exp / "frames/test", "--labels", labels)
    for _ in range(2):
        assert main([str(w) for w in ("evaluate", *words, "--", pipeline.members[0], tmp_path / "out")]) == 1
        assert "none of its frames has a label" in complaint()
    assert not (tmp_path / "out").exists()
