"""Splits are disjoint, complete and near their shares; subsets hold exactly what was asked for."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.cli.main import main
from asr_kd.corpus.data_dir import Utterance, load_data_dir
from asr_kd.corpus.subset import parse_parts, read_ids, split
from asr_kd.errors import DataError, UsageError
from asr_kd.stage import read_run


def made_up(sizes: list[int]) -> list[Utterance]:
    """Utterances of speakers with so many each."""
    return [
        Utterance(id=f"s{s:03}-{i:03}", speaker=f"s{s:03}", audio=f"/{s}-{i}.wav")
        for s, size in enumerate(sizes)
        for i in range(size)
    ]


PARTS = {"train": 0.8, "dev": 0.1, "test": 0.1}


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=3, max_size=20), seed=st.integers(0, 99), by_speaker=st.booleans())
def test_a_split_is_complete_disjoint_sorted_and_near_its_shares(sizes: list[int], seed: int, by_speaker: bool) -> None:
    utterances = made_up(sizes)
    result = split(utterances, PARTS, by_speaker=by_speaker, seed=seed)
    assert Counter(u.id for part in result.values() for u in part) == Counter(u.id for u in utterances)
    largest = max(sizes) if by_speaker else 1
    for name, part in result.items():
        assert part == sorted(part, key=lambda u: u.id)
        assert 0 < len(part) <= PARTS[name] * len(utterances) + largest
    if by_speaker:
        assert sum(len({u.speaker for u in part}) for part in result.values()) == len(sizes)


def test_a_split_follows_from_its_seed_and_not_from_the_order_of_the_utterances() -> None:
    utterances = made_up([5] * 20)
    first = split(utterances, PARTS, by_speaker=True, seed=1)
    assert split(utterances[::-1], PARTS, by_speaker=True, seed=1) == first
    assert split(utterances, PARTS, by_speaker=True, seed=2) != first


def test_fewer_speakers_than_parts_are_an_error() -> None:
    with pytest.raises(DataError, match="2 speakers cannot fill 3 parts"):
        split(made_up([9, 9]), PARTS, by_speaker=True, seed=1)


def test_parts_are_read_from_words() -> None:
    assert parse_parts(["train:0.8", "dev:0.1", "test:0.1"]) == PARTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "NAME:SHARE"),
        (["train:most"], "NAME:SHARE"),
        (["train:0.5", "train:0.5"], "'train' cannot name"),
        (["../x:1"], "cannot name"),
        ([":1"], "cannot name"),
        (["train:1.5", "dev:-0.5"], "more than 0"),
        (["train:nan"], "more than 0"),
        (["train:0.8", "dev:0.1"], "sum to 0.9"),
    ],
)
def test_wrong_parts_are_usage_errors(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_parts(words)


def test_a_list_of_ids_takes_the_first_word_of_each_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("b-1 x\n\na-1\n")
    assert read_ids(tmp_path / "list") == ["b-1", "a-1"]
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "sound").write_bytes(b"RIFF\xff\xfe")
    for name in ("empty", "missing", "sound"):
        with pytest.raises(DataError, match=name):
            read_ids(tmp_path / name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ann, bob and cy with four utterances each; the longer the later in the list, but for the first of each."""
    folder = tmp_path / "data"
    folder.mkdir()
    keys = [f"{speaker}-{i}" for speaker in ("ann", "bob", "cy") for i in range(4)]
    for place, key in enumerate(keys):
        length = 8000 if key.endswith("0") else 100 + 10 * place
        soundfile.write(folder / f"{key}.flac", np.zeros(length), 8000)
    (folder / "wav.scp").write_text("".join(f"{key} {key}.flac\n" for key in keys))
    (folder / "utt2spk").write_text("".join(f"{key} {key.split('-')[0]}\n" for key in keys))
    (folder / "text").write_text("ann-0 ONE\nann-1 TWO\n")
    return folder


def subset(data: Path, *words: str) -> list[str]:
    out = data.with_name("subset" + "".join(word.replace("/", "_") for word in words))
    assert main(["subset-data", str(data), str(out), *words]) == 0
    return [u.id for u in load_data_dir(out, need_text=False)]


def test_subset_data_keeps_the_speakers_named_here_or_in_a_file(data: Path) -> None:
    expected = [f"{speaker}-{i}" for speaker in ("ann", "cy") for i in range(4)]
    assert subset(data, "--speakers", "cy", "ann") == expected
    (data / "list").write_text("ann\ncy\n")
    assert subset(data, "--spk-list", str(data / "list")) == expected
    assert subset(data, "--spk-list", str(data / "list"), "--exclude") == [f"bob-{i}" for i in range(4)]


def test_subset_data_keeps_the_utterances_of_a_list_the_first_or_the_shortest(data: Path) -> None:
    (data / "list").write_text("cy-3\nann-2\n")
    assert subset(data, "--utt-list", str(data / "list")) == ["ann-2", "cy-3"]
    assert subset(data, "--first", "2") == ["ann-0", "ann-1"]
    assert subset(data, "--shortest", "4") == ["ann-1", "ann-2", "ann-3", "bob-1"]


def test_subset_data_draws_at_random_as_its_seed_says(data: Path) -> None:
    drawn = [subset(data, "--random", "5", "--seed", str(seed)) for seed in range(4)]
    assert all(len(set(ids)) == 5 for ids in drawn)
    assert len({tuple(ids) for ids in drawn}) > 1
    rest = subset(data, "--random", "5", "--seed", "0", "--exclude")
    assert sorted(rest + drawn[0]) == [u.id for u in load_data_dir(data, need_text=False)]


def test_subset_data_keeps_transcripts_where_there_are_some(data: Path) -> None:
    subset(data, "--first", "3")
    assert (data.with_name("subset--first3") / "text").read_text() == "ann-0 ONE\nann-1 TWO\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "exactly one of --speakers"),
        (["--first", "1", "--random", "2"], 2, "exactly one of --speakers"),
        (["--first", "0"], 2, "--first must be at least 1"),
        (["--speakers", "ann", "dan", "eve"], 1, "2 of 3 speaker ids are not in the data directory: dan, eve"),
        (["--first", "99", "--exclude"], 1, "nothing is left"),
        (["--utt-list", "no-such-list"], 1, "no-such-list: no such list"),
    ],
)
def test_subset_data_refuses_what_makes_no_sense(
    data: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["subset-data", str(data), str(data / "out"), *words]) == code
    assert said in capsys.readouterr().err
    assert not (data / "out").exists()


def test_a_changed_list_makes_a_finished_subset_stale(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "list").write_text("ann\n")
    command = ["subset-data", str(data), str(data / "out"), "--spk-list", str(data / "list")]
    assert main(command) == 0
    assert main(command) == 0
    (data / "list").write_text("bob\n")
    assert main(command) == 1
    assert "another list" in capsys.readouterr().err


def test_a_list_under_another_name_is_the_same_list(data: Path) -> None:
    (data / "list").write_text("ann\n")
    assert main(["subset-data", str(data), str(data / "out"), "--spk-list", str(data / "list")]) == 0
    (data / "list").rename(data / "moved")
    assert main(["subset-data", str(data), str(data / "out"), "--spk-list", str(data / "moved")]) == 0


def test_a_list_of_speakers_is_not_the_same_list_of_utterances(data: Path, complaint: Callable[[], str]) -> None:
    (data / "list").write_text("ann\n")
    assert main(["subset-data", str(data), str(data / "out"), "--spk-list", str(data / "list")]) == 0
    assert main(["subset-data", str(data), str(data / "out"), "--utt-list", str(data / "list")]) == 1
    assert "another way --spk-list (now --utt-list)" in complaint()


def test_split_data_writes_one_data_directory_a_part_below_one_stage(data: Path) -> None:
    out = data / "out"
    command = ["split-data", str(data), str(out), "--parts", "train:0.4", "dev:0.3", "test:0.3"]
    assert main([*command, "--by", "speaker"]) == 0
    parts = {name: load_data_dir(out / name, need_text=False) for name in ("train", "dev", "test")}
    assert sorted(u.speaker for part in parts.values() for u in part[:1]) == ["ann", "bob", "cy"]
    assert "train/wav.scp" in read_run(out)["checksums"]
    assert all(Path(u.audio).is_absolute() and Path(u.audio).is_file() for part in parts.values() for u in part)
    assert main([*command, "--by", "utterance"]) == 1
    assert json.loads((out / "config.json").read_text())["by"] == "speaker"


def test_the_parts_may_stand_in_a_conf_file(data: Path) -> None:
    (data / "split.conf").write_text("--by=utterance\n--parts train:0.5 test:0.5  # halves\n")
    assert main(["split-data", "--config", str(data / "split.conf"), str(data), str(data / "out")]) == 0
    assert len(load_data_dir(data / "out" / "train", need_text=False)) == 6
