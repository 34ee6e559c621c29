"""`asr-kd distill`: stored or live teachers, and soft targets of anything else refused in one clear line."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tone_pipeline import CONTEXT, RATE, TINY_NET, Pipeline
from torch import Tensor

from asr_kd.cli.main import main
from asr_kd.distill.mixing import mix
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.stage import fingerprint
from asr_kd.targets.ensemble import ensemble_targets

WEIGHTS = ("--soft-weight", 0.9, "--hard-weight", 0.1)


def run(*words: object) -> int:
    return main([str(word) for word in words])


def distill(pipeline: Pipeline, out: Path, *flags: object, frames: tuple[Path, ...] | None = None) -> int:
    exp = pipeline.exp
    frames = frames or (exp / "frames/train",)
    labels = ("--labels", exp / "ali/train", *pipeline.dev)
    return run("distill", *TINY_NET, "--num-epochs", 1, *WEIGHTS, *labels, *flags, "--", *frames, out)


def metrics(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_live_teachers_train_the_same_student_as_their_stored_dense_targets(pipeline: Pipeline, tmp_path: Path) -> None:
    soft = pipeline.exp / "soft/train"
    assert distill(pipeline, tmp_path / "stored", "--dtype", "fp32", "--soft-targets", soft) == 0
    live = ("--teachers", *pipeline.members, "--temperature", 2)
    assert distill(pipeline, tmp_path / "live", "--dtype", "fp32", *live) == 0
    (stored_row,), (live_row,) = metrics(tmp_path / "stored"), metrics(tmp_path / "live")
    for name in ("train_loss_soft", "train_loss_hard", "dev_cross_entropy"):
        assert stored_row[name] == pytest.approx(live_row[name], rel=5e-3)


def test_teachers_are_asked_about_the_mixtures_that_the_student_sees(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = ("--teachers", *pipeline.members, "--temperature", 2, "--hard-weight", 0)
    asked: list[Tensor] = []
    mixed: list[Tensor] = []

    def recorded(inputs_BW: Tensor, *, seed: int) -> Tensor:
        mixed.append(mix(inputs_BW, seed=seed))
        assert not torch.equal(mixed[-1], inputs_BW)
        return mixed[-1]

    def targets(members: Sequence[AcousticModel], x_BW: Tensor, **options: Any) -> Tensor:
        asked.append(x_BW)
        return ensemble_targets(members, x_BW, **options)

    monkeypatch.setattr("asr_kd.cli.distill.mix", recorded)
    monkeypatch.setattr("asr_kd.distill.hinton.ensemble_targets", targets)
    assert distill(pipeline, tmp_path / "mixed", *live, "--mix") == 0
    assert len(asked) == len(mixed) > 0
    assert all(torch.equal(teacher, student) for teacher, student in zip(asked, mixed, strict=True))


def test_a_sparse_store_trains_nearly_the_same_student(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    sparse = ("--top-k", 8, "--tail-samples", 8)
    assert run("make-soft-targets", *sparse, exp / "frames/train", *pipeline.members, tmp_path / "soft") == 0
    assert distill(pipeline, tmp_path / "sparse", "--soft-targets", tmp_path / "soft") == 0
    assert distill(pipeline, tmp_path / "dense", "--soft-targets", exp / "soft/train") == 0
    (sparse_row,), (dense_row,) = metrics(tmp_path / "sparse"), metrics(tmp_path / "dense")
    assert sparse_row["dev_cross_entropy"] == pytest.approx(dense_row["dev_cross_entropy"], abs=0.1)


def test_unlabelled_frames_are_learnt_from(pipeline: Pipeline) -> None:
    exp = pipeline.exp
    frames = [json.loads((exp / f"frames/{name}/meta.json").read_text())["num_frames"] for name in ("train", "extra")]
    rows = metrics(exp / "students/distilled-1")
    assert all(row["frames"] == sum(frames) for row in rows)
    assert all(row["gradient_share_soft"] + row["gradient_share_hard"] == pytest.approx(1, abs=1e-5) for row in rows)
    assert len(AcousticModel.load(exp / "students/distilled-1").card.trained_on) == 2


def test_soft_targets_of_other_frames_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    soft = pipeline.exp / "soft/extra"
    assert distill(pipeline, tmp_path / "out", "--soft-targets", soft) == 1
    message = complaint()
    assert f"{soft}: made from frames" in message
    assert str(pipeline.exp / "frames/train") in message
    assert "run asr-kd make-soft-targets again" in message


def test_soft_targets_of_other_models_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    soft = pipeline.exp / "soft/train"
    teachers = ("--teachers", *pipeline.members[:1])
    assert distill(pipeline, tmp_path / "out", "--soft-targets", soft, *teachers) == 1
    assert f"{soft}: made from models" in complaint()


@pytest.fixture(scope="module")
def elsewhere(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model over other states and one over other features, the labels and frames they need, their soft targets."""
    root, exp, tones = tmp_path_factory.mktemp("elsewhere"), pipeline.exp, pipeline.tones
    # As many states as the real ones, so that no shape gives them away: one phone has another name.
    (root / "lexicon.txt").write_text((tones / "lexicon.txt").read_text().replace("D A C", "D A E"))
    states = ("--num-states", 3, "--silence-states", 3)
    lang = (*states, tones / "data/train", root / "lexicon.txt", root / "lang")
    assert run("make-lang", *lang) == 0
    flags = (*TINY_NET, "--num-rounds", 1, "--num-epochs", 1)
    data = (tones / "data/train", root / "lang", exp / "frames/train")
    assert run("flat-start", *flags, *data, root / "other-states") == 0
    assert run("make-soft-targets", "--dense", exp / "frames/train", root / "other-states", root / "soft-states") == 0
    fbank = ("--sample-rate", RATE, *CONTEXT, "--cmvn", "none")
    assert run("make-fbank", *fbank, tones / "data/train", root / "frames") == 0
    data = (tones / "data/train", exp / "lang", root / "frames")
    assert run("flat-start", *flags, *data, root / "other-features") == 0
    assert run("make-soft-targets", "--dense", root / "frames", root / "other-features", root / "soft-features") == 0
    return root


@pytest.mark.parametrize("what", ["states", "features"])
def test_soft_targets_of_other_states_or_features_are_refused(
    pipeline: Pipeline, tmp_path: Path, elsewhere: Path, complaint: Callable[[], str], what: str
) -> None:
    soft = elsewhere / f"soft-{what}"
    assert distill(pipeline, tmp_path / "out", "--soft-targets", soft) == 1
    assert f"{soft}: made from {what}" in complaint()
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("what", ["states", "features"])
def test_live_teachers_of_other_states_or_features_are_refused(
    pipeline: Pipeline, tmp_path: Path, elsewhere: Path, complaint: Callable[[], str], what: str
) -> None:
    teacher = elsewhere / f"other-{what}"
    assert distill(pipeline, tmp_path / "out", "--teachers", teacher, "--temperature", 2) == 1
    message = complaint()
    assert str(teacher) in message
    assert what in message
    assert not (tmp_path / "out.partial").exists()
    assert not (tmp_path / "out").exists()


def test_soft_targets_made_with_other_options_do_not_mix(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    exp = pipeline.exp
    warm = (*("--dense", "--temperature", 3), exp / "frames/extra", *pipeline.members, tmp_path / "warm")
    assert run("make-soft-targets", *warm) == 0
    frames = (exp / "frames/train", exp / "frames/extra")
    assert (
        distill(pipeline, tmp_path / "out", "--soft-targets", exp / "soft/train", tmp_path / "warm", frames=frames) == 1
    )
    assert "temperature 3.0" in complaint()


def test_the_order_in_which_members_are_named_does_not_matter(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    reverse = (exp / "frames/extra", *reversed(pipeline.members), exp / "soft/extra")
    made = fingerprint(exp / "soft/extra")
    assert run("make-soft-targets", "--dense", *reverse) == 0
    assert fingerprint(exp / "soft/extra") == made


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "give --soft-targets"),
        (("--teachers", "a"), "--temperature"),
        (("--teachers", "a", "--temperature", 0), "--temperature must be above 0"),
        (("--teachers", "a", "--match-logits"), "--match-logits needs --soft-targets"),
        (("--soft-targets", "a", "--temperature", 2, "--match-logits"), "and no --temperature"),
        (("--soft-targets", "a", "b"), "1 frame stores but 2 --soft-targets"),
        (("--soft-targets", "a", "--transfer-weights", 1, 2), "1 frame stores but 2 --transfer-weights"),
        (("--soft-targets", "a", "--transfer-weights", -1), "must be finite and not negative"),
        (("--soft-targets", "a", "--mean", "geometric"), "leave --mean out"),
        (("--soft-targets", "a", "--soft-weight", 0, "--hard-weight", 0), "nor both 0"),
        (("--soft-targets", "a", "--hard-weight", 0, "--mix"), "leave --soft-targets out"),
        (("--teachers", "a", "--temperature", 2, "--mix"), "give --hard-weight 0"),
        (("--teachers", "a", "--match-logits", "--mix"), "leave one of them out"),
    ],
)
def test_wrong_usage_is_one_line(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], flags: tuple[object, ...], said: str
) -> None:
    assert distill(pipeline, tmp_path / "out", *flags) == 2
    assert said in complaint()


def test_stored_logits_serve_any_temperature_and_matching(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    exp = pipeline.exp
    logits = tmp_path / "logits"
    assert (
        run("make-soft-targets", "--logits", "--mean", "geometric", exp / "frames/train", *pipeline.members, logits)
        == 0
    )
    frames = (exp / "frames/train",)
    for number, flags in enumerate((("--temperature", 1.5), ("--match-logits",))):
        assert distill(pipeline, tmp_path / str(number), "--soft-targets", logits, *flags, frames=frames) == 0
        assert (tmp_path / str(number) / "model.safetensors").exists()
    assert distill(pipeline, tmp_path / "none", "--soft-targets", logits, frames=frames) == 2
    assert "holds logits, for any temperature" in complaint()
    of_probs = ("--soft-targets", exp / "soft/train")
    assert distill(pipeline, tmp_path / "none", *of_probs, "--temperature", 2, frames=frames) == 2
    assert "leave --temperature out" in complaint()
    assert distill(pipeline, tmp_path / "none", *of_probs, "--match-logits", frames=frames) == 2
    assert "make-soft-targets --logits" in complaint()
    arithmetic = ("--logits", exp / "frames/train", *pipeline.members, tmp_path / "none")
    assert run("make-soft-targets", *arithmetic) == 2
    assert "give --mean geometric" in complaint()


def test_without_any_transcript_the_prior_is_what_the_student_learnt(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    flags = (*TINY_NET, "--num-epochs", 3, "--soft-weight", 1, "--hard-weight", 0, *pipeline.dev)
    for name, labels in (("without", ()), ("with", ("--labels", exp / "ali/train"))):
        soft = ("--soft-targets", exp / "soft/train")
        assert run("distill", *flags, *labels, *soft, "--", exp / "frames/train", tmp_path / name) == 0
    without, given = (AcousticModel.load(tmp_path / name) for name in ("without", "with"))
    assert without.log_prior.exp().sum() == pytest.approx(1, abs=1e-5)
    # Not the even one, and like that of the labels.
    even = abs(given.log_prior.exp() - 1 / len(given.log_prior)).sum()
    assert abs(without.log_prior.exp() - given.log_prior.exp()).sum() < 0.5 * even


def test_the_labels_term_needs_labels(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    exp = pipeline.exp
    soft = ("--soft-targets", exp / "soft/extra")
    assert run("distill", *WEIGHTS, *pipeline.dev, *soft, "--", exp / "frames/extra", tmp_path / "out") == 2
    assert "--hard-weight above 0 needs --labels" in complaint()


def test_labels_of_no_frames_trained_on_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    """Those of the dev set are of frames that are there too, and would be a labels' term of nothing."""
    exp = pipeline.exp
    words = (*WEIGHTS, *pipeline.dev, "--labels", exp / "ali/dev", "--soft-targets", exp / "soft/extra")
    assert run("distill", *words, "--", exp / "frames/extra", tmp_path / "out") == 1
    message = complaint()
    assert f"{exp / 'ali/dev'}: labels of the frames" in message
    assert f"none of {exp / 'frames/extra'} holds" in message


def test_weighted_stores_and_selected_frames_are_trained_on(pipeline: Pipeline, tmp_path: Path) -> None:
    exp = pipeline.exp
    frames = (exp / "frames/train", exp / "frames/extra")
    flags = ("--soft-targets", exp / "soft/train", exp / "soft/extra", "--transfer-weights", 1, 0.5)
    part = ("--train-fraction", 0.5, "--watch-train")
    test = ("--watch-frames", exp / "frames/test", "--watch-labels", exp / "ali/test")
    assert distill(pipeline, tmp_path / "out", *flags, *part, *test, frames=frames) == 0
    (row,) = metrics(tmp_path / "out")
    whole = sum(json.loads((path / "meta.json").read_text())["num_frames"] for path in frames)
    assert 0.3 * whole < row["frames"] < 0.7 * whole
    assert {"test_frame_accuracy", "fitted_frame_accuracy"} <= row.keys()
