"""Which words are confused, by whom: counts that add up, and pages that say them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.cli import errors
from asr_kd.errors import DataError
from asr_kd.options import parse
from asr_kd.score.confusions import count_confusions, most_confused, write_confusions, write_words
from asr_kd.score.decoded import read_decoded
from asr_kd.score.errors_page import MANY_SPEAKERS
from asr_kd.score.speakers import speaker_rows
from asr_kd.score.systems import as_system, load_systems
from asr_kd.score.wer import align_words, count_words

from .conftest import WORDS, corrupt

Make = Callable[..., Path]
some_words = st.lists(st.sampled_from("abc"), max_size=6)


def cells(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()[1:]]


def run_errors(*words: object) -> None:
    given_words = [str(word) for word in (*words, "--bootstrap-samples", 200)]
    errors.run(parse(errors.Options, given_words, command="errors", description=""))


@given(st.lists(st.tuples(some_words.filter(bool), some_words), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_every_error_is_counted_once(pairs: list[tuple[list[str], list[str]]]) -> None:
    ref, hyp = ({f"u{i}": pair[side] for i, pair in enumerate(pairs)} for side in (0, 1))
    alignments = list(align_words(ref, hyp).values())
    found, counts = count_confusions(alignments), count_words(alignments)
    assert found.substituted.total() == counts.sub.sum()
    assert found.deleted.total() == counts.dele.sum()
    assert found.inserted.total() == counts.ins.sum()
    assert found.num_errors == counts.errors.sum()
    assert found.correct.total() == (counts.ref_words - counts.sub - counts.dele).sum()


def test_the_most_frequent_are_jiwers() -> None:
    """Of a recogniser that mistakes one word of each utterance, so that there is one way to align."""
    rng = np.random.default_rng(0)
    ref = {f"u{i}": [str(word) for word in rng.choice(WORDS, size=6)] for i in range(200)}
    hyp = {utt: [*words[:3], str(rng.choice(WORDS)), *words[4:]] for utt, words in ref.items()}
    found = count_confusions(align_words(ref, hyp).values())
    theirs = jiwer.collect_error_counts(
        jiwer.process_words([" ".join(ws) for ws in ref.values()], [" ".join(hyp[utt]) for utt in ref])
    )
    assert dict(found.substituted) == theirs[0]
    top = most_confused(found, 5)["sub"]
    assert [row[-1] for row in top] == sorted(theirs[0].values(), reverse=True)[:5]


def test_the_tables_hold_every_word_and_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ref = {f"u{i}": [str(word) for word in rng.choice(WORDS, size=6)] for i in range(100)}
    alignments = list(align_words(ref, {utt: corrupt(words, 0.3, rng) for utt, words in ref.items()}).values())
    found, counts = count_confusions(alignments), count_words(alignments)
    write_confusions(tmp_path / "confusions.tsv", found)
    write_words(tmp_path / "words.tsv", found)
    errors_told = cells(tmp_path / "confusions.tsv")
    assert sum(int(row[-1]) for row in errors_told) == counts.errors.sum()
    assert [int(row[-1]) for row in errors_told] == sorted((int(row[-1]) for row in errors_told), reverse=True)
    words = {word: list(map(int, numbers)) for word, *numbers in cells(tmp_path / "words.tsv")}
    said, correct, substituted, deleted, mistaken, inserted = np.array(list(words.values())).sum(axis=0)
    assert said == correct + substituted + deleted == counts.ref_words.sum()
    assert substituted == mistaken == counts.sub.sum()
    assert (deleted, inserted) == (counts.dele.sum(), counts.ins.sum())
    assert words["two"][0] == sum(w == "two" for ws in ref.values() for w in ws)


def test_a_speakers_rate_is_that_of_its_utterances(make_experiment: Make) -> None:
    systems = load_systems([make_experiment("exp", speakers=("anna", "bert", "carl"), num_utterances=90)])
    rows = speaker_rows(systems, num_samples=200, seed=1)
    assert [row["speaker"] for row in rows] == ["anna", "bert", "carl"]
    for system in systems:
        words = sum(row["words"] for row in rows)
        mean = sum(row["words"] * row["wer"][system.name] for row in rows) / words
        assert mean == pytest.approx(system.errors_U.sum() / system.ref_words_U.sum())
        for row in rows:
            low, high = row["wer_ci"][system.name]
            assert low <= row["wer"][system.name] <= high


def test_utterances_that_share_no_speaker_tell_nothing_of_speakers(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=8)
    for path in experiment.glob("decode/*/utt2spk"):
        path.write_text("".join(f"{line.split()[0]} {line.split()[0]}\n" for line in path.read_text().splitlines()))
    assert speaker_rows(load_systems([experiment]), num_samples=100, seed=1) == []


def test_a_speaker_of_one_utterance_has_no_interval(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=9)
    for path in experiment.glob("decode/*/utt2spk"):
        utterances = [line.split()[0] for line in path.read_text().splitlines()]
        path.write_text("".join(f"{utt} {'one' if place else 'alone'}\n" for place, utt in enumerate(utterances)))
    alone, many = speaker_rows(load_systems([experiment]), num_samples=100, seed=1)
    assert alone["wer_ci"]["baseline"] is None
    assert many["wer_ci"]["baseline"]


def test_the_command_writes_page_and_tables(
    make_experiment: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decode, out = make_experiment("exp", num_utterances=60) / "decode", tmp_path / "errors"
    run_errors(decode / "baseline-1", decode / "baseline-2", out)
    printed = capsys.readouterr().out
    assert printed == (out / "errors.md").read_text()
    runs = [read_decoded(decode / f"baseline-{seed}") for seed in (1, 2)]
    total = sum(int(run.words.errors.sum()) for run in runs)
    assert f"[ {total} / {sum(int(run.words.ref_words.sum()) for run in runs)}, " in printed
    assert "Counts are sums over 2 runs." in printed
    utterances = cells(out / "utterances.tsv")
    assert sum(int(n) for row in utterances for n in row[3:6]) == total
    assert sum(int(row[6]) for row in utterances) == 2 * runs[0].frames.num_frames.sum()
    speakers = cells(out / "speakers.tsv")
    assert {row[1] for row in speakers} == {"anna", "bert"}
    assert sum(int(n) for row in speakers for n in row[8:]) == total
    worst = max(runs[0].utterances, key=lambda u: sum(run.words.errors[run.utterances.index(u)] for run in runs))
    assert f"{worst} ref " in printed
    run_errors(decode / "baseline-1", decode / "baseline-2", out)
    assert capsys.readouterr().out == printed


def test_a_system_without_errors_has_a_page(make_experiment: Make, tmp_path: Path) -> None:
    right = make_experiment("exp", num_utterances=6) / "decode/ensemble-1"
    shutil.copy(right / "ref.txt", right / "hyp.txt")
    run_errors(right, tmp_path / "errors")
    assert "None has an error." in (tmp_path / "errors/errors.md").read_text()


def test_of_many_speakers_the_page_says_how_far_they_spread(make_experiment: Make, tmp_path: Path) -> None:
    speakers = [f"s{number:02d}" for number in range(MANY_SPEAKERS + 1)]
    decode = make_experiment("exp", speakers=speakers, num_utterances=2 * len(speakers)) / "decode"
    run_errors(decode / "baseline-1", tmp_path / "errors")
    assert f"\nHow far the WER (%) of {len(speakers)} speakers spreads:" in (tmp_path / "errors/errors.md").read_text()


def test_runs_of_two_systems_are_refused(make_experiment: Make) -> None:
    decode = make_experiment("exp", num_utterances=6) / "decode"
    with pytest.raises(DataError, match="runs of baseline and ensemble"):
        as_system([read_decoded(decode / name) for name in ("baseline-1", "ensemble-1")])
