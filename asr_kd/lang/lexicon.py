"""The pronunciation lexicon: words and the phones they are spoken with, Kaldi's ``lexicon.txt``."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from asr_kd.errors import LexiconError

EPSILON = "<eps>"
SENTENCE_START = "<s>"
SENTENCE_END = "</s>"
LEXICON_FILE, OOV_FILE = "lexicon.txt", "oov.txt"
_RESERVED = re.compile(r"<eps>|<s>|</s>|#\d+")
_PROBABILITY = re.compile(r"\d*\.\d+(e-?\d+)?", re.IGNORECASE)  # whole numbers are phones of X-SAMPA

_SHOWN = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lexicon:
    """Words with their pronunciations, one entry for each pair; a word may have several.

    Attributes:
        oov: the entry that stands for any word outside the lexicon in transcripts, as Kaldi's ``oov.txt``: it is
            aligned, but never recognised. Empty where all words must be in the lexicon.
    """

    entries: tuple[tuple[str, tuple[str, ...]], ...]
    oov: str = ""

    def __post_init__(self) -> None:
        if self.oov and self.oov not in self._by_word:
            raise LexiconError(f"the word '{self.oov}' for unknown words is not in the lexicon; add it and its phones")

    def spoken(self, words: Sequence[str]) -> tuple[str, ...]:
        """The words as they are aligned: those outside the lexicon are replaced by `oov`, where there is one."""
        return tuple(word if word in self or not self.oov else self.oov for word in words)

    @cached_property
    def recognized(self) -> tuple[str, ...]:
        """The words that a grammar may put out: all but `oov`."""
        return tuple(word for word in self.words if word != self.oov)

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
            (``<eps>``, ``<s>``, ``</s>``, ``#0``), a probability before the phones, text that is not UTF-8, an
            empty file.
    """
    entries: dict[tuple[str, tuple[str, ...]], int] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
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
        if _PROBABILITY.fullmatch(fields[1]):
            raise LexiconError(
                f"{path}:{number}: the first phone of '{fields[0]}' is '{fields[1]}', which looks like a probability; "
                "make a lexicon without them of Kaldi's lexiconp.txt with asr-kd import-kaldi-lexicon"
            )
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


def load_lang_lexicon(lang: Path) -> Lexicon:
    """The lexicon of a directory made by ``asr-kd make-lang``, with its word for unknown ones."""
    lexicon, oov = load_lexicon(lang / LEXICON_FILE), lang / OOV_FILE
    return replace(lexicon, oov=oov.read_text(encoding="utf-8").strip()) if oov.exists() else lexicon


def save_lang_lexicon(lexicon: Lexicon, lang: Path) -> None:
    """Write what `load_lang_lexicon` reads."""
    save_lexicon(lexicon, lang / LEXICON_FILE)
    if lexicon.oov:
        (lang / OOV_FILE).write_text(f"{lexicon.oov}\n", encoding="utf-8")


def check_words(lexicon: Lexicon, transcripts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Check that the lexicon has every word of the transcripts, or a word that stands for all others.

    Where it has one, how many words it replaces is logged.

    Args:
        lexicon: the lexicon.
        transcripts: utterance ids and their words.

    Raises:
        LexiconError: lists all missing words at once, the most frequent first, each with its count and one
            utterance that has it.
    """
    counts: dict[str, int] = {}
    example: dict[str, str] = {}
    total = 0
    for utterance, words in transcripts:
        total += len(words)
        for word in words:
            if word not in lexicon:
                counts[word] = counts.get(word, 0) + 1
                example.setdefault(word, utterance)
    if counts:
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        if lexicon.oov:
            shown = ", ".join(f"{word} ({counts[word]}x)" for word in ranked[:_SHOWN])
            unknown = sum(counts.values())
            log.info(
                "%d of %d words are outside the lexicon and stand as %s: %s%s",
                *(unknown, total, lexicon.oov, shown, ", ..." if len(ranked) > _SHOWN else ""),
            )
            return
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

    return replace(lexicon, entries=tuple((word, marked(phones)) for word, phones in lexicon.entries))
