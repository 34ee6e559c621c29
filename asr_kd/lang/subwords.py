"""Pieces of words that sentencepiece finds in a text, and the directory that says how words are cut into them.

The design is in `asr_kd.lang.units`. Sentencepiece: Kudo & Richardson 2018; byte-pair encoding merges the most
frequent neighbours (Sennrich et al. 2016), so that frequent words are whole pieces.
"""

import importlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from asr_kd.errors import DataError
from asr_kd.lang.lexicon import Lexicon, save_lexicon
from asr_kd.lang.units import UNKNOWN, WORD_BEGIN, Spelling, characters_of
from asr_kd.stage import write_json

if TYPE_CHECKING:
    import sentencepiece

UNITS_FILE, MODEL_FILE = "units.json", "unit.model"
WORD_LEXICON, PIECE_LEXICON = "lexicon.txt", "pieces.txt"


@dataclass(frozen=True)
class Units:
    """How words become pieces.

    Attributes:
        spelling: the characters that are phones.
        model: sentencepiece's, or None where every piece is a character.
    """

    spelling: Spelling
    model: "sentencepiece.SentencePieceProcessor | None" = None
    _known: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    def pieces(self) -> tuple[str, ...]:
        """All pieces, sorted: those of the model and every single character."""
        found = set(self.spelling.single_pieces())
        if self.model is not None:
            of_model = (
                self.model.id_to_piece(i) for i in range(self.model.vocab_size()) if not self.model.is_unknown(i)
            )
            found |= {piece for piece in of_model if piece != WORD_BEGIN}
        return tuple(sorted(found))

    def segment(self, words: Iterable[str]) -> tuple[str, ...]:
        """Cut words into pieces; one with a character that is no phone becomes ``<unk>``."""
        return tuple(piece for word in words for piece in self._cut(word))

    def _cut(self, word: str) -> tuple[str, ...]:
        if word not in self._known:
            self._known[word] = self._cut_anew(word)
        return self._known[word]

    def _cut_anew(self, word: str) -> tuple[str, ...]:
        if not self.spelling.covers(word):
            return (UNKNOWN,)
        if self.model is None:
            return characters_of(word)
        pieces = self.model.encode(word, out_type=str)
        # The mark alone has no sound: it goes to the character that follows.
        return (*characters_of(pieces[1]), *pieces[2:]) if pieces[0] == WORD_BEGIN else tuple(pieces)

    def save(self, directory: Path, words: Iterable[str]) -> None:
        """Write ``units.json``, ``unit.model``, ``pieces.txt`` and, of these words, ``lexicon.txt``."""
        spelling = self.spelling
        about = {
            "units": "char" if self.model is None else "sentencepiece",
            "word_begin": WORD_BEGIN,
            "begins": "".join(sorted(spelling.begins)),
            "insides": "".join(sorted(spelling.insides)),
            "num_pieces": len(self.pieces()),
        }
        write_json(directory / UNITS_FILE, about)
        if self.model is not None:
            (directory / MODEL_FILE).write_bytes(self.model.serialized_model_proto())
        entries = tuple((piece, spelling.of_piece(piece)) for piece in self.pieces())
        save_lexicon(Lexicon(entries), directory / PIECE_LEXICON)
        spelled = tuple((word, spelling.of_word(word)) for word in sorted(set(words)))
        save_lexicon(Lexicon(spelled), directory / WORD_LEXICON)

    @staticmethod
    def load(directory: Path) -> "Units":
        """Read what `save` wrote.

        Raises:
            DataError: the directory is not one of units.
            ModuleNotFoundError: its pieces need sentencepiece, which is not installed.
        """
        try:
            about = json.loads((directory / UNITS_FILE).read_text(encoding="utf-8"))
            spelling = Spelling(frozenset(about["begins"]), frozenset(about["insides"]))
            proto = (directory / MODEL_FILE).read_bytes() if about["units"] == "sentencepiece" else None
            model = None if proto is None else _sentencepiece().SentencePieceProcessor(model_proto=proto)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise DataError(f"{directory}: not units ({error}); make them with asr-kd make-units") from error
        return Units(spelling, model)


def train_pieces(counts: Mapping[str, int], vocab_size: int) -> "sentencepiece.SentencePieceProcessor":
    """Find the pieces of some words by byte-pair encoding.

    Words are cut one by one, so that a text's words with their counts say as much as the text.

    Args:
        counts: the words and how often each one comes.
        vocab_size: number of pieces, single characters among them; less where the words do not have so many.

    Raises:
        DataError: fewer pieces than characters are asked for.
        ModuleNotFoundError: sentencepiece is not installed.
    """
    least = len(set("".join(counts))) + 2  # the mark alone, and the model's own symbol for unknown characters
    if vocab_size < least:
        raise DataError(
            f"--vocab-size {vocab_size}: the text has {least - 2} characters, so at least {least} are needed"
        )
    model, package = io.BytesIO(), _sentencepiece()
    package.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{counts[word]}" for word in sorted(counts)),
        input_format="tsv",
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return package.SentencePieceProcessor(model_proto=model.getvalue())


def _sentencepiece() -> ModuleType:
    """Of the optional extra `units`: imported where pieces are wanted, as characters do without it."""
    return importlib.import_module("sentencepiece")
