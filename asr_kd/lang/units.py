"""Words without a pronunciation lexicon: spelled in characters for alignment, put together from pieces in recognition.

Where a language has no lexicon, its writing stands in for one (Kanthak & Ney 2002, "Context-dependent acoustic
modeling using graphemes"; Smit et al. 2021, "Advances in subword-based HMM-DNN speech recognition across languages"):

- **Phones are characters.** THE is ``T_B H E``. A character that begins a word is a phone of its own (``T_B``), since
  both its sound and its left neighbour differ there. Context-dependent states are tied over these phones as over any.
- **Alignment knows the transcript**, so it needs no pieces: a lexicon of the transcripts' words, each spelled out.
- **The recognition vocabulary is pieces**: single characters, or what sentencepiece finds in the text. A piece that
  begins a word carries the mark, ``▁TH E``; its phones are its characters. Every single character is a piece, inside
  and at the beginning of a word, so every word that can be written can be recognised: none is out of vocabulary.
- **The n-gram model is one of pieces.** It has to say which of them make words, so its order is higher than that of
  a word model.
- **Words come back by joining** at the mark, and nothing else than the pieces is needed for that. Data directories,
  references and error rates are of words throughout.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from asr_kd.errors import DataError

WORD_BEGIN = "\u2581"
BEGIN_MARK = "_B"
UNKNOWN = "<unk>"
APOSTROPHES = "'\u2019"
# Inside a word they say how letters are joined: in Persian and in the scripts of India (Unicode Standard, 23.2).
JOINERS = "\u200c\u200d"
_WITHOUT_JOINERS = str.maketrans("", "", JOINERS)


def to_words(pieces: Iterable[str]) -> tuple[str, ...]:
    """Join pieces into words at the mark of a word's beginning.

    Pieces before the first mark are a word too.
    """
    return tuple("".join(pieces).replace(WORD_BEGIN, " ").split())


def is_piece_vocabulary(symbols: Iterable[str]) -> bool:
    """Whether words are to be joined from these symbols: one of them has the mark of a word's beginning."""
    return any(symbol.startswith(WORD_BEGIN) for symbol in symbols)


@dataclass(frozen=True)
class Spelling:
    """How words and pieces are pronounced: by their characters.

    A phone is only what the training transcripts hold: a character that never begins a word there is pronounced as
    inside one, and the other way round.

    Attributes:
        begins: characters that begin a word of the training transcripts.
        insides: those that are elsewhere in a word.
    """

    begins: frozenset[str]
    insides: frozenset[str]

    @staticmethod
    def of(words: Iterable[str]) -> "Spelling":
        """The spelling of a language with these words."""
        distinct = set(words)
        return Spelling(frozenset(word[0] for word in distinct), frozenset("".join(word[1:] for word in distinct)))

    @staticmethod
    def of_lexicon(entries: Sequence[tuple[str, tuple[str, ...]]]) -> "Spelling | None":
        """The spelling that a lexicon's pronunciations were made with; None where they are not spelled."""
        phones = {phone for _, spoken in entries for phone in spoken}
        begins = {phone for phone in phones if phone.endswith(BEGIN_MARK)}
        found = Spelling(frozenset(phone.removesuffix(BEGIN_MARK) for phone in begins), frozenset(phones - begins))
        return found if all(found.of_word(word) == spoken for word, spoken in entries) else None

    @cached_property
    def characters(self) -> frozenset[str]:
        """All of them."""
        return self.begins | self.insides

    def covers(self, word: str) -> bool:
        """Whether all characters of a word are phones."""
        return self.characters.issuperset(word)

    def of_word(self, word: str) -> tuple[str, ...]:
        """The phones of a word; characters that are no phones are left out."""
        return self.of_piece(WORD_BEGIN + word)

    def of_piece(self, piece: str) -> tuple[str, ...]:
        """The phones of a piece, as of a word where it has the mark, of a part inside a word where it has not."""
        begins_word = piece.startswith(WORD_BEGIN)
        phones = []
        for place, character in enumerate(piece.removeprefix(WORD_BEGIN)):
            known_as = (self.begins, self.insides) if begins_word and not place else (self.insides, self.begins)
            if found := next((known for known in known_as if character in known), None):
                phones.append(character + BEGIN_MARK if found is self.begins else character)
        return tuple(phones)

    def single_pieces(self) -> tuple[str, ...]:
        """Each character inside a word and at its beginning, sorted: pieces from which every word can be made."""
        inside = sorted(self.characters)
        return (*inside, *(WORD_BEGIN + character for character in inside))


def characters_of(word: str) -> tuple[str, ...]:
    """The finest pieces of a word: its characters, the first with the mark."""
    return (WORD_BEGIN + word[0], *word[1:])


def check_characters(transcripts: Iterable[tuple[str, Sequence[str]]], *, also: str = "") -> None:
    """Check that transcripts hold letters, the marks that go with letters, and apostrophes only.

    The zero width joiner and non-joiner go with the letter before them.

    Args:
        transcripts: utterance ids and their words.
        also: further characters that are sounds, not punctuation.

    Raises:
        DataError: lists all other characters, the most frequent first, each with its count and one utterance that
            has it.
    """
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for utterance, words in transcripts:
        for character in "".join(word[:1] + word[1:].translate(_WITHOUT_JOINERS) for word in words):
            if not (is_letter(character) or character in also):
                counts[character] += 1
                example.setdefault(character, utterance)
    if counts:
        listed = ", ".join(
            f"{_shown(character)} ({count}x, as in {example[character]})" for character, count in counts.most_common()
        )
        raise DataError(
            f"{len(counts)} characters of the transcripts are neither letters nor apostrophes; write numbers out and "
            f"remove punctuation, or name in --characters those that are spoken: {listed}"
        )


def is_letter(character: str) -> bool:
    """Whether a character is a letter, a mark that goes with one (accents, vowel signs), or an apostrophe."""
    return unicodedata.category(character)[0] in "LM" or character in APOSTROPHES


def both_cases(words: Mapping[str, int]) -> dict[str, int]:
    """The letters that words have in upper and in lower case, and how often in the rarer of the two."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    lower = [character for character in counts if character != character.upper() and character.upper() in counts]
    return {character: min(counts[character], counts[character.upper()]) for character in sorted(lower)}


def _shown(character: str) -> str:
    return f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"
