"""Data directories with features instead of audio."""

from pathlib import Path

import pytest

from asr_kd.corpus.audio import read_audio
from asr_kd.corpus.data_dir import absolute_audio, data_fingerprint, load_data_dir, write_data_dir
from asr_kd.corpus.validate import fix, problems
from asr_kd.errors import DataError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "feats.scp").write_text("s-1 feats.ark:4\ns-2 feats.ark:1204[0:9]\n")
    (directory / "feats.ark").write_bytes(b"")
    (directory / "utt2spk").write_text("s-1 s\ns-2 s\n")
    (directory / "text").write_text("s-1 ONE\ns-2 TWO\n")
    (directory / "segments").write_text("s-1 r 0 1\ns-2 r 1 2\n")
    return directory


def test_utterances_are_those_of_the_features(data: Path) -> None:
    assert problems(data, audio=False) == []
    utterances = load_data_dir(data)
    assert [(u.id, u.audio, u.words) for u in utterances] == [
        ("s-1", str(data / "feats.ark:4"), ("ONE",)),
        ("s-2", str(data / "feats.ark:1204[0:9]"), ("TWO",)),
    ]


def test_audio_comes_first_where_both_are_there(data: Path) -> None:
    (data / "wav.scp").write_text("r r.wav\n")
    assert {u.audio for u in load_data_dir(data)} == {str(data / "r.wav")}


def test_a_path_that_exists_from_here_is_kept_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    assert [u.audio for u in load_data_dir(data)] == ["feats.ark:4", "feats.ark:1204[0:9]"]


def test_a_copy_holds_the_same_features_by_absolute_paths(data: Path, tmp_path: Path) -> None:
    utterances = load_data_dir(data)
    write_data_dir(tmp_path / "copy", utterances, absolute_audio(utterances))
    assert load_data_dir(tmp_path / "copy") == utterances
    assert not (tmp_path / "copy/wav.scp").exists() and not (tmp_path / "copy/segments").exists()
    assert fix(data, tmp_path / "fixed") == []
    assert load_data_dir(tmp_path / "fixed") == utterances


def test_the_fingerprint_changes_with_the_features(data: Path) -> None:
    before = data_fingerprint(data)
    (data / "feats.scp").write_text("s-1 feats.ark:4\ns-2 feats.ark:1204\n")
    assert data_fingerprint(data) != before


def test_reading_them_as_audio_is_an_error_that_names_the_command(data: Path) -> None:
    with pytest.raises(DataError, match="features, not audio; asr-kd import-feats"):
        read_audio(load_data_dir(data)[0], sample_rate=None)
    assert len(problems(data, audio=True)) == 2
