"""`asr-kd ensemble-report` on models and frames that the other commands made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tone_pipeline import Pipeline

from asr_kd.cli import ensemble_report
from asr_kd.cli.main import main
from asr_kd.hmm.labels import Labels
from asr_kd.score.frame_accuracy import read_frames
from asr_kd.stage import fingerprint, read_run


def report(pipeline: Pipeline, out: Path, *flags: object, models: tuple[Path, ...] | None = None) -> int:
    exp = pipeline.exp
    scored = ("--frames", exp / "frames/test", "--labels", exp / "ali/test", "--bootstrap-samples", 200)
    models = tuple(pipeline.members) if models is None else models
    return main([str(word) for word in ("ensemble-report", *scored, *flags, "--", *models, out)])


def read(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "results.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ledger") / "report"
    assert report(pipeline, out, "--recipe", "tones", "--student", pipeline.exp / "students/distilled-1") == 0
    return out


def test_the_figures_are_those_that_decode_counted(pipeline: Pipeline, made: Path) -> None:
    found = read(made)
    rows = {
        "baseline-1": found["members"][0],
        "baseline-2": found["members"][1],
        "ensemble": found["means"]["arithmetic"],
        "distilled-1": found["students"][0],
    }
    for system, row in rows.items():
        _, counts = read_frames(pipeline.exp / "decode" / system / "frames.tsv")
        assert found["labelled_frames"] == counts.num_frames.sum()
        assert row["frame_accuracy"] == pytest.approx(counts.accuracy, abs=1e-9)
        assert row["cross_entropy"] == pytest.approx(counts.mean_cross_entropy, rel=1e-4)


def test_the_directory_holds_figures_page_and_chart(made: Path) -> None:
    assert {"results.json", "RESULTS.md", "gain.png"} <= {path.name for path in made.iterdir()}
    assert (made / "RESULTS.md").read_text().startswith("# Ensemble ledger: tones\n")
    found = read(made)
    assert found["frames"] == "frames/test"
    assert [member["name"] for member in found["members"]] == ["members/1", "members/2"]


def test_a_second_call_does_nothing_and_another_seed_makes_it_anew(pipeline: Pipeline, made: Path) -> None:
    before = read_run(made)
    flags = ("--recipe", "tones", "--student", pipeline.exp / "students/distilled-1")
    assert report(pipeline, made, *flags) == 0
    assert read_run(made) == before
    assert report(pipeline, made, *flags, "--seed", 2) == 0
    assert read_run(made) != before


def test_chunks_and_threads_do_not_change_the_figures(
    pipeline: Pipeline, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble_report, "LARGEST_CHUNK", 37)
    assert report(pipeline, tmp_path / "out", "--nj", 2) == 0
    one, other = read(made), read(tmp_path / "out")
    assert other["right"]["by_members"] == pytest.approx(one["right"]["by_members"], abs=2e-3)
    assert other["mean_member"]["cross_entropy"] == pytest.approx(one["mean_member"]["cross_entropy"], rel=1e-3)
    assert other["labelled_frames"] == one["labelled_frames"]
    assert other["students"] == []


def test_frames_without_a_label_do_not_count(pipeline: Pipeline, tmp_path: Path) -> None:
    """The frames of one utterance lose their labels: the others' figures are left."""
    labels = Labels.load(pipeline.exp / "ali/test")
    copy = tmp_path / "ali"
    copy.mkdir()
    for file in ("meta.json", "dropped.tsv", "run.json"):
        (copy / file).write_bytes((labels.path / file).read_bytes())
    utterances, counts = read_frames(pipeline.exp / "decode/ensemble/frames.tsv")
    pdfs = labels.pdfs.copy()
    pdfs[: counts.num_frames[0]] = -1
    np.save(copy / "pdfs.npy", pdfs)
    assert fingerprint(copy) and report(pipeline, tmp_path / "out", "--labels", copy) == 0
    found = read(tmp_path / "out")
    assert found["utterances"] == len(utterances) - 1
    expected = counts.num_correct[1:].sum() / counts.num_frames[1:].sum()
    assert found["means"]["arithmetic"]["frame_accuracy"] == pytest.approx(expected)


def test_wrong_usage_is_one_line(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    one = pipeline.members[0]
    assert report(pipeline, tmp_path / "out", models=(one,)) == 2
    assert "at least two members" in complaint()
    assert report(pipeline, tmp_path / "out", models=(one, one)) == 2
    assert "named twice" in complaint()
    assert report(pipeline, tmp_path / "out", "--student", one) == 2
    assert "named twice" in complaint()


def test_labels_of_other_frames_are_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert report(pipeline, tmp_path / "out", "--labels", pipeline.exp / "ali/dev") == 1
    assert "labels of the frames" in complaint()
    assert not (tmp_path / "out").exists()
