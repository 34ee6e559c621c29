"""Decode directories become systems: seeds under one name, folds pooled, mismatches refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asr_kd.errors import DataError, MismatchError
from asr_kd.score.decoded import read_decoded
from asr_kd.score.systems import load_systems

Make = Callable[..., Path]


def edit_info(directory: Path, **changes: object) -> None:
    path = directory / "system.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_runs_of_one_name_are_one_system_in_the_order_of_the_table(make_experiment: Make) -> None:
    systems = load_systems([make_experiment("exp", num_utterances=6)])
    assert [system.name for system in systems] == ["baseline", "ensemble", "distilled", "distilled_small"]
    assert [run.info.seed for run in systems[0].runs] == [1, 2, 3]


def test_interrupted_decodes_are_not_scored(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=6)
    shutil.copytree(experiment / "decode/distilled-1", experiment / "decode/distilled-9.partial")
    assert len(load_systems([experiment])[2].runs) == 2


def test_an_empty_hypothesis_is_scored_as_deletions(make_experiment: Make) -> None:
    directory = make_experiment("exp", num_utterances=6) / "decode/ensemble-1"
    (directory / "hyp.txt").write_text("".join(f"{u}\n" for u in read_decoded(directory).utterances))
    run = read_decoded(directory)
    assert run.words.wer == 1.0
    assert run.words.dele.sum() == run.words.ref_words.sum()


def test_folds_with_other_runs_are_refused(make_experiment: Make) -> None:
    folds = [make_experiment("one", num_utterances=4), make_experiment("two", speakers=("carl",), num_utterances=4)]
    shutil.rmtree(folds[1] / "decode/distilled-2")
    for order in (folds, folds[::-1]):
        with pytest.raises(DataError, match="two: no decoded 'distilled' of seed 2"):
            load_systems(order)


def test_folds_that_share_test_utterances_are_refused(make_experiment: Make) -> None:
    with pytest.raises(DataError, match="anna-0000: in the test sets of both"):
        load_systems([make_experiment("one", num_utterances=4), make_experiment("two", num_utterances=4)])


def test_two_runs_of_one_name_and_seed_are_refused(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    edit_info(experiment / "decode/distilled-2", seed=1)
    with pytest.raises(DataError, match="'distilled' of seed 1 is in"):
        load_systems([experiment])


def test_seeds_of_unlike_networks_are_refused(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    edit_info(experiment / "decode/baseline-2", params=5)
    with pytest.raises(MismatchError, match="params 5, but 1000000"):
        load_systems([experiment])


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("ref.txt", "anna-0000 other words", "other reference words"),
        ("frames.tsv", "anna-0000\t999\t1\t1.0", "another number of labelled frames"),
    ],
)
def test_systems_tested_on_other_data_are_refused(make_experiment: Make, file: str, line: str, message: str) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    path = experiment / "decode/ensemble-1" / file
    lines = [line if old.startswith("anna-0000") else old for old in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(MismatchError, match=message):
        load_systems([experiment])


def test_systems_tested_on_labels_of_other_states_are_refused(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    for directory in (experiment / "decode").glob("baseline-*"):
        edit_info(directory, num_pdfs=33)
    with pytest.raises(MismatchError, match=r"other states \(99 pdfs, not 33\)"):
        load_systems([experiment])


def test_systems_tested_on_other_labels_are_refused(make_experiment: Make) -> None:
    experiment = make_experiment("exp", num_utterances=4)
    edit_info(experiment / "decode/ensemble-1", labels="of one alignment")
    load_systems([experiment])
    for directory in (experiment / "decode").glob("baseline-*"):
        edit_info(directory, labels="of another")
    with pytest.raises(MismatchError, match=r"other frame labels \(of one alignment, not of another\)"):
        load_systems([experiment])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("hyp.txt", "anna-0000 one\nanna-0000 one\n", r"hyp\.txt:2: utterance anna-0000 comes twice"),
        ("hyp.txt", "anna-0000 one\n\n", r"hyp\.txt:2: an empty line"),
        ("frames.tsv", "utt\tnum_frames\tnum_correct\tcross_entropy\nx\t1\t1\t0.1\n", "differs from ref.txt in 5"),
        ("utt2spk", "anna-0000 anna\n", "no single speaker for utterance anna-0002"),
        ("system.json", "{}", "not a description of a system"),
        ("system.json", "{", "not a description of a system"),
    ],
)
def test_a_malformed_decode_directory_is_an_error(make_experiment: Make, file: str, text: str, message: str) -> None:
    directory = make_experiment("exp", num_utterances=4) / "decode/ensemble-1"
    (directory / file).write_text(text)
    with pytest.raises(DataError, match=message):
        read_decoded(directory)


def test_words_that_are_not_utf8_are_an_error(make_experiment: Make) -> None:
    directory = make_experiment("exp", num_utterances=4) / "decode/ensemble-1"
    (directory / "hyp.txt").write_bytes("anna-0000 fünf\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"hyp\.txt: not UTF-8 .*; convert it"):
        read_decoded(directory)


def test_a_byte_order_mark_is_no_part_of_the_first_utterance(make_experiment: Make) -> None:
    directory = make_experiment("exp", num_utterances=4) / "decode/ensemble-1"
    before = read_decoded(directory)
    for file in ("ref.txt", "hyp.txt", "utt2spk"):
        (directory / file).write_text((directory / file).read_text(), encoding="utf-8-sig")
    assert read_decoded(directory).utterances == before.utterances
    assert read_decoded(directory).words.wer == before.words.wer


def test_an_experiment_without_decodes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run asr-kd decode first"):
        load_systems([tmp_path])


def test_baselines_that_are_not_the_ensembles_members_are_refused(make_experiment: Callable[..., Path]) -> None:
    experiment = make_experiment("exp")
    baselines = sorted((experiment / "decode").glob("baseline-*"))

    def say(directory: Path, models: list[str]) -> None:
        system = json.loads((directory / "system.json").read_text())
        (directory / "system.json").write_text(json.dumps(system | {"models": models}))

    for number, directory in enumerate(baselines):
        say(directory, [f"model-{number}"])
    (ensemble,) = (experiment / "decode").glob("ensemble*")
    say(ensemble, [f"model-{number}" for number in reversed(range(len(baselines)))])
    assert load_systems([experiment])
    say(ensemble, ["model-0"])
    with pytest.raises(MismatchError, match="baselines are not"):
        load_systems([experiment])
