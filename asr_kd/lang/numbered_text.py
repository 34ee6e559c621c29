"""A text as numbers: its words numbered as they come, then by the vocabulary of a language model.

Legend: W words of the text, S sentences, T words with <s> before and </s> after each sentence, V words of a model.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asr_kd.errors import DataError
from asr_kd.lang.arpa import UNKNOWN
from asr_kd.lang.lexicon import SENTENCE_END, SENTENCE_START
from asr_kd.lang.sentences import read_sentences, text_file

SPECIAL = (UNKNOWN, SENTENCE_START, SENTENCE_END)
UNKNOWN_NUMBER, START_NUMBER, END_NUMBER = range(3)
_NO_WORD = re.compile(r"<eps>|<unk>|<UNK>|<s>|</s>|#\d+")  # what decoding graphs and ARPA files use themselves


@dataclass(frozen=True)
class NumberedText:
    """Sentences of words, each word as its place among the distinct ones.

    Attributes:
        words: the distinct words, in the order of their first appearance.
        numbers_W: all words, int32.
        lengths_S: words of each sentence.
    """

    words: tuple[str, ...]
    numbers_W: np.ndarray
    lengths_S: np.ndarray

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each word occurs."""
        counts = np.bincount(self.numbers_W, minlength=len(self.words))
        return dict(zip(self.words, counts.tolist(), strict=True))


class _Numbers(dict[str, int]):
    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def number_text(sentences: Iterable[Sequence[str]]) -> NumberedText:
    """Number the words of sentences."""
    numbers, found, lengths = _Numbers(), array("i"), array("i")
    for words in sentences:
        found.extend(map(numbers.__getitem__, words))
        lengths.append(len(words))
    return NumberedText(tuple(numbers), np.array(found, np.int32), np.array(lengths, np.int32))


def joined(texts: Sequence[NumberedText]) -> NumberedText:
    """Several texts as one."""
    numbers = _Numbers()
    renumbered = [np.array([numbers[word] for word in text.words], np.int32) for text in texts]
    numbers_W = np.concatenate([new[text.numbers_W] for new, text in zip(renumbered, texts, strict=True)])
    return NumberedText(tuple(numbers), numbers_W, np.concatenate([text.lengths_S for text in texts]))


def sentences_of(path: Path, *, utterance_ids: bool = False) -> list[tuple[str, ...]]:
    """The sentences of a text of one a line, gzipped or not, or of a data directory.

    Raises:
        DataError: the file cannot be read, or has no words.
    """
    if not (sentences := list(read_sentences(path, utterance_ids=utterance_ids))):
        raise DataError(f"{text_file(path)}: no words in it; expected one sentence a line")
    return sentences


def load_text(path: Path, *, utterance_ids: bool = False) -> NumberedText:
    """Read a text of one sentence a line, gzipped or not, or the transcripts of a data directory or its file ``text``.

    Args:
        path: the text.
        utterance_ids: whether each line of a file begins with an utterance id, as in Kaldi's ``text``.

    Raises:
        DataError: the file cannot be read, has no words, or has ``<s>`` or ``</s>`` in it.
    """
    text = number_text(read_sentences(path, utterance_ids=utterance_ids))
    if not text.words:
        raise DataError(f"{text_file(path)}: no words in it; expected one sentence a line")
    for mark in (SENTENCE_START, SENTENCE_END):
        if mark in text.counts:
            raise DataError(
                f"{path}: '{mark}' is added to every sentence; take its {text.counts[mark]} out of the text"
            )
    return text


def load_vocabulary(path: Path) -> tuple[str, ...]:
    """The first word of each line of a lexicon or a list of words, sorted, each once.

    Raises:
        DataError: the file cannot be read or names no word.
    """
    words = {words[0] for words in read_sentences(path)}
    if not (kept := tuple(sorted(word for word in words if not _NO_WORD.fullmatch(word)))):
        raise DataError(f"{path}: no words in it; expected a lexicon, or one word a line")
    return kept


def frequent_words(
    texts: Sequence[NumberedText], *, among: Sequence[str] | None, min_count: int, max_words: int | None
) -> tuple[str, ...]:
    """The words for a model of some texts, sorted.

    Args:
        texts: the texts.
        among: the words to choose from, whatever their count; None stands for those of the texts.
        min_count: a word of the texts needs this many occurrences.
        max_words: keep the most frequent so many; None keeps all.
    """
    counts: dict[str, int] = dict.fromkeys(among or (), 0)
    for text in texts:
        for word, count in text.counts.items():
            if among is None or word in counts:
                counts[word] = counts.get(word, 0) + count
    able = [w for w in counts if not _NO_WORD.fullmatch(w) and (among is not None or counts[w] >= min_count)]
    return tuple(sorted(sorted(able, key=lambda word: (-counts[word], word))[:max_words]))


def with_boundaries(text: NumberedText, vocabulary: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A text numbered by a model's words ``(*SPECIAL, *vocabulary)``.

    Returns:
        The words with ``<s>`` before and ``</s>`` after each sentence, ``<unk>`` for those outside the vocabulary,
        int64 [T]; and the places of ``<s>``, int64 [S].
    """
    numbers = {word: number for number, word in enumerate(vocabulary, len(SPECIAL))}
    renumbered = np.array([numbers.get(word, UNKNOWN_NUMBER) for word in text.words], np.int64)
    lengths_S = text.lengths_S.astype(np.int64)
    starts_S = np.cumsum(lengths_S + 2) - lengths_S - 2
    numbers_T = np.empty(int(lengths_S.sum()) + 2 * len(lengths_S), np.int64)
    is_word_T = np.ones(len(numbers_T), bool)
    for place_S, number in ((starts_S, START_NUMBER), (starts_S + lengths_S + 1, END_NUMBER)):
        numbers_T[place_S] = number
        is_word_T[place_S] = False
    numbers_T[is_word_T] = renumbered[text.numbers_W]
    return numbers_T, starts_S
