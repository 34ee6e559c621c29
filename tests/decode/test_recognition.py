"""`asr-kd decode`: words and frame scores of a test set, tuned on the dev set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tone_pipeline import CONTEXT, RATE, Pipeline

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, load_data_dir, write_data_dir
from asr_kd.decode.graph import DecodingGraph
from asr_kd.decode.nbest_file import nbest_path
from asr_kd.decode.recognition import Decoder, FrameScores, Scorer, SearchOptions
from asr_kd.frames.store import FrameStore
from asr_kd.hmm import posteriors
from asr_kd.hmm.labels import Labels
from asr_kd.hmm.posteriors import KeptMean, load_models, mean_log_posteriors
from asr_kd.nets.acoustic_model import AcousticModel
from asr_kd.score.wer import align_words, count_words

CPU = torch.device("cpu")


def words_of(path: Path) -> dict[str, tuple[str, ...]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    return {row[0]: tuple(row[1:]) for row in rows}


def decode(pipeline: Pipeline, out: Path, *flags: object, **instead: Path) -> int:
    exp, data = pipeline.exp, pipeline.tones / "data"
    paths = {
        "dev_data": data / "dev",
        "dev_frames": exp / "frames/dev",
        "test_data": data / "test",
        "test_frames": exp / "frames/test",
        "test_labels": exp / "ali/test",
        "graph": exp / "graph",
        "model": pipeline.members[0],
    } | instead
    named = [
        f"--{name.replace('_', '-')}={path}" for name, path in paths.items() if not name.endswith(("graph", "model"))
    ]
    grid = ("--acoustic-scales", 0.1, 0.3, "--insertion-penalties", 0)
    models = [path for name, path in paths.items() if name.endswith("model")]
    words = ["decode", *([] if "--name" in flags else ["--name", "x"]), *named, *grid, *flags]
    words += ["--", paths["graph"], *models, out]
    return main([str(word) for word in words])


def test_frame_scores_count_labelled_frames_alone(tmp_path: Path) -> None:
    logp = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.5, 0.4, 0.1]], np.float32))
    frames = FrameScores()
    frames.add("u", logp, np.array([0, 2, -1, 0]))
    frames.add("v", logp, np.array([-1, -1, -1, -1]))
    assert frames.rows[0][:3] == ("u", 3, 2)
    assert frames.rows[0][3] == pytest.approx(-np.log(0.7) - np.log(0.1) - np.log(0.5))
    assert frames.rows[1][:3] == ("v", 0, 0)
    frames.write(tmp_path / "frames.tsv")
    rows = [line.split("\t") for line in (tmp_path / "frames.tsv").read_text().splitlines()]
    assert rows[0] == ["utt", "num_frames", "num_correct", "cross_entropy"]
    assert float(rows[1][3]) == pytest.approx(frames.rows[0][3], abs=1e-6)


def test_frame_scores_are_those_of_the_models_mean(pipeline: Pipeline) -> None:
    store, labels = FrameStore(pipeline.exp / "frames/test"), Labels.load(pipeline.exp / "ali/test")
    models = [AcousticModel.load(path) for path in pipeline.members]
    everything = store.windows(slice(0, store.num_frames))
    posteriors = torch.stack([model.log_posteriors(everything).exp() for model in models]).mean(dim=0).numpy()
    correct = posteriors.argmax(axis=1) == labels.pdfs
    rows = (pipeline.exp / "decode/ensemble/frames.tsv").read_text().splitlines()[1:]
    counted = sum(int(row.split("\t")[2]) for row in rows)
    assert sum(int(row.split("\t")[1]) for row in rows) == store.num_frames
    # Decoding may multiply in bf16, which turns over near ties.
    assert counted == pytest.approx(int(correct.sum()), abs=0.01 * store.num_frames)


def test_scores_are_posteriors_over_the_prior(pipeline: Pipeline) -> None:
    store = FrameStore(pipeline.exp / "frames/test")
    model = AcousticModel.load(pipeline.members[0])
    scores = dict(Scorer([model], CPU).log_likelihoods(store))
    for utterance, frames in list(store.index.slices())[:3]:
        expected = model.log_posteriors(store.windows(frames)) - model.log_prior
        np.testing.assert_allclose(scores[utterance], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nj", [1, 2])
def test_words_are_those_of_the_search_at_the_tuned_point(pipeline: Pipeline, nj: int) -> None:
    decoded = pipeline.exp / "decode/ensemble"
    system = json.loads((decoded / "system.json").read_text())
    assert (system["name"], system["members"]) == ("ensemble", 2)
    store = FrameStore(pipeline.exp / "frames/test")
    models = load_models(pipeline.members, store, CPU, "auto")
    decoder = Decoder(DecodingGraph.load(pipeline.exp / "graph"), SearchOptions(), nj)
    scores = Scorer(list(models.values()), CPU, nj).log_likelihoods(store)
    found = {h.utt: h.words for h in decoder(scores, system["acoustic_scale"], system["insertion_penalty"])}
    assert found == words_of(decoded / "hyp.txt")


def test_the_tuned_point_has_the_dev_sets_error_it_says(pipeline: Pipeline) -> None:
    system = json.loads((pipeline.exp / "decode/distilled-1/system.json").read_text())
    store = FrameStore(pipeline.exp / "frames/dev")
    models = load_models([pipeline.exp / "students/distilled-1"], store, CPU, "auto")
    decoder = Decoder(DecodingGraph.load(pipeline.exp / "graph"), SearchOptions())
    reference = {u.id: u.words or () for u in load_data_dir(pipeline.tones / "data/dev")}
    errors = {}
    for scale in (0.1, 0.3, 1.0):
        for penalty in (0.0, 3.0, 6.0):
            scores = Scorer(list(models.values()), CPU).log_likelihoods(store)
            found = {h.utt: h.words for h in decoder(scores, scale, penalty)}
            errors[scale, penalty] = count_words(tuple(align_words(reference, found, where="dev").values())).wer
    assert errors[system["acoustic_scale"], system["insertion_penalty"]] == system["dev_wer"]
    assert system["dev_wer"] <= errors[0.3, 0.0]


def test_references_and_speakers_are_the_test_sets(pipeline: Pipeline) -> None:
    decoded, utterances = pipeline.exp / "decode/ensemble", load_data_dir(pipeline.tones / "data/test")
    assert words_of(decoded / "ref.txt") == {u.id: u.words for u in utterances}
    assert words_of(decoded / "utt2spk") == {u.id: (u.speaker,) for u in utterances}


def remade(pipeline: Pipeline, out: Path, split: str) -> Path:
    """The frames of a split with another normalisation, which no shape gives away."""
    words = ["make-fbank", "--sample-rate", RATE, *CONTEXT, "--cmvn", "none", pipeline.tones / "data" / split, out]
    assert main([str(word) for word in words]) == 0
    return out


@pytest.mark.parametrize("split", ["dev", "test"])
def test_frames_of_other_features_are_refused(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str], split: str
) -> None:
    frames = remade(pipeline, tmp_path / "frames", split)
    assert decode(pipeline, tmp_path / "out", **{f"{split}_frames": frames}) == 1
    message = complaint()
    other = "test" if split == "dev" else "dev"
    assert str(frames) in message
    assert str(pipeline.exp / "frames" / other) in message


def test_labels_of_other_frames_are_refused(pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]) -> None:
    assert decode(pipeline, tmp_path / "out", test_labels=pipeline.exp / "ali/dev") == 1
    assert "run asr-kd align again" in complaint()
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def other_lang(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many states as the pipeline's, but one phone has another name: its graph, and labels of the test set."""
    root, exp, data = tmp_path_factory.mktemp("other"), pipeline.exp, pipeline.tones / "data"
    (root / "lexicon.txt").write_text((pipeline.tones / "lexicon.txt").read_text().replace("D A C", "D A E"))
    tiny = ("--num-layers", 1, "--hidden-dim", 8, "--num-rounds", 1, "--num-epochs", 1)
    for words in (
        ("make-lang", "--num-states", 3, "--silence-states", 3, data / "test", root / "lexicon.txt", root / "lang"),
        ("make-graph", root / "lang", root / "graph"),
        ("flat-start", *tiny, data / "test", root / "lang", exp / "frames/test", root / "mono"),
        ("align", data / "test", root / "lang", exp / "frames/test", root / "mono", root / "ali"),
    ):
        assert main([str(word) for word in words]) == 0
    return root


@pytest.mark.parametrize("what", ["graph", "test_labels"])
def test_a_graph_or_labels_of_other_states_are_refused(
    pipeline: Pipeline, tmp_path: Path, other_lang: Path, complaint: Callable[[], str], what: str
) -> None:
    other = other_lang / ("graph" if what == "graph" else "ali")
    assert decode(pipeline, tmp_path / "out", **{what: other}) == 1
    message = complaint()
    assert str(other) in message
    assert AcousticModel.load(pipeline.members[0]).card.states_fingerprint in message


def test_an_utterance_without_a_transcript_is_named(
    pipeline: Pipeline, tmp_path: Path, complaint: Callable[[], str]
) -> None:
    utterances = load_data_dir(pipeline.tones / "data/test")
    write_data_dir(
        tmp_path / "data", [Utterance(id=u.id, speaker=u.speaker, audio=u.audio, words=u.words) for u in utterances[1:]]
    )
    assert decode(pipeline, tmp_path / "out", test_data=tmp_path / "data") == 1
    assert utterances[0].id in complaint()


def test_an_utterance_that_was_not_scored_is_there_without_frames() -> None:
    scores = FrameScores([("b", 3, 2, 1.5), ("a", 4, 4, 0.5)])
    assert scores.in_order(["a", "b", "c"]).rows == [("a", 4, 4, 0.5), ("b", 3, 2, 1.5), ("c", 0, 0, 0.0)]


def results(directory: Path) -> dict[str, Any]:
    """All that a decoding found out, but how long it took."""
    system = json.loads((directory / "system.json").read_text())
    assert system.pop("rtf") > 0
    identity = json.loads((directory / "run.json").read_text())["identity"]
    return {name: (directory / name).read_text() for name in ("hyp.txt", "frames.tsv")} | system | identity


def test_models_score_once_for_themselves_and_for_their_mean(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = pipeline.members
    for number, model in enumerate(pipeline.members):
        assert decode(pipeline, tmp_path / f"apart-{number}", "--name", "one", model=model) == 0
    both = {"model": first, "other_model": second}
    assert decode(pipeline, tmp_path / "apart", **both) == 0
    alone = ("--alone-name", "one", "--alone", tmp_path / "together-0", tmp_path / "together-1")
    scored: list[int] = []

    def counted(models: list[AcousticModel], x_BW: torch.Tensor) -> torch.Tensor:
        scored.append(len(models))
        return mean_log_posteriors(models, x_BW)

    monkeypatch.setattr(posteriors, "mean_log_posteriors", counted)

    def together(*missing: str) -> None:
        for name in missing:
            shutil.rmtree(tmp_path / name)
        assert decode(pipeline, tmp_path / "together", *alone, **both) == 0
        for name in ("", "-0", "-1"):
            assert results(tmp_path / f"together{name}") == results(tmp_path / f"apart{name}")

    together()
    stretches = len(scored) // 2
    assert scored == [1] * (2 * stretches)
    together("together-0", "together")
    assert len(scored) == 4 * stretches
    together()
    assert len(scored) == 4 * stretches
    together("together-1")
    assert len(scored) == 5 * stretches
    monkeypatch.setattr("asr_kd.cli.decode.free_bytes", lambda device: 1000)
    together("together")
    assert scored[5 * stretches :] == [2] * stretches


@pytest.mark.parametrize("flags", [(), ("--alone-lists",)])
def test_lists_of_models_by_themselves_and_what_scoring_them_took(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    monkeypatch.setattr(KeptMean, "seconds", lambda self, store: 1e6 * store.num_frames)
    out = tmp_path / "both"
    given = ("--num-best", 3, "--alone-name", "one", *flags, "--alone", tmp_path / "0", tmp_path / "1")
    first, second = pipeline.members
    assert decode(pipeline, out, *given, model=first, other_model=second) == 0
    system = json.loads((out / "system.json").read_text())
    frames_a_second = 100
    assert system["rtf"] > 1e6 * frames_a_second and system["nbest_rtf"] > 1e6 * frames_a_second
    assert nbest_path(out, "test").exists()
    for name in "01":
        assert nbest_path(tmp_path / name, "test").exists() == bool(flags)
        assert json.loads((tmp_path / name / "system.json").read_text())["rtf"] < 1e6


@pytest.mark.parametrize(
    ("alone", "message"),
    [
        (("--alone-name", "one", "--alone", "a", "b"), "2 directories for 1 models"),
        (("--alone-name", "one", "--alone", "out"), "another for all together"),
        (("--alone", "a"), "go together"),
        (("--alone-name", "one"), "go together"),
    ],
)
def test_results_by_themselves_need_a_place_and_a_name_each(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    complaint: Callable[[], str],
    alone: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert decode(pipeline, Path("out"), *alone) == 2
    assert message in complaint()
