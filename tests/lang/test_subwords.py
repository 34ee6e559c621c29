"""Sentencepiece's pieces, and the directory of units."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.lang.lexicon import load_lexicon
from asr_kd.lang.subwords import PIECE_LEXICON, WORD_LEXICON, Units, train_pieces
from asr_kd.lang.units import Spelling, to_words

COUNTS = Counter({"THE": 900, "THEN": 300, "THERE": 200, "CAT": 150, "CATS": 140, "IT'S": 90, "ÉTAT": 5, "A": 60})


@pytest.fixture(scope="module", params=["sentencepiece", "char"])
def units(request: pytest.FixtureRequest) -> Units:
    return Units(Spelling.of(COUNTS), train_pieces(COUNTS, 30) if request.param == "sentencepiece" else None)


@settings(max_examples=50)
@given(words=st.lists(st.text("THENRCAS'IÉ", min_size=1, max_size=8), max_size=5))
def test_no_word_is_out_of_vocabulary_and_joining_gives_it_back(units: Units, words: list[str]) -> None:
    pieces = units.segment(words)
    assert set(pieces) <= set(units.pieces())
    assert to_words(pieces) == tuple(words)


def test_a_word_with_an_unknown_character_becomes_the_unknown_word(units: Units) -> None:
    assert units.segment(["A", "FOX", "A"]) == ("▁A", "<unk>", "▁A")


def test_frequent_words_are_whole_pieces_of_sentencepiece() -> None:
    assert Units(Spelling.of(COUNTS), train_pieces(COUNTS, 30)).segment(["THE", "HEN"]) == ("▁THE", "▁H", "E", "N")


def test_words_that_have_fewer_pieces_than_asked_for_give_fewer() -> None:
    assert train_pieces({"ONE": 5, "TWO": 4}, 1000).vocab_size() < 20


def test_fewer_pieces_than_characters_cannot_be_had() -> None:
    with pytest.raises(DataError, match="--vocab-size 5: the text has 5 characters, so at least 7"):
        train_pieces({"ONE": 5, "TWO": 4}, 5)


def test_units_are_read_back_as_they_were_written(units: Units, tmp_path: Path) -> None:
    units.save(tmp_path, COUNTS)
    again = Units.load(tmp_path)
    words = ["THE", "CATS'", "ÉTHÉ", "IT'S"]
    assert again.pieces() == units.pieces()
    assert again.segment(words) == units.segment(words)
    assert again.spelling == units.spelling


def test_the_two_lexicons_spell_with_the_same_phones(units: Units, tmp_path: Path) -> None:
    units.save(tmp_path, COUNTS)
    words, pieces = load_lexicon(tmp_path / WORD_LEXICON), load_lexicon(tmp_path / PIECE_LEXICON)
    assert words.pronunciations("THE") == [("T_B", "H", "E")]
    assert set(pieces.words) == set(units.pieces())
    for word in COUNTS:
        spoken = sum((pieces.pronunciations(piece)[0] for piece in units.segment([word])), ())
        assert [spoken] == words.pronunciations(word)
    assert set(words.phones) == set(pieces.phones)


def test_a_directory_without_units_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not units .*make-units"):
        Units.load(tmp_path)
