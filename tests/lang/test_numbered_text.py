"""Texts become numbers that can be turned back, and vocabularies have the words they should."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_kd.errors import DataError
from asr_kd.lang.numbered_text import (
    SPECIAL,
    frequent_words,
    joined,
    load_text,
    load_vocabulary,
    number_text,
    with_boundaries,
)

SENTENCES = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=5), min_size=1, max_size=8)


@given(first=SENTENCES, second=SENTENCES)
@settings(max_examples=50)
def test_joined_texts_are_those_of_all_sentences_with_marks_around_each(
    first: list[list[str]], second: list[list[str]]
) -> None:
    vocabulary = ("a", "b", "c")
    numbers_T, starts_S = with_boundaries(joined([number_text(first), number_text(second)]), vocabulary)
    words = np.array((*SPECIAL, *vocabulary), object)[numbers_T].tolist()
    found = [words[start:end] for start, end in zip(starts_S, [*starts_S[1:], None], strict=True)]
    inside = [[word if word in vocabulary else "<unk>" for word in sentence] for sentence in first + second]
    assert found == [["<s>", *sentence, "</s>"] for sentence in inside]


def test_a_data_directory_stands_for_its_transcripts(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("u1 a b\nu2 b\n")
    for path, ids in ((tmp_path, False), (tmp_path / "text", True)):
        assert load_text(path, utterance_ids=ids).counts == {"a": 1, "b": 2}
    (tmp_path / "utt2spk").write_text("u1 s\nu2 s\n")
    assert load_text(tmp_path / "text").counts == {"a": 1, "b": 2}
    (tmp_path / "lm.gz").write_bytes(gzip.compress(b"a b\n\nb\n"))
    text = load_text(tmp_path / "lm.gz")
    assert text.counts == {"a": 1, "b": 2}
    assert text.lengths_S.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("content", "why"), [("", "no words"), ("\n \n", "no words"), ("<s> a </s>\n", "'<s>' is added to every sentence")]
)
def test_a_text_that_cannot_be_used_is_refused(content: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(content)
    with pytest.raises(DataError, match=why) as caught:
        load_text(path)
    assert str(path) in str(caught.value)


def test_the_vocabulary_of_a_lexicon_has_each_word_once_and_no_symbol_of_graphs(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("b x\na y\nb z\n<unk> s\n#0\n<eps> e\n")
    assert load_vocabulary(path) == ("a", "b")
    path.write_text("<s>\n")
    with pytest.raises(DataError, match="no words"):
        load_vocabulary(path)


@pytest.mark.parametrize(
    ("among", "min_count", "max_words", "expected"),
    [
        (None, 1, None, ("a", "b", "c", "d")),
        (None, 2, None, ("a", "b")),
        (None, 1, 3, ("a", "b", "c")),  # of those as frequent the first in the alphabet
        (("b", "z"), 2, None, ("b", "z")),
        (("b", "z"), 1, 1, ("b",)),
    ],
)
def test_the_most_frequent_words_are_chosen(
    among: tuple[str, ...] | None, min_count: int, max_words: int | None, expected: tuple[str, ...]
) -> None:
    texts = [number_text([["a", "b", "#0"], ["b", "a", "d"]]), number_text([["c", "a", "<unk>"]])]
    assert frequent_words(texts, among=among, min_count=min_count, max_words=max_words) == expected
