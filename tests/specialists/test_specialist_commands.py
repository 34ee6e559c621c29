"""The commands, from a generalist's clusters to the model that all are distilled into, on the corpus of tones."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tone_pipeline import CONTEXT, RATE, TINY_NET, Pipeline, asr_kd

from asr_kd.cli.main import main
from asr_kd.frames.store import FrameStore
from asr_kd.hmm.labels import Labels
from asr_kd.specialists.clusters import Clusters
from asr_kd.specialists.ensemble import SpecialistEnsemble, warn_of_others
from asr_kd.specialists.scoring import utterance_sums
from asr_kd.targets.store import SoftTargets

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def special(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clusters, two specialists, a regularized one, fused targets, a student and the report."""
    out, exp = tmp_path_factory.mktemp("specialists"), pipeline.exp
    generalist = pipeline.members[0]
    asr_kd(
        "cluster-states", "--num-clusters", 2, "--cluster-size", 8, generalist, exp / "frames/train", out / "clusters"
    )
    labels = ("--labels", exp / "ali/train", *pipeline.dev)
    train = ("--num-epochs", 1, "--batch-size", 64, "--learning-rate", "3e-4", *labels)
    start = ("--generalist", generalist)
    for name, flags in {"0": ("--cluster", 0), "1": ("--cluster", 1), "r0": ("--cluster", 0, "--regularize")}.items():
        flags = (*start, "--clusters", out / "clusters", *flags, *train)
        asr_kd("train-specialist", *flags, "--", exp / "frames/train", out / name)
    asr_kd("train-specialist", *start, *train, "--", exp / "frames/train", out / "trained-on")
    team = (*start, "--specialists", out / "0", out / "1")
    asr_kd("fuse-specialists", "--dtype", "fp32", *team, "--", exp / "frames/train", out / "fused")
    weights = ("--soft-weight", 0.9, "--hard-weight", 0.1, "--soft-targets", out / "fused")
    asr_kd("distill", *TINY_NET, "--num-epochs", 1, *weights, *labels, "--", exp / "frames/train", out / "student")
    asr_kd(*report(pipeline, out), "--", exp / "frames/test", out / "report")
    return out


def report(pipeline: Pipeline, made: Path) -> tuple[object, ...]:
    exp = pipeline.exp
    return (
        *("specialist-report", "--labels", exp / "ali/test", *pipeline.dev, "--bootstrap-samples", 200),
        *("--train-frames", exp / "frames/train", "--train-labels", exp / "ali/train"),
        *("--generalist", pipeline.members[0], "--specialists", made / "0", made / "1", "--regularized", made / "r0"),
        *("--others", f"trained on={made / 'trained-on'}", f"student={made / 'student'}"),
        *("--distilled", made / "fused", "--clusters", made / "clusters"),
        *("--ensemble", *pipeline.members, "--recipe", "tones"),
    )


def test_clusters_hold_as_many_states_as_asked(special: Path) -> None:
    assert [len(subset) for subset in Clusters.load(special / "clusters").subsets] == [8, 8]


def test_fused_targets_are_the_common_distribution_at_the_temperature(special: Path, pipeline: Pipeline) -> None:
    store = FrameStore(pipeline.exp / "frames/train")
    paths = [special / "0", special / "1"]
    ensemble = SpecialistEnsemble.load(pipeline.members[:1], paths, store, device=CPU)
    stored = SoftTargets(special / "fused")
    stored.check(store, states_fingerprint=ensemble.states_fingerprint, members_fingerprint=ensemble.fingerprint)
    found = ensemble.fused(store.windows(slice(0, 300)), num_best=1)
    expected = torch.softmax(found.log() / stored.meta["temperature"], dim=1)
    assert torch.allclose(stored.rows[:300].float(), expected, atol=1e-3)
    assert not torch.allclose(found, ensemble.posteriors(store.windows(slice(0, 300))), atol=0.05)


def test_without_specialists_the_targets_are_the_generalists_own(
    special: Path, pipeline: Pipeline, tmp_path: Path
) -> None:
    frames, generalist = pipeline.exp / "frames/train", pipeline.members[0]
    plain = ("--dtype", "fp32", "--temperature", 3)
    asr_kd("fuse-specialists", *plain, "--generalist", generalist, "--", frames, tmp_path / "fused")
    asr_kd("make-soft-targets", "--dense", *plain, "--", frames, generalist, tmp_path / "soft")
    fused, soft = SoftTargets(tmp_path / "fused"), SoftTargets(tmp_path / "soft")
    assert torch.allclose(fused.rows[:].float(), soft.rows[:].float(), atol=1e-3)
    assert fused.meta["models_fingerprint"] == soft.meta["models_fingerprint"]
    assert fused.meta["mean"] == "generalist"
    assert fused.meta.keys() == soft.meta.keys()


def test_the_reports_figures_are_those_of_the_models(special: Path, pipeline: Pipeline) -> None:
    results = json.loads((special / "report/results.json").read_text())
    store, pdfs = FrameStore(pipeline.exp / "frames/test"), Labels.load(pipeline.exp / "ali/test").pdfs
    ensemble = SpecialistEnsemble.load(pipeline.members[:1], [special / "0", special / "1"], store, device=CPU)
    windows = store.windows(slice(0, store.num_frames))
    labelled = pdfs >= 0
    rows = {(row["name"], row["num_best"]): row for row in results["systems"]}
    plain = (ensemble.posteriors(windows).argmax(dim=1).numpy() == pdfs)[labelled]
    assert rows["generalist", None]["frame_accuracy"] == pytest.approx(plain.mean(), abs=5e-3)
    for num_best in (1, 2, 3):
        right = (ensemble.fused(windows, num_best=num_best).argmax(dim=1).numpy() == pdfs)[labelled]
        row = rows["dustbin", num_best]
        assert row["frame_accuracy"] == pytest.approx(right.mean(), abs=5e-3)
        assert row["gain"] == pytest.approx(row["frame_accuracy"] - rows["generalist", None]["frame_accuracy"])
        assert row["gain_ci"][0] <= row["gain"] <= row["gain_ci"][1]
        assert row["models"] == 3
    assert rows["trained on", None]["models"] == rows["student", None]["models"] == 1


def test_the_rows_by_coverage_add_up_to_the_whole(special: Path) -> None:
    results = json.loads((special / "report/results.json").read_text())
    chosen = results["chosen_on_dev"]
    rows = results["coverage"]
    assert sum(row["frames"] for row in rows) == results["test"]["labelled_frames"]
    assert sum(row["states"] for row in rows) == results["num_pdfs"]
    whole = next(
        row for row in results["systems"] if (row["name"], row["num_best"]) == (chosen["name"], chosen["num_best"])
    )
    right = sum(row["fused"] * row["frames"] for row in rows)
    assert right / results["test"]["labelled_frames"] == pytest.approx(whole["frame_accuracy"])


def test_the_page_holds_the_verdict_and_every_specialist(special: Path) -> None:
    page = (special / "report/RESULTS.md").read_text()
    assert "Chosen on dev: " in page
    assert "trained on" in page
    assert all(f"| {name} |" in page for name in ("dustbin 0", "dustbin 1", "regularized r0"))
    assert (special / "report/gain.png").stat().st_size > 10_000


def test_the_report_says_what_was_clustered_and_which_fusion_was_distilled(special: Path) -> None:
    results = json.loads((special / "report/results.json").read_text())
    assert results["clusters"] == {"matrix": "correlation", "temperature": 4.0}
    assert results["distilled"] == {"name": "dustbin", "num_best": 1}


def test_without_these_the_report_does_not_say_it(special: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    words = without(report(pipeline, special), "--distilled", "--clusters")
    asr_kd(*words, "--", pipeline.exp / "frames/test", tmp_path / "report")
    results = json.loads((tmp_path / "report/results.json").read_text())
    assert results["clusters"] is results["distilled"] is None


def without(words: tuple[object, ...], *flags: str) -> list[object]:
    """Leave out flags of one value."""
    left_out = {place + ahead for place, word in enumerate(words) if word in flags for ahead in (0, 1)}
    return [word for place, word in enumerate(words) if place not in left_out]


def test_soft_targets_of_other_models_are_refused(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    frames = pipeline.exp / "frames/train"
    asr_kd("fuse-specialists", "--generalist", pipeline.members[0], "--", frames, tmp_path / "plain")
    words = [tmp_path / "plain" if word == special / "fused" else word for word in report(pipeline, special)]
    assert main([*map(str, words), "--", str(pipeline.exp / "frames/test"), str(tmp_path / "out")]) == 1
    assert "soft targets of other models" in complaint()


def test_a_distilled_fusion_that_is_not_scored_is_named(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    words = [*map(str, report(pipeline, special)), "--num-best", "2"]
    assert main([*words, "--", str(pipeline.exp / "frames/test"), str(tmp_path / "out")]) == 2
    assert "n = 1; name it with --num-best" in complaint()


def test_done_twice_is_done_once(special: Path, pipeline: Pipeline) -> None:
    before = (special / "report/run.json").read_text()
    asr_kd(*report(pipeline, special), "--", pipeline.exp / "frames/test", special / "report")
    assert (special / "report/run.json").read_text() == before


def test_a_cluster_that_is_not_there_is_named(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    exp = pipeline.exp
    words = ["train-specialist", "--generalist", pipeline.members[0], "--clusters", special / "clusters"]
    words += [
        "--cluster",
        2,
        "--labels",
        exp / "ali/train",
        *pipeline.dev,
        "--",
        exp / "frames/train",
        tmp_path / "out",
    ]
    assert main([str(word) for word in words]) == 2
    assert "--cluster 2" in complaint()


def test_specialists_of_none_of_the_generalists_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    specialists: Any = [SimpleNamespace(path=Path(name), meta={"generalist_fingerprint": name}) for name in "abc"]
    generalist: Any = {Path(name): SimpleNamespace(fingerprint=name) for name in "ab"}
    warn_of_others(specialists, generalist)
    assert [record.getMessage() for record in caplog.records] == ["c was made from another generalist than a or b"]


def test_a_full_model_given_as_a_specialist_is_named(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    words = ["fuse-specialists", "--generalist", pipeline.members[0], "--specialists", pipeline.members[1]]
    assert main([str(word) for word in [*words, "--", pipeline.exp / "frames/train", tmp_path / "out"]]) == 1
    assert "not a specialist" in complaint()


def test_specialists_given_as_the_other_kind_are_named(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    words = [str(word) for word in report(pipeline, special)]
    swapped = [w.replace("--specialists", "--x").replace("--regularized", "--specialists") for w in words]
    swapped = [w.replace("--x", "--regularized") for w in swapped]
    assert main([*swapped, "--", str(pipeline.exp / "frames/test"), str(tmp_path / "out")]) == 2
    assert "given as" in complaint()


@pytest.mark.parametrize("of", ["dev", "train"])
def test_frames_of_other_features_are_refused(
    special: Path, pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path, of: str
) -> None:
    other = tmp_path / "frames"
    asr_kd("make-fbank", "--sample-rate", RATE, *CONTEXT, "--cmvn", "none", pipeline.tones / "data" / of, other)
    frames = pipeline.exp / "frames"
    words = [other if word == frames / of else word for word in report(pipeline, special)]
    assert main([*map(str, words), "--", str(frames / "test"), str(tmp_path / "out")]) == 1
    assert f"{other} holds features" in complaint()


def test_regularizing_without_a_cluster_is_refused(
    pipeline: Pipeline, complaint: Callable[[], str], tmp_path: Path
) -> None:
    exp = pipeline.exp
    words = ("--generalist", pipeline.members[0], "--regularize", "--labels", exp / "ali/train", *pipeline.dev)
    assert main([str(word) for word in ("train-specialist", *words, "--", exp / "frames/train", tmp_path / "out")]) == 2
    assert "give --clusters" in complaint()


def test_utterances_sums_are_those_of_each_utterances_frames(make_store: Callable[..., FrameStore]) -> None:
    store = make_store([3, 1, 4])
    assert utterance_sums(store, np.arange(8.0)).tolist() == [3.0, 3.0, 22.0]
