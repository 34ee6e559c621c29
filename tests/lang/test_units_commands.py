"""`asr-kd make-units` and `asr-kd apply-units`."""

import gzip
import logging
import sys
from pathlib import Path

import pytest

from asr_kd.cli import apply_units, make_units
from asr_kd.errors import DataError
from asr_kd.options import parse


def make(*words: str | Path) -> None:
    make_units.run(parse(make_units.Options, [str(word) for word in words], command="make-units", description=""))


def apply(*words: str | Path) -> None:
    apply_units.run(parse(apply_units.Options, [str(word) for word in words], command="apply-units", description=""))


def data_dir(path: Path, *transcripts: str) -> Path:
    path.mkdir()
    ids = [f"u{number}" for number in range(len(transcripts))]
    (path / "wav.scp").write_text("".join(f"{utterance} {utterance}.wav\n" for utterance in ids))
    (path / "utt2spk").write_text("".join(f"{utterance} s\n" for utterance in ids))
    lines = (f"{utterance} {words}\n" for utterance, words in zip(ids, transcripts, strict=True))
    (path / "text").write_text("".join(lines))
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return data_dir(tmp_path / "train", "ONE TWO TWO", "TEN ONE")


def test_the_words_of_all_data_are_spelled_with_the_training_sets_characters(train: Path, tmp_path: Path) -> None:
    test = data_dir(tmp_path / "test", "NOT WON")
    make(train, test, tmp_path / "units", "--units", "char")
    lexicon = (tmp_path / "units/lexicon.txt").read_text().splitlines()
    assert lexicon == ["NOT N O T_B", "ONE O_B N E", "TEN T_B E N", "TWO T_B W O", "WON W O N"]
    pieces = (tmp_path / "units/pieces.txt").read_text().splitlines()
    assert pieces == ["E E", "N N", "O O", "T T_B", "W W", "▁E E", "▁N N", "▁O O_B", "▁T T_B", "▁W W"]


def test_characters_that_only_other_sets_have_are_warned_of_and_not_pronounced(
    train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    test = data_dir(tmp_path / "test", "SIXTEEN", "TWO SEVEN SEVEN")
    with caplog.at_level(logging.WARNING):
        make(train, test, tmp_path / "units", "--units", "char")
    assert "SEVEN (2x), SIXTEEN (1x)" in caplog.text
    assert "SEVEN E E N" in (tmp_path / "units/lexicon.txt").read_text()
    mute = data_dir(tmp_path / "mute", "SIX")
    with pytest.raises(DataError, match="none of the characters of SIX"):
        make(train, mute, tmp_path / "other", "--units", "char")


def test_punctuation_in_the_transcripts_stops_it_and_leaves_nothing(tmp_path: Path) -> None:
    train = data_dir(tmp_path / "train", "ONE, TWO.")
    with pytest.raises(DataError, match=r"',' \(1x, as in u0\), '\.' \(1x, as in u0\)"):
        make(train, tmp_path / "units", "--units", "char")
    assert not (tmp_path / "units").exists()
    make(train, tmp_path / "units", "--units", "char", "--characters", ",.")


def test_mixed_case_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        make(data_dir(tmp_path / "train", "One ONE"), tmp_path / "units", "--units", "char")
    assert "e (1x), n (1x)" in caplog.text


def test_pieces_are_found_in_the_text_given_too(train: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "lm.gz").write_bytes(gzip.compress(b"NOTE NOTE NOTE\nNOTE SIX NOTE\n"))
    with caplog.at_level(logging.WARNING):
        make(train, tmp_path / "units", "--units", "sentencepiece", "--vocab-size", "200", "--text", tmp_path / "lm.gz")
    assert "▁NOTE N O T_B E" in (tmp_path / "units/pieces.txt").read_text()
    assert "NOTE" not in (tmp_path / "units/lexicon.txt").read_text().split()
    assert "SIX (1x)" in caplog.text


def test_a_text_becomes_units_and_words_again(train: Path, tmp_path: Path) -> None:
    make(train, tmp_path / "units", "--units", "char")
    apply(tmp_path / "units", train, tmp_path / "cut")
    assert gzip.decompress((tmp_path / "cut/text.gz").read_bytes()).decode().splitlines() == [
        "▁O N E ▁T W O ▁T W O",
        "▁T E N ▁O N E",
    ]
    apply(tmp_path / "units", tmp_path / "cut/text.gz", tmp_path / "joined", "--join")
    joined = gzip.decompress((tmp_path / "joined/text.gz").read_bytes()).decode()
    assert joined == "ONE TWO TWO\nTEN ONE\n"


def test_the_transcripts_of_a_data_directory_may_be_named_as_a_file(train: Path, tmp_path: Path) -> None:
    make(train, tmp_path / "units", "--units", "char")
    for text, out in ((train, "of-directory"), (train / "text", "of-file")):
        apply(tmp_path / "units", text, tmp_path / out)
    cut = [(tmp_path / out / "text.gz").read_bytes() for out in ("of-directory", "of-file")]
    assert cut[0] == cut[1]


def test_only_pieces_need_sentencepiece(train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(train, tmp_path / "pieces", "--units", "sentencepiece", "--vocab-size", "20")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    make(train, tmp_path / "units", "--units", "char")
    apply(tmp_path / "units", train, tmp_path / "cut")
    with pytest.raises(ModuleNotFoundError, match="sentencepiece"):
        make(train, tmp_path / "others", "--units", "sentencepiece")
    with pytest.raises(ModuleNotFoundError, match="sentencepiece"):
        apply(tmp_path / "pieces", train, tmp_path / "cut_in_pieces")
