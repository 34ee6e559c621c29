"""The pronunciation lexicon: words and the phones they are spoken with, Kaldi's ``lexicon.txt``."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from asr_kd.errors import LexiconError

EPSILON = "<eps>"
SENTENCE_START = "<s>"
SENTENCE_END = "</s>"
_RESERVED = re.compile(r"<eps>|<s>|</s>|#\d+")


@dataclass(frozen=True)
class Lexicon:
    """Words with their pronunciations, one entry for each pair; a word may have several."""

    entries: tuple[tuple[str, tuple[str, ...]], ...]

    def pronunciations(self, word: str) -> list[tuple[str, ...]]:
        """All pronunciations of a word, in the lexicon's order; empty for a word outside it."""
        return list(self._by_word.get(word, ()))

    def __contains__(self, word: str) -> bool:
        return word in self._by_word

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The distinct words, sorted."""
        return tuple(sorted(self._by_word))

    @cached_property
    def phones(self) -> tuple[str, ...]:
        """The distinct phones, sorted."""
        return tuple(sorted({phone for _, phones in self.entries for phone in phones}))

    @cached_property
    def _by_word(self) -> dict[str, list[tuple[str, ...]]]:
        found: dict[str, list[tuple[str, ...]]] = {}
        for word, phones in self.entries:
            found.setdefault(word, []).append(phones)
        return found


def load_lexicon(path: Path) -> Lexicon:
    """Read a lexicon: one pronunciation a line, the word first, then its phones.

    Raises:
        LexiconError: with file and line: a word without phones, an entry given twice, a reserved symbol
            (``<eps>``, ``<s>``, ``</s>``, ``#0``), text that is not UTF-8, an empty file.
    """
    entries: dict[tuple[str, tuple[str, ...]], int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise LexiconError(f"{path}: no such file; expected a lexicon of lines 'WORD PHONE PHONE ...'") from error
    except UnicodeDecodeError as error:
        raise LexiconError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        entry = (fields[0], tuple(fields[1:]))
        if not entry[1]:
            raise LexiconError(f"{path}:{number}: the word '{fields[0]}' has no phones; add some or remove the line")
        for symbol in fields:
            if _RESERVED.fullmatch(symbol):
                raise LexiconError(f"{path}:{number}: '{symbol}' is reserved for the decoding graph; rename it")
        if entry in entries:
            raise LexiconError(f"{path}:{number}: same as line {entries[entry]}; remove one of them")
        entries[entry] = number
    if not entries:
        raise LexiconError(f"{path}: no entries; expected lines 'WORD PHONE PHONE ...'")
    return Lexicon(tuple(entries))


def save_lexicon(lexicon: Lexicon, path: Path) -> None:
    """Write a lexicon so that `load_lexicon` reads it back."""
    lines = [" ".join((word, *phones)) for word, phones in lexicon.entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_words(lexicon: Lexicon, transcripts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Check that the lexicon has every word of the transcripts.

    Args:
        lexicon: the lexicon.
        transcripts: utterance ids and their words.

    Raises:
        LexiconError: lists all missing words at once, the most frequent first, each with its count and one
            utterance that has it.
    """
    counts: dict[str, int] = {}
    example: dict[str, str] = {}
    for utterance, words in transcripts:
        for word in words:
            if word not in lexicon:
                counts[word] = counts.get(word, 0) + 1
                example.setdefault(word, utterance)
    if counts:
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        listed = ", ".join(f"{word} ({counts[word]}x, as in {example[word]})" for word in ranked)
        raise LexiconError(f"{len(counts)} words are not in the lexicon; add them or drop their utterances: {listed}")


def mark_positions(lexicon: Lexicon, silence: str) -> Lexicon:
    """Make phones depend on their place in the word, with Kaldi's suffixes.

    ``_B`` begins a word, ``_I`` is inside, ``_E`` ends it, ``_S`` is a word of one phone. The silence phone
    stays as it is.
    """

    def marked(phones: tuple[str, ...]) -> tuple[str, ...]:
        places = "S" if len(phones) == 1 else "B" + "I" * (len(phones) - 2) + "E"
        return tuple(p if p == silence else f"{p}_{place}" for p, place in zip(phones, places, strict=True))

    return Lexicon(tuple((word, marked(phones)) for word, phones in lexicon.entries))
