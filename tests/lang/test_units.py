"""Characters as phones, pieces, and words joined from them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.lang.units import (
    WORD_BEGIN,
    Spelling,
    both_cases,
    characters_of,
    check_characters,
    is_piece_vocabulary,
    to_words,
)

words_of_letters = st.lists(st.text("ABCÉ'ก้", min_size=1, max_size=6), min_size=1, max_size=6)


def test_words_are_joined_at_the_mark() -> None:
    assert to_words(["▁TH", "E", "▁CAT", "▁'", "S"]) == ("THE", "CAT", "'S")
    assert to_words([]) == ()


def test_pieces_before_the_first_mark_are_a_word() -> None:
    assert to_words(["CAT", "S", "▁A"]) == ("CATS", "A")


@settings(max_examples=50)
@given(words_of_letters)
def test_the_characters_of_words_join_to_the_same_words(words: list[str]) -> None:
    assert to_words(piece for word in words for piece in characters_of(word)) == tuple(words)


@settings(max_examples=50)
@given(words_of_letters, st.data())
def test_a_words_phones_do_not_depend_on_how_it_is_cut(words: list[str], data: st.DataObject) -> None:
    spelling = Spelling.of(words)
    word = data.draw(st.sampled_from(words))
    cut = data.draw(st.integers(0, len(word) - 1))
    pieces = (WORD_BEGIN + word[: cut + 1], *([word[cut + 1 :]] if word[cut + 1 :] else []))
    assert sum((spelling.of_piece(piece) for piece in pieces), ()) == spelling.of_word(word)


def test_a_character_has_a_phone_of_its_own_where_it_begins_words_of_the_training_set() -> None:
    spelling = Spelling.of(["TWO", "TEN"])
    assert spelling.of_word("TWO") == ("T_B", "W", "O")
    assert spelling.of_word("OWN") == ("O", "W", "N")
    assert spelling.of_piece("▁T") == ("T_B",)


def test_a_character_that_is_never_inside_a_word_sounds_there_as_at_the_beginning() -> None:
    assert Spelling.of(["TWO", "TEN"]).of_word("NOT") == ("N", "O", "T_B")
    assert Spelling.of(["TWO", "NOT"]).of_word("NOT") == ("N_B", "O", "T")


def test_characters_that_are_no_phones_are_left_out_of_a_words_phones() -> None:
    spelling = Spelling.of(["TWO"])
    assert spelling.of_word("TXO") == ("T_B", "O")
    assert spelling.of_word("X") == ()
    assert not spelling.covers("TXO")


def test_a_lexicon_tells_the_spelling_it_was_made_with() -> None:
    spelling = Spelling.of(["TWO", "NOT"])
    entries = [(word, spelling.of_word(word)) for word in ("TWO", "NOT", "OWN", "TXO")]
    assert Spelling.of_lexicon(entries) == spelling
    assert Spelling.of_lexicon([*entries, ("ONE", ("W", "O", "N"))]) is None


def test_every_word_of_known_characters_can_be_made_from_single_pieces() -> None:
    spelling = Spelling.of(["TWO", "TEN"])
    assert set(characters_of("NEWTON")) <= set(spelling.single_pieces())


def test_a_vocabulary_is_one_of_pieces_where_a_symbol_has_the_mark() -> None:
    assert is_piece_vocabulary(["<eps>", "E", "▁TH"])
    assert not is_piece_vocabulary(["<eps>", "E", "THE"])


def test_other_characters_than_letters_and_apostrophes_are_listed_by_frequency_with_an_utterance() -> None:
    transcripts = [("u1", ["IT'S", "5,", "O’CLOCK"]), ("u2", ["YES,", "ÉTÉ", "กี่", "नमस्ते"])]
    with pytest.raises(DataError, match=re.escape("',' (2x, as in u1), '5' (1x, as in u1)")) as raised:
        check_characters(transcripts)
    assert "2 characters" in str(raised.value)
    check_characters(transcripts, also="5,")


def test_joiners_are_part_of_the_words_whose_letters_they_join() -> None:
    check_characters([("u1", ["می\u200cروم", "ക്\u200d"])])
    with pytest.raises(DataError, match=r"U\+200C \(2x, as in u1\)"):
        check_characters([("u1", ["\u200cمی", "\u200c"])])


def test_an_invisible_character_is_named_by_its_number() -> None:
    with pytest.raises(DataError, match=r"U\+200B \(1x, as in u1\)"):
        check_characters([("u1", ["A\u200bB"])])


def test_letters_in_both_cases_are_counted_by_the_rarer_one() -> None:
    assert both_cases({"The": 3, "THE": 2, "été": 1}) == {"e": 2, "h": 2, "t": 1}
    assert both_cases({"สวัสดี": 4}) == {}
